"""The reference backends: all in this process, on any clock; with a virtual one, whole marketplaces run in tests.

They keep every promise of the protocols but two: nothing outlives the process (except the fake provider's journal), and
one event loop uses them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketkit.memory.books import BookedRefund, Books, read_books
    from ticketkit.memory.bus import MemoryBus
    from ticketkit.memory.clock import VirtualClock
    from ticketkit.memory.faults import Faults
    from ticketkit.memory.payments import FakePayments
    from ticketkit.memory.storage import MemoryStorage
    from ticketkit.memory.timers import MemoryTimers

__all__ = [
    "BookedRefund",
    "Books",
    "FakePayments",
    "Faults",
    "MemoryBus",
    "MemoryStorage",
    "MemoryTimers",
    "VirtualClock",
    "read_books",
]

_MODULES: Final = {
    "BookedRefund": "books",
    "Books": "books",
    "FakePayments": "payments",
    "Faults": "faults",
    "MemoryBus": "bus",
    "MemoryStorage": "storage",
    "MemoryTimers": "timers",
    "VirtualClock": "clock",
    "read_books": "books",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: loading the plugin must not load all backends."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
