"""Holds what payments has on record of a charge against the provider's books: what is not over, and what differs.

Pure: the same records give the same findings. Each names its trouble, and `REPAIRS` says who ends that, and how.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import Charge, ChargeStatus, OrderCopy, Refund, RefundStatus
from ticketkit.domain.money import Money
from ticketkit.domain.payments import may_capture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ticketkit.backends.payments import ProviderCharge

ORDERS_PATIENCE: Final = timedelta(seconds=60)
"""How old an authorized charge may be before it is strange that orders has not answered; it takes milliseconds."""


class Needs(StrEnum):
    """Who ends a trouble."""

    TICKETKIT = "ticketkit"
    """The reconciler, alone."""
    TIME = "time"
    """The buyer, the bank or orders; and else the order's expiry."""
    PEOPLE = "people"
    NOBODY = "nobody"
    """It is for the record."""


class Trouble(StrEnum):
    """What is not over, or differs."""

    UNFINISHED = "unfinished"
    VOID_OWED = "void_owed"
    REFUND_OPEN = "refund_open"
    MONEY_HELD = "money_held"
    CAPTURED_UNEXPECTEDLY = "captured_unexpectedly"
    WAITS_FOR_BUYER = "waits_for_buyer"
    WAITS_FOR_PROVIDER = "waits_for_provider"
    WAITS_FOR_ORDERS = "waits_for_orders"
    ORDERS_SILENT = "orders_silent"
    VOID_REFUSED = "void_refused"
    REFUND_REFUSED = "refund_refused"
    NOT_CAPTURED = "not_captured"
    NOT_IN_BOOKS = "not_in_books"
    AMOUNT_DIFFERS = "amount_differs"
    REFUND_NOT_ON_RECORD = "refund_not_on_record"
    REFUND_BOUNCED = "refund_bounced"
    OTHER_PROVIDER = "other_provider"
    PROVIDER_AWAY = "provider_away"
    FAILING = "failing"
    PAYMENT_UNKNOWN = "payment_unknown"
    WEBHOOK_UNKNOWN = "webhook_unknown"
    WEBHOOK_FAILED = "webhook_failed"


class Repair(NamedTuple):
    """Who ends a trouble, and how."""

    needs: Needs
    how: str


_ALONE: Final = "The payments service does it by itself, `ticketkit reconcile` at once."

REPAIRS: Final[dict[Trouble, Repair]] = {
    Trouble.UNFINISHED: Repair(Needs.TICKETKIT, _ALONE),
    Trouble.VOID_OWED: Repair(Needs.TICKETKIT, _ALONE),
    Trouble.REFUND_OPEN: Repair(Needs.TICKETKIT, _ALONE),
    Trouble.MONEY_HELD: Repair(Needs.TICKETKIT, "`ticketkit reconcile --all` has it let go."),
    Trouble.CAPTURED_UNEXPECTEDLY: Repair(
        Needs.TICKETKIT, "If the order does not want it, `ticketkit reconcile --all` gives it back."
    ),
    Trouble.WAITS_FOR_BUYER: Repair(Needs.TIME, "The buyer acts, or the order expires."),
    Trouble.WAITS_FOR_PROVIDER: Repair(Needs.TIME, "The provider decides, or the order expires."),
    Trouble.WAITS_FOR_ORDERS: Repair(Needs.TIME, "Orders pins the order or cancels it, in a moment."),
    Trouble.ORDERS_SILENT: Repair(
        Needs.PEOPLE,
        "See that orders, the relay of payments and the bus run (`/readyz`, `ticketkit doctor`), and that no event is "
        "dead (`ticketkit dead list`).",
    ),
    Trouble.VOID_REFUSED: Repair(Needs.PEOPLE, "Cancel the payment at the provider, or ask it why it can't be."),
    Trouble.REFUND_REFUSED: Repair(
        Needs.PEOPLE,
        "Mend what the provider's code says (an empty balance?), then POST /api/payments/{id}/refunds; or refund it at "
        "the provider.",
    ),
    Trouble.NOT_CAPTURED: Repair(
        Needs.PEOPLE, "The order counts as paid: take the money at the provider, or ask the buyer for it."
    ),
    Trouble.NOT_IN_BOOKS: Repair(
        Needs.PEOPLE, "See that TICKETKIT_PAYMENTS names the account that the payment was made with (test or live)."
    ),
    Trouble.AMOUNT_DIFFERS: Repair(
        Needs.PEOPLE, "Look the payment up at the provider; give back what was taken too much."
    ),
    Trouble.REFUND_NOT_ON_RECORD: Repair(
        Needs.PEOPLE, "Somebody gave it back at the provider. `ticketkit reconcile --all --adopt` puts it on record."
    ),
    Trouble.REFUND_BOUNCED: Repair(
        Needs.PEOPLE, "The money came back to you: give it to the buyer in another way, or again at the provider."
    ),
    Trouble.OTHER_PROVIDER: Repair(
        Needs.PEOPLE, "Run payments, or `ticketkit reconcile`, with TICKETKIT_PAYMENTS as it was."
    ),
    Trouble.PROVIDER_AWAY: Repair(Needs.PEOPLE, "Reconcile again when the provider answers; nothing is lost."),
    Trouble.FAILING: Repair(Needs.PEOPLE, "The log has the error: mend its cause. It is tried again by itself."),
    Trouble.PAYMENT_UNKNOWN: Repair(
        Needs.PEOPLE,
        "The provider has money of a charge that is not on record (a restored backup?): void or refund it there.",
    ),
    Trouble.WEBHOOK_UNKNOWN: Repair(Needs.NOBODY, "Nothing: the provider has no money of it."),
    Trouble.WEBHOOK_FAILED: Repair(Needs.PEOPLE, "The log has the error: mend its cause, then reconcile again."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One trouble with one charge, refund or webhook.

    Attributes:
        what: What is, as a sentence.
        reference: The provider's id of the payment.
    """

    trouble: Trouble
    what: str
    charge_id: str | None = None
    order_id: str | None = None
    refund_id: str | None = None
    webhook_id: str | None = None
    reference: str | None = None

    @property
    def needs(self) -> Needs:
        """Who ends it."""
        return REPAIRS[self.trouble].needs

    @property
    def repair(self) -> str:
        """How it is ended."""
        return REPAIRS[self.trouble].how

    @property
    def about(self) -> str:
        """What it is about, for people."""
        named = {"charge": self.charge_id, "order": self.order_id, "refund": self.refund_id, "webhook": self.webhook_id}
        return ", ".join(f"{name} {id}" for name, id in named.items() if id is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What payments has on record of one charge.

    Attributes:
        copy: Of its order; None when there is none.
    """

    charge: Charge
    refunds: tuple[Refund, ...] = ()
    copy: OrderCopy | None = None

    @property
    def given(self) -> int:
        """Minor units given back."""
        return sum(refund.amount.minor for refund in self.refunds if refund.status is RefundStatus.COMPLETED)

    @property
    def open_refunds(self) -> tuple[Refund, ...]:
        """Refunds that are neither completed nor failed."""
        return tuple(refund for refund in self.refunds if refund.status is RefundStatus.CREATED)

    def finding(self, trouble: Trouble, what: str, *, refund: Refund | None = None) -> Finding:
        """A finding about it."""
        return Finding(
            trouble=trouble,
            what=what,
            charge_id=self.charge.id,
            order_id=self.charge.order_id,
            refund_id=None if refund is None else refund.id,
            reference=self.charge.reference,
        )


def settled(charge: Charge) -> bool:
    """Whether nobody has to look after a charge or its refunds any more, by what is on record."""
    return charge.status.final and charge.due_at is None and charge.refunded == charge.given_back


def has_money(booked: ProviderCharge) -> bool:
    """Whether the provider holds or keeps money of it, or may get some."""
    if booked.status is ProviderStatus.CAPTURED:
        return booked.captured > booked.refunded
    return booked.status not in (ProviderStatus.VOID, ProviderStatus.DECLINED)


def unfinished(record: Record, *, now: datetime) -> tuple[Finding, ...]:
    """What is not over, by what is on record."""
    return (*_of_charge(record, now), *_of_refunds(record))


def compare(record: Record, booked: ProviderCharge | None, *, now: datetime) -> tuple[Finding, ...]:
    """What is not over, and what differs from the provider's books.

    Args:
        record: The same before and after the books were read: what is done meanwhile is no difference.
        booked: What the books say of the charge's reference; None when they have no such payment.
        now: The storage's time.
    """
    open_ones = unfinished(record, now=now)
    if booked is None:
        return (*open_ones, *_absent(record))
    found = [_by_books(record, finding, booked) for finding in open_ones]
    known = {finding.trouble for finding in found}
    found += [finding for finding in _differences(record, booked) if finding.trouble not in known]
    return tuple(found)


def _of_charge(record: Record, now: datetime) -> Iterator[Finding]:
    charge = record.charge
    if charge.owes_void:
        yield record.finding(Trouble.VOID_OWED, "It failed, and the provider has still to let its money go.")
        return
    match charge.status:
        case ChargeStatus.CREATED:
            yield record.finding(Trouble.UNFINISHED, "It was begun, and the provider has not decided it.")
        case ChargeStatus.REQUIRES_ACTION:
            yield record.finding(Trouble.WAITS_FOR_BUYER, "Its buyer has to act.")
        case ChargeStatus.AUTHORIZED if record.copy is not None and may_capture(charge, record.copy):
            yield record.finding(Trouble.UNFINISHED, "Its order waits for the money, which is still to be captured.")
        case ChargeStatus.AUTHORIZED if now - charge.created_at > ORDERS_PATIENCE:
            yield record.finding(Trouble.ORDERS_SILENT, "Its money is held, and orders does not say whether it is due.")
        case ChargeStatus.AUTHORIZED:
            yield record.finding(Trouble.WAITS_FOR_ORDERS, "Its money is held until orders says whether it is due.")
        case ChargeStatus.FAILED | ChargeStatus.COMPLETED if charge.due_at is not None and not record.open_refunds:
            yield _kept(record)


def _of_refunds(record: Record) -> Iterable[Finding]:
    for refund in record.open_refunds:
        yield record.finding(Trouble.REFUND_OPEN, f"{refund.amount} are still to be given back.", refund=refund)


def _kept(record: Record) -> Finding:
    codes = ", ".join(refund.code for refund in record.refunds if refund.code) or "unknown"
    charge, costs, why = record.charge, 0, "It failed with its money taken"
    if charge.status is ChargeStatus.COMPLETED and record.copy is not None:
        costs, why = record.copy.total.minor, "The live event of its order is cancelled"
    left = Money(charge.amount.minor - costs - record.given, charge.amount.currency)
    return record.finding(Trouble.REFUND_REFUSED, f"{why}, and the refund of {left} was refused ({codes}).")


def _by_books(record: Record, finding: Finding, booked: ProviderCharge) -> Finding:
    """What is not over, in the light of the books: who is waited for."""
    if record.charge.status not in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION):
        return finding
    if finding.trouble is Trouble.UNFINISHED and booked.status is ProviderStatus.PENDING:
        return record.finding(Trouble.WAITS_FOR_PROVIDER, "The provider has not decided it.")
    if booked.status is ProviderStatus.REQUIRES_ACTION:
        return record.finding(Trouble.WAITS_FOR_BUYER, "Its buyer has to act.")
    if finding.trouble is Trouble.WAITS_FOR_BUYER:
        return record.finding(Trouble.UNFINISHED, f"The provider has it as {booked.status.value} by now.")
    return finding


def _absent(record: Record) -> Iterator[Finding]:
    if record.charge.status is ChargeStatus.COMPLETED:
        yield record.finding(Trouble.NOT_IN_BOOKS, "It is completed, and the provider has no such payment.")


def _differences(record: Record, booked: ProviderCharge) -> Iterator[Finding]:
    charge = record.charge
    match charge.status:
        case ChargeStatus.COMPLETED:
            yield from _of_completed(record, booked)
            yield from _of_given(record, booked)
        case ChargeStatus.FAILED if not charge.owes_void and not record.open_refunds:
            yield from _of_failed(record, booked)
        case ChargeStatus.AUTHORIZED if booked.status is ProviderStatus.CAPTURED and not _expected(record):
            yield record.finding(
                Trouble.CAPTURED_UNEXPECTEDLY, f"{_taken(booked)} were captured, and are not on record."
            )
    if charge.status is not ChargeStatus.COMPLETED and booked.amount != charge.amount and has_money(booked):
        yield record.finding(Trouble.AMOUNT_DIFFERS, f"It is of {charge.amount}, at the provider of {booked.amount}.")


def _expected(record: Record) -> bool:
    """Whether a capture of an authorized charge is what was asked for, and only its answer was lost."""
    return record.charge.taken or (record.copy is not None and may_capture(record.charge, record.copy))


def _of_completed(record: Record, booked: ProviderCharge) -> Iterator[Finding]:
    if booked.status is not ProviderStatus.CAPTURED:
        what = f"It is completed, and the provider has it as {booked.status.value}."
        yield record.finding(Trouble.NOT_CAPTURED, what)
    elif _taken(booked) != record.charge.amount:
        what = f"{record.charge.amount} are on record, and {_taken(booked)} were captured."
        yield record.finding(Trouble.AMOUNT_DIFFERS, what)


def _of_given(record: Record, booked: ProviderCharge) -> Iterator[Finding]:
    under_way = sum(refund.amount.minor for refund in record.open_refunds)
    currency = booked.amount.currency
    if (more := booked.refunded - record.given - under_way) > 0:
        what = f"{Money(more, currency)} were given back that are not on record."
        yield record.finding(Trouble.REFUND_NOT_ON_RECORD, what)
    elif (less := record.given - booked.refunded) > 0:
        what = f"{Money(less, currency)} are on record as given back, and are not in the provider's books."
        yield record.finding(Trouble.REFUND_BOUNCED, what)


def _of_failed(record: Record, booked: ProviderCharge) -> Iterator[Finding]:
    if not has_money(booked):
        return
    if booked.status is not ProviderStatus.CAPTURED:
        what = f"It failed and owes nothing, and the provider has it as {booked.status.value}."
        yield record.finding(Trouble.MONEY_HELD, what)
    elif record.refunds:
        yield _kept(record)
    else:
        yield record.finding(Trouble.CAPTURED_UNEXPECTEDLY, f"It failed, and {_taken(booked)} were captured.")


def _taken(booked: ProviderCharge) -> Money:
    return Money(booked.captured, booked.amount.currency)
