"""What goes wrong on purpose: for the next calls of an operation, or until it is ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ticketkit_stripe.simulator.methods import Decline
from ticketkit_stripe.simulator.operations import PORTS
from ticketkit_stripe.simulator.refusals import broken, too_many

ANY: Final = "any"
_REFUSABLE: Final = frozenset({"authorize", "capture", "refund"})
_OWN_CODE: Final = frozenset({"expired_card", "incorrect_cvc", "incorrect_number", "processing_error"})
"""Declines whose code says it all; others are `card_declined` with the reason beside."""


class Kind(StrEnum):
    """The kinds of faults."""

    UNAVAILABLE = "unavailable"
    """503 before anything is done; no key remembers it."""
    RATE_LIMITED = "rate_limited"
    """429."""
    LOCKED = "locked"
    """429 `lock_timeout`: another call has the object; `Stripe-Should-Retry: true`."""
    LOST_CALL = "lost_call"
    """The connection is dropped, and nothing is done."""
    SLOW_CALL = "slow_call"
    """It takes so many seconds until it is done; meanwhile its key is in use."""
    ERROR = "error"
    """500, and nothing is done; its key replays it."""
    ERROR_AFTER = "error_after"
    """500, and yet it is done; its key replays the 500."""
    REFUSE = "refuse"
    """The bank says no."""
    SLOW_ANSWER = "slow_answer"
    """It is done, and so many seconds later it is answered."""
    LOST_ANSWER = "lost_answer"
    """It is done, and the connection is dropped."""


ARRIVAL: Final = frozenset({Kind.UNAVAILABLE, Kind.RATE_LIMITED, Kind.LOCKED, Kind.LOST_CALL})
EXECUTION: Final = frozenset({Kind.SLOW_CALL, Kind.ERROR, Kind.ERROR_AFTER, Kind.REFUSE})
ANSWER: Final = frozenset({Kind.SLOW_ANSWER, Kind.LOST_ANSWER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        on: What ticketkit calls the operation (`operations.PORTS`), or `any`.
        times: Calls that it strikes; None: until it is ended.
        seconds: Of the slow ones.
        code: Of `refuse`: the reason of the bank.
    """

    kind: Kind
    on: str = ANY
    times: int | None = 1
    seconds: float = 0.0
    code: str | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.on != ANY and self.on not in PORTS:
            raise ValueError(f"{self.on!r} is none of {', '.join(sorted(PORTS))}")
        if self.kind is Kind.REFUSE and self.on not in _REFUSABLE:
            raise ValueError(f"Only {', '.join(sorted(_REFUSABLE))} can be refused")

    @property
    def decline(self) -> Decline:
        """How the bank says no."""
        if self.on == "refund":
            return Decline(self.code or "charge_disputed")
        if self.code in _OWN_CODE:
            return Decline(self.code)
        return Decline("card_declined", self.code or "generic_decline")


class Faults:
    """The faults that are set."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[Fault, int | None]] = {}
        self._made = 0

    def set(self, fault: Fault) -> str:
        """Let it happen from now on.

        Returns:
            Its id.
        """
        self._made += 1
        id = f"fault_{self._made}"
        self._left[id] = (fault, fault.times)
        return id

    def end(self, id: str | None = None) -> None:
        """End one, or all."""
        if id is None:
            self._left.clear()
        else:
            self._left.pop(id, None)

    def strike(self, ports: Collection[str], kinds: Collection[Kind]) -> list[Fault]:
        """The faults of these kinds that strike a call; it counts for each of them."""
        struck = [(id, fault) for id, (fault, _) in self._left.items() if fault.kind in kinds and _aims(fault, ports)]
        for id, fault in struck:
            left = self._left[id][1]
            if left is not None:
                self._left[id] = (fault, left - 1)
                if left == 1:
                    del self._left[id]
        return [fault for _, fault in struck]


def _aims(fault: Fault, ports: Collection[str]) -> bool:
    return fault.on == ANY or fault.on in ports


class Dropped(Exception):
    """The connection is to be dropped instead of an answer."""


def refuse_arrival(fault: Fault) -> Exception:
    """What a fault on arrival ends a call with."""
    if fault.kind is Kind.LOST_CALL:
        return Dropped("call")
    if fault.kind is Kind.UNAVAILABLE:
        return broken("Stripe is not available.", status=503, unstarted=True)
    if fault.kind is Kind.LOCKED:
        return too_many("Another call holds this object.", code="lock_timeout")
    return too_many("Too many calls.")
