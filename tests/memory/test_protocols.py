"""mypy says that the reference backends have the shape of the protocols; here is what it looks at."""

from __future__ import annotations

from ticketkit.backends.bus import Bus, HandsOver, Measured
from ticketkit.backends.clock import Clock
from ticketkit.backends.payments import InProcessWebhooks, PaymentProvider
from ticketkit.backends.spec import Capability
from ticketkit.backends.storage import Storage
from ticketkit.backends.timers import Timers
from ticketkit.memory import FakePayments, MemoryBus, MemoryStorage, MemoryTimers, VirtualClock


def test_the_reference_backends_promise_what_they_keep() -> None:
    clock: Clock = VirtualClock()
    storage: Storage = MemoryStorage(clock)
    bus: Bus = MemoryBus(clock)
    timers: Timers = MemoryTimers(clock)
    payments: PaymentProvider = FakePayments(clock)
    assert storage.capabilities == bus.capabilities == timers.capabilities == frozenset()
    assert isinstance(bus, HandsOver)
    assert isinstance(bus, Measured)
    assert isinstance(payments, InProcessWebhooks)
    assert payments.capabilities == {Capability.SIGNED_TIME}
