"""What the books of a simulator say, as its control API gives them out and its client reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ticketkit_stripe.simulator.books import Movement
from ticketkit_stripe.simulator.journal import Entry, Violation
from ticketkit_stripe.simulator.simulation import Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentLine:
    """One intent.

    Attributes:
        held: Minor units on hold now.
        captured: Minor units taken.
        refunded: Minor units given back, or on their way.
        attempts: Charges that were tried.
        captures: How often money was taken: more than one is a double charge.
        code: Of the last decline.
    """

    id: str
    status: str
    amount: int
    currency: str
    held: int
    captured: int
    refunded: int
    attempts: int
    captures: int
    code: str | None
    cancellation_reason: str | None
    client_secret: str
    created: int
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLine:
    """One refund."""

    id: str
    intent: str
    charge: str
    amount: int
    currency: str
    status: str
    reason: str | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Of webhooks, since the start.

    Attributes:
        attempts: Posts; each was `delivered` (2xx) or `failed`.
        given_up: Copies that were tried as often as is allowed.
        lost: Events that chaos has lost.
        held: Events that wait for `release` now.
        outstanding: Copies that are on their way now.
    """

    attempts: int = 0
    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    lost: int = 0
    held: int = 0
    outstanding: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The whole of it.

    Attributes:
        calls: The newest 20,000.
        counts: Calls by operation.
        violations: What no client of Stripe should send; a test of a client asserts that there are none.
        events: How many there are.
    """

    intents: list[IntentLine]
    refunds: list[RefundLine]
    movements: list[Movement]
    calls: list[Entry]
    counts: dict[str, int]
    violations: list[Violation]
    deliveries: Deliveries
    events: int

    def intent(self, id: str) -> IntentLine:
        """The line of an intent.

        Raises:
            KeyError: There is none.
        """
        for line in self.intents:
            if line.id == id:
                return line
        raise KeyError(id)

    def of(self, **metadata: str) -> list[IntentLine]:
        """The intents that have these metadata."""
        return [line for line in self.intents if metadata.items() <= line.metadata.items()]

    def moved(self, kind: str, intent: str | None = None) -> int:
        """Minor units that moved in that way, of one intent or of all."""
        return sum(
            movement.amount
            for movement in self.movements
            if movement.kind == kind and intent in {None, movement.intent}
        )


def statement_of(simulation: Simulation) -> Statement:
    """What the books of a simulation say now."""
    books, sender, journal = simulation.engine.books, simulation.sender, simulation.journal
    counts: dict[str, Any] = {**sender.counts, "held": sender.held, "outstanding": sender.outstanding}
    return Statement(
        intents=_intents(simulation),
        refunds=[
            RefundLine(
                id=refund.id,
                intent=refund.intent,
                charge=refund.charge,
                amount=refund.amount,
                currency=refund.currency,
                status=refund.status,
                reason=refund.reason,
                metadata=refund.metadata,
            )
            for refund in books.refunds.values()
        ],
        movements=books.movements,
        calls=list(journal.calls),
        counts=dict(journal.counts),
        violations=journal.violations,
        deliveries=Deliveries(**counts),
        events=len(books.events),
    )


def _intents(simulation: Simulation) -> list[IntentLine]:
    books = simulation.engine.books
    attempts, captures, refunded = _sums(simulation)
    return [
        IntentLine(
            id=intent.id,
            status=intent.status,
            amount=intent.amount,
            currency=intent.currency,
            held=intent.amount_capturable,
            captured=intent.amount_received,
            refunded=refunded.get(intent.id, 0),
            attempts=attempts.get(intent.id, 0),
            captures=captures.get(intent.id, 0),
            code=(intent.error or {}).get("decline_code") or (intent.error or {}).get("code"),
            cancellation_reason=intent.cancellation_reason,
            client_secret=intent.client_secret,
            created=intent.created,
            metadata=intent.metadata,
        )
        for intent in books.intents.values()
    ]


def _sums(simulation: Simulation) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    books = simulation.engine.books
    attempts: dict[str, int] = {}
    captures: dict[str, int] = {}
    refunded: dict[str, int] = {}
    for charge in books.charges.values():
        attempts[charge.intent] = attempts.get(charge.intent, 0) + 1
        refunded[charge.intent] = refunded.get(charge.intent, 0) + charge.amount_refunded
    for movement in books.movements:
        if movement.kind == "capture":
            captures[movement.intent] = captures.get(movement.intent, 0) + 1
    return attempts, captures, refunded
