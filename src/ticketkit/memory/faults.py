"""What can be made to go wrong with the fake payment provider."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ticketkit.backends.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from ticketkit.backends.clock import Clock


class Operation(StrEnum):
    """A call of the payment provider."""

    PREPARE = "prepare"
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    RETRIEVE = "retrieve"


class WebhookMode(StrEnum):
    """How often and when a webhook comes."""

    ONCE = "once"
    TWICE = "twice"
    LATE = "late"
    NEVER = "never"


@dataclass(slots=True)
class WebhookPlan:
    """How webhooks are sent from now on.

    Attributes:
        seconds: How late, by the clock.
    """

    mode: WebhookMode = WebhookMode.ONCE
    seconds: float = 0


class Faults:
    """Set at any time, for the calls that come after. Nothing is wrong at first."""

    def __init__(self) -> None:
        self.plan = WebhookPlan()
        self._seconds = 0.0
        self._unavailable: float = 0
        self._lost: Counter[Operation] = Counter()
        self._refused: dict[Operation, list[str]] = {}
        self._delayed = 0

    def slow(self, seconds: float) -> None:
        """Let each call take so many seconds of the clock; 0 ends it."""
        self._seconds = seconds

    def unavailable(self, times: int | None = None) -> None:
        """Fail calls with `Unavailable` before any effect.

        Args:
            times: So many calls; without it, all until `available`.
        """
        self._unavailable = float("inf") if times is None else times

    def available(self) -> None:
        """End `unavailable`."""
        self._unavailable = 0

    def time_out_after_effect(self, operation: Operation | str, *, times: int = 1) -> None:
        """Let the next calls of an operation have their effect, and lose their answer: `OutcomeUnknown`."""
        self._lost[Operation(operation)] += times

    def decline(self, operation: Operation | str, *, code: str = "card_declined", times: int = 1) -> None:
        """Let the next calls of an operation (not `retrieve`) be declined for good, whatever the token was."""
        self._refused.setdefault(Operation(operation), []).extend([code] * times)

    def delay_refunds(self, times: int = 1) -> None:
        """Let the next refunds be `Pending` until `FakePayments.resolve_refund`."""
        self._delayed += times

    def webhooks(self, mode: WebhookMode | str, *, seconds: float = 0) -> None:
        """Say how webhooks are sent.

        Args:
            mode: `once`, `twice` (the same one), `late` or `never`.
            seconds: How late.
        """
        self.plan = WebhookPlan(WebhookMode(mode), seconds)

    async def before(self, clock: Clock) -> None:
        """At the beginning of a call."""
        await clock.sleep(self._seconds)
        if self._unavailable > 0:
            self._unavailable -= 1
            raise Unavailable

    def refusal(self, operation: Operation) -> str | None:
        """The code with which this call is declined, if it is to be; called when it has an effect."""
        codes = self._refused.get(operation)
        return codes.pop(0) if codes else None

    def delays_refund(self) -> bool:
        """Whether this refund is to be decided later; called when it has an effect."""
        delayed = self._delayed > 0
        self._delayed -= delayed
        return delayed

    def after(self, operation: Operation) -> None:
        """At the end of a call, after its effect."""
        if self._lost[operation] > 0:
            self._lost[operation] -= 1
            msg = "The answer of the fake payment provider was lost."
            raise OutcomeUnknown(msg)
