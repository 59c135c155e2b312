"""What differs between the payments on record and the provider's books, and who ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticketkit.backends.payments import ProviderCharge, ProviderStatus
from ticketkit.domain.entities import Charge, ChargeStatus, OrderCopy, OrderStatus, Refund, RefundStatus
from ticketkit.domain.money import Money
from ticketkit.services.comparison import REPAIRS, Needs, Record, Trouble, compare, settled, unfinished

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AMOUNT = Money(2000, "USD")
CHARGE = Charge(
    id="c", order_id="o", buyer_id="b", amount=AMOUNT, provider="fake", reference="ref", created_at=NOW, due_at=NOW
)
CREATED, ACTION, AUTHORIZED, COMPLETED, FAILED = (
    replace(CHARGE, status=status, due_at=None if status.final else NOW) for status in ChargeStatus
)
OWING = replace(FAILED, owes_void=True, due_at=NOW)
WAITS = OrderCopy(
    id="o",
    buyer_id="b",
    status=OrderStatus.AWAITING_PAYMENT,
    total=AMOUNT,
    expires_at=NOW,
    charge_id="c",
    order_version=2,
)


def refund(status: RefundStatus, minor: int = 2000) -> Refund:
    code = "no" if status is RefundStatus.FAILED else None
    return Refund(
        id="r", charge_id="c", order_id="o", amount=Money(minor, "USD"), status=status, code=code, created_at=NOW
    )


def record(charge: Charge, *refunds: Refund, copy: OrderCopy | None = None) -> Record:
    open_or_done = sum(one.amount.minor for one in refunds if one.status is not RefundStatus.FAILED)
    done = sum(one.amount.minor for one in refunds if one.status is RefundStatus.COMPLETED)
    charge = replace(charge, refunded=open_or_done, given_back=done, refund_ids=tuple(one.id for one in refunds))
    return Record(charge=charge, refunds=refunds, copy=copy)


def booked(status: str, *, captured: int | None = None, **what: Any) -> ProviderCharge:
    found = ProviderStatus(status)
    if captured is None:
        captured = 2000 if found is ProviderStatus.CAPTURED else 0
    return ProviderCharge(reference="ref", charge_id="c", status=found, captured=captured, **{"amount": AMOUNT, **what})


def troubles(ours: Record, theirs: ProviderCharge | None, *, age: float = 0) -> list[str]:
    return [finding.trouble for finding in compare(ours, theirs, now=NOW + timedelta(seconds=age))]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (record(COMPLETED), booked("captured")),
        (record(FAILED), booked("void")),
        (record(FAILED), booked("declined")),
        (record(FAILED), None),
        (record(replace(FAILED, reference=None)), None),
        (record(COMPLETED, refund(RefundStatus.COMPLETED, 500)), booked("captured", refunded=500)),
        (record(COMPLETED, refund(RefundStatus.FAILED)), booked("captured")),
        (record(replace(FAILED, taken=True), refund(RefundStatus.COMPLETED)), booked("captured", refunded=2000)),
        # People gave back what the provider had refused to.
        (record(replace(FAILED, taken=True), refund(RefundStatus.FAILED)), booked("captured", refunded=2000)),
    ],
)
def test_what_agrees_is_no_finding(ours: Record, theirs: ProviderCharge | None) -> None:
    assert troubles(ours, theirs, age=9999) == []
    assert settled(ours.charge)


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (record(CREATED), booked("prepared"), Trouble.UNFINISHED),
        (record(replace(CREATED, reference=None)), None, Trouble.UNFINISHED),
        (record(CREATED), booked("authorized"), Trouble.UNFINISHED),
        (record(CREATED), booked("pending"), Trouble.WAITS_FOR_PROVIDER),
        (record(CREATED), booked("requires_action"), Trouble.WAITS_FOR_BUYER),
        (record(ACTION), booked("requires_action"), Trouble.WAITS_FOR_BUYER),
        (record(ACTION), booked("pending"), Trouble.UNFINISHED),
        (record(ACTION), booked("captured"), Trouble.UNFINISHED),
        (record(AUTHORIZED), booked("authorized"), Trouble.WAITS_FOR_ORDERS),
        (record(AUTHORIZED, copy=WAITS), booked("authorized"), Trouble.UNFINISHED),
        (record(OWING), booked("authorized"), Trouble.VOID_OWED),
        (record(OWING), booked("captured"), Trouble.VOID_OWED),
        (record(OWING), booked("pending"), Trouble.WAITS_FOR_PROVIDER),
        (record(COMPLETED, refund(RefundStatus.CREATED)), booked("captured"), Trouble.REFUND_OPEN),
        # Its answer was lost: it is asked for again with the same key.
        (record(COMPLETED, refund(RefundStatus.CREATED)), booked("captured", refunded=2000), Trouble.REFUND_OPEN),
        (record(replace(FAILED, taken=True), refund(RefundStatus.CREATED)), booked("captured"), Trouble.REFUND_OPEN),
    ],
)
def test_what_is_not_over_is_found_and_ends_without_people(
    ours: Record, theirs: ProviderCharge | None, found: Trouble
) -> None:
    assert troubles(ours, theirs) == [found]
    assert REPAIRS[found].needs in (Needs.TICKETKIT, Needs.TIME)
    assert not settled(ours.charge)


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (record(FAILED), booked("authorized"), Trouble.MONEY_HELD),
        (record(FAILED), booked("requires_action"), Trouble.MONEY_HELD),
        (record(FAILED), booked("captured"), Trouble.CAPTURED_UNEXPECTEDLY),
    ],
)
def test_money_of_a_failed_charge_is_found(ours: Record, theirs: ProviderCharge, found: Trouble) -> None:
    assert troubles(ours, theirs) == [found]
    assert REPAIRS[found].needs is Needs.TICKETKIT


def test_a_capture_without_a_reason_is_found() -> None:
    assert troubles(record(AUTHORIZED), booked("captured")) == ["waits_for_orders", "captured_unexpectedly"]
    assert troubles(record(replace(AUTHORIZED, taken=True)), booked("captured")) == ["waits_for_orders"]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (record(COMPLETED), None, Trouble.NOT_IN_BOOKS),
        (record(COMPLETED), booked("authorized"), Trouble.NOT_CAPTURED),
        (record(COMPLETED), booked("void"), Trouble.NOT_CAPTURED),
        (record(COMPLETED), booked("captured", captured=1999), Trouble.AMOUNT_DIFFERS),
        (record(COMPLETED), booked("captured", refunded=1), Trouble.REFUND_NOT_ON_RECORD),
        (
            record(COMPLETED, refund(RefundStatus.COMPLETED, 500)),
            booked("captured", refunded=700),
            Trouble.REFUND_NOT_ON_RECORD,
        ),
        (record(COMPLETED, refund(RefundStatus.COMPLETED, 500)), booked("captured"), Trouble.REFUND_BOUNCED),
        (
            record(replace(FAILED, taken=True, due_at=NOW), refund(RefundStatus.FAILED)),
            booked("captured"),
            Trouble.REFUND_REFUSED,
        ),
    ],
)
def test_what_people_have_to_mend_is_found_once(ours: Record, theirs: ProviderCharge | None, found: Trouble) -> None:
    [finding] = compare(ours, theirs, now=NOW)
    assert (finding.trouble, finding.needs) == (found, Needs.PEOPLE)
    assert (finding.charge_id, finding.order_id, finding.reference) == ("c", "o", "ref")
    assert finding.what.endswith(".")
    assert finding.repair.endswith(".")


def test_another_amount_at_the_provider_is_found_before_the_money_is_taken() -> None:
    ours, theirs = record(AUTHORIZED), booked("authorized", amount=Money(2000, "EUR"))
    assert troubles(ours, theirs) == ["waits_for_orders", "amount_differs"]
    assert troubles(record(FAILED), booked("void", amount=Money(1, "USD"))) == []


def test_an_unknown_refund_beside_one_under_way_is_what_is_more_than_both() -> None:
    ours = record(COMPLETED, refund(RefundStatus.CREATED, 500))
    assert troubles(ours, booked("captured", refunded=500)) == ["refund_open"]
    found = compare(ours, booked("captured", refunded=800), now=NOW)
    assert [one.trouble for one in found] == ["refund_open", "refund_not_on_record"]
    assert found[0].refund_id == "r"
    assert "3.00 USD" in found[1].what


def test_orders_that_says_nothing_is_for_people_after_a_minute() -> None:
    ours = record(AUTHORIZED)
    assert troubles(ours, booked("authorized"), age=60) == ["waits_for_orders"]
    assert troubles(ours, booked("authorized"), age=61) == ["orders_silent"]
    assert REPAIRS[Trouble.ORDERS_SILENT].needs is Needs.PEOPLE


def test_without_the_books_what_is_not_over_is_known_by_the_record() -> None:
    kept = record(replace(FAILED, taken=True, due_at=NOW), refund(RefundStatus.FAILED))
    [finding] = unfinished(kept, now=NOW)
    assert finding.trouble is Trouble.REFUND_REFUSED
    assert "20.00 USD" in finding.what
    assert "(no)" in finding.what
    assert unfinished(record(COMPLETED), now=NOW) == ()


def test_every_trouble_says_who_ends_it_and_how() -> None:
    assert set(REPAIRS) == set(Trouble)
    assert all(repair.how.endswith(".") for repair in REPAIRS.values())
