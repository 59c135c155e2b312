"""The payment provider's own books at the end, whoever the provider was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ticketkit.backends.payments import ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.memory import read_books
from ticketkit.memory.books import BookedRefund, Books
from ticketkit_marketplace.demo.invariants import Finding

if TYPE_CHECKING:
    from ticketkit_marketplace.demo.system import System
    from ticketkit_stripe.simulator import Statement
    from ticketkit_stripe.simulator.statement import IntentLine

CHARGE: Final = "ticketkit_charge_id"
REFUND: Final = "ticketkit_refund_id"
_STATUSES: Final = {
    "requires_payment_method": ProviderStatus.PREPARED,
    "requires_confirmation": ProviderStatus.PREPARED,
    "requires_action": ProviderStatus.REQUIRES_ACTION,
    "processing": ProviderStatus.PENDING,
    "requires_capture": ProviderStatus.AUTHORIZED,
    "succeeded": ProviderStatus.CAPTURED,
    "canceled": ProviderStatus.VOID,
}


async def closed(system: System) -> tuple[Books, list[Finding]]:
    """The books, and what only the provider can say about how it was used. Stripe's simulator must still run."""
    if system.stripe is None:
        return await asyncio.to_thread(read_books, system.books), []
    await asyncio.to_thread(system.stripe.control.settled)
    statement = await asyncio.to_thread(system.stripe.control.books)
    return books_of(statement), [_asked_rightly(statement), _taken_once(statement)]


def books_of(statement: Statement) -> Books:
    """What Stripe's simulator says, in ticketkit's words."""
    charges = tuple(_charge(line) for line in statement.intents)
    refunds = tuple(
        BookedRefund(
            reference=line.id,
            payment=line.intent,
            refund_id=line.metadata.get(REFUND, ""),
            amount=Money(line.amount, line.currency.upper()),
        )
        for line in statement.refunds
    )
    return Books(charges, refunds)


def _charge(line: IntentLine) -> ProviderCharge:
    status = _STATUSES[line.status]
    if status is ProviderStatus.PREPARED and line.code:
        status = ProviderStatus.DECLINED
    return ProviderCharge(
        reference=line.id,
        charge_id=line.metadata.get(CHARGE, ""),
        status=status,
        amount=Money(line.amount, line.currency.upper()),
        captured=line.captured,
        refunded=line.refunded,
        code=line.code,
    )


def _asked_rightly(statement: Statement) -> Finding:
    calls = sum(statement.counts.values())
    return Finding(
        "Stripe was asked for nothing that it does not know", calls, tuple(str(found) for found in statement.violations)
    )


def _taken_once(statement: Statement) -> Finding:
    wrong = [f"{line.id} was captured {line.captures} times" for line in statement.intents if line.captures > 1]
    return Finding("Stripe took no money twice", len(statement.intents), tuple(wrong))
