"""Payment providers with one planted bug each: waits that are told wrong."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.backends.payments import Outcome
from ticketkit.memory import FakePayments
from ticketkit.memory._payment_rules import Step
from ticketkit.memory.books import Request
from ticketkit.memory.faults import Operation

RATE = 1000.0
BURST = 50.0


class PacedPayments(FakePayments):
    """Counts its calls in a bucket, and says how long it takes to fill; without a bug. It never really waits."""

    _level, _at = BURST, 0.0

    def wait_for(self, calls: int) -> float:
        self._fill()
        return max(0.0, (calls - self._level) / RATE)

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        self._fill()
        self._level -= 1
        return await super()._call(operation, key, parameters, step)

    def _fill(self) -> None:
        now = monotonic()
        self._level, self._at = min(BURST, self._level + (now - self._at) * RATE), now


class PaceBelowZero(PacedPayments):
    """Calls that may be made at once are told to wait less than no time."""

    def wait_for(self, calls: int) -> float:
        self._fill()
        return (calls - self._level) / RATE


class PaceOfOneCall(PacedPayments):
    """However many calls are asked for, the wait is that of one."""

    def wait_for(self, calls: int) -> float:
        return super().wait_for(1)


class PaceBlind(PacedPayments):
    """Calls under way do not count."""

    def wait_for(self, calls: int) -> float:
        return max(0.0, (calls - BURST) / RATE)


PACE_BELOW_ZERO = PaymentsPlugin("planted-pace-below-zero", PaceBelowZero)
PACE_OF_ONE_CALL = PaymentsPlugin("planted-pace-of-one-call", PaceOfOneCall)
PACE_BLIND = PaymentsPlugin("planted-pace-blind", PaceBlind)
