"""Each invariant notices what would break it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ticketkit.backends.payments import ProviderCharge, ProviderStatus
from ticketkit.backends.storage import Totals
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Holds,
    Line,
    Order,
    OrderCopy,
    OrderStatus,
    Ticket,
    TicketStatus,
    holds_id,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnRefund
from ticketkit.memory.books import Books
from ticketkit_marketplace.demo.invariants import Finding, Snapshot, check

NOW = datetime(2027, 1, 1, tzinfo=UTC)
PRICE = Money(2500, "USD")


def line(ticket_id: str) -> Line:
    return Line(title="Seat", amount=PRICE, ticket_id=ticket_id, event_id="e")


def sound() -> Snapshot:
    """One ticket sold, one locked, one free."""
    paid = Order(
        id="o1",
        buyer_id="b",
        status=OrderStatus.COMPLETED,
        lines=(line("t1"),),
        expires_at=NOW,
        placed_until=NOW,
        charge_id="c1",
        created_at=NOW,
        version=3,
    )
    later = NOW + timedelta(minutes=5)
    waiting = replace(
        paid, id="o2", status=OrderStatus.CREATED, lines=(line("t2"),), expires_at=later, charge_id=None, version=1
    )
    ticket = Ticket(id="t1", title="Seat", price=PRICE, seller_id="s", created_at=NOW)
    charge = Charge(
        id="c1",
        order_id="o1",
        buyer_id="b",
        amount=PRICE,
        status=ChargeStatus.COMPLETED,
        provider="fake",
        reference="p1",
        created_at=NOW,
    )
    booked = ProviderCharge(
        reference="p1", charge_id="c1", status=ProviderStatus.CAPTURED, amount=PRICE, captured=PRICE.minor
    )
    return Snapshot(
        now=NOW,
        tickets={
            "t1": replace(ticket, status=TicketStatus.SOLD, order_id="o1"),
            "t2": replace(ticket, id="t2", status=TicketStatus.LOCKED, order_id="o2"),
            "t3": replace(ticket, id="t3"),
        },
        orders={"o1": paid, "o2": waiting},
        copies={order.id: copy_of(order) for order in (paid, waiting)},
        charges={"c1": charge},
        holds={holds_id("b", "e"): Holds(id=holds_id("b", "e"), orders=(("o2", 1),))},
        totals=Totals(),
        books=Books((booked,)),
        acknowledged=frozenset({"o1", "o2"}),
        paid=frozenset({"o1"}),
    )


def copy_of(order: Order) -> OrderCopy:
    return OrderCopy(
        id=order.id,
        buyer_id=order.buyer_id,
        status=order.status,
        total=order.total,
        expires_at=order.expires_at,
        charge_id=order.charge_id,
        order_version=order.version,
    )


def broken(found: Snapshot) -> "list[Finding]":
    return [finding for finding in check(found) if not finding.holds]


def test_a_sound_marketplace_breaks_none() -> None:
    assert broken(sound()) == []


def sold_twice(found: Snapshot) -> None:
    second = replace(found.orders["o2"], status=OrderStatus.COMPLETED, lines=(line("t1"),))
    found.orders["o2"] = second
    found.__post_init__()


def sold_for_nothing(found: Snapshot) -> None:
    found.tickets["t3"] = replace(found.tickets["t3"], status=TicketStatus.SOLD, order_id="o9")


def sold_and_free(found: Snapshot) -> None:
    found.tickets["t1"] = replace(found.tickets["t1"], status=TicketStatus.AVAILABLE, order_id=None)


def locked_for_a_dead_order(found: Snapshot) -> None:
    found.tickets["t2"] = replace(found.tickets["t2"], order_id="o1")


def captured_twice(found: Snapshot) -> None:
    found.books = Books((*found.books.charges, replace(found.books.charges[0], reference="p2")))


def captured_without_an_order(found: Snapshot) -> None:
    found.orders["o1"] = replace(found.orders["o1"], status=OrderStatus.CANCELLED)
    found.__post_init__()


def captured_another_amount(found: Snapshot) -> None:
    found.books = Books((replace(found.books.charges[0], captured=1),))


def given_back_unknown_to_us(found: Snapshot) -> None:
    found.books = Books((replace(found.books.charges[0], refunded=1),))


def taken_without_a_charge(found: Snapshot) -> None:
    found.books = Books((*found.books.charges, replace(found.books.charges[0], reference="p2", charge_id="c9")))


def completed_without_money(found: Snapshot) -> None:
    found.books = Books()


def open_past_its_time(found: Snapshot) -> None:
    found.now = NOW + timedelta(minutes=6)


def money_held(found: Snapshot) -> None:
    held = replace(found.books.charges[0], reference="p2", charge_id="c2", status=ProviderStatus.AUTHORIZED)
    found.books = Books((*found.books.charges, held))


def void_owed(found: Snapshot) -> None:
    found.charges["c2"] = replace(found.charges["c1"], id="c2", status=ChargeStatus.FAILED, owes_void=True)


def events_waiting(found: Snapshot) -> None:
    found.totals = Totals(unpublished=1)


def dead_letters(found: Snapshot) -> None:
    found.totals = Totals(dead=1)


def old_copy(found: Snapshot) -> None:
    found.copies["o1"] = replace(found.copies["o1"], order_version=2)


def no_copy(found: Snapshot) -> None:
    del found.copies["o2"]


def hold_left_over(found: Snapshot) -> None:
    found.holds["e/x"] = Holds(id="e/x", orders=(("o1", 1),))


def hold_missing(found: Snapshot) -> None:
    found.holds.clear()


def given_back(found: Snapshot, *, minor: int = PRICE.minor, release: bool = True) -> Snapshot:
    """The charge of the sold ticket is refunded; all of it, and the ticket is for sale again."""
    found.charges["c1"] = replace(found.charges["c1"], refunded=minor, given_back=minor)
    found.books = Books((replace(found.books.charges[0], refunded=minor),))
    if release:
        found.orders["o1"] = replace(found.orders["o1"], released=True, version=4)
        found.copies["o1"] = replace(found.copies["o1"], order_version=4)
        found.tickets["t1"] = replace(found.tickets["t1"], status=TicketStatus.AVAILABLE, order_id=None)
        found.__post_init__()
    return found


def keeping(found: Snapshot) -> Snapshot:
    """Tickets stay sold, by the policy of the order."""
    order = found.orders["o1"]
    found.orders["o1"] = replace(order, policy=replace(order.policy, on_refund=OnRefund.KEEP))
    return found


def sold_again(found: Snapshot) -> Snapshot:
    """After it was given back, somebody else buys the ticket."""
    given_back(found)
    order = replace(found.orders["o1"], id="o3", released=False, charge_id="c3", version=3)
    found.orders["o3"], found.copies["o3"] = order, copy_of(order)
    found.charges["c3"] = replace(found.charges["c1"], id="c3", order_id="o3", reference="p3", refunded=0, given_back=0)
    found.books = Books(
        (*found.books.charges, replace(found.books.charges[0], reference="p3", charge_id="c3", refunded=0))
    )
    found.tickets["t1"] = replace(found.tickets["t1"], status=TicketStatus.SOLD, order_id="o3")
    found.__post_init__()
    return found


def taken_and_given_back(found: Snapshot) -> Snapshot:
    """A method that takes money at once, for an order that was gone by then."""
    gone = replace(found.orders["o1"], id="o4", status=OrderStatus.CANCELLED, charge_id=None, version=2)
    found.orders["o4"], found.copies["o4"] = gone, copy_of(gone)
    found.charges["c4"] = replace(
        found.charges["c1"],
        id="c4",
        order_id="o4",
        reference="p4",
        status=ChargeStatus.FAILED,
        taken=True,
        refunded=PRICE.minor,
        given_back=PRICE.minor,
    )
    booked = replace(found.books.charges[0], reference="p4", charge_id="c4", refunded=PRICE.minor)
    found.books = Books((*found.books.charges, booked))
    return found


def called_off(found: Snapshot, *, refunded: int = PRICE.minor) -> Snapshot:
    """The live event of the sold ticket is cancelled: whatever the policy says, its money is given back."""
    keeping(given_back(found, minor=refunded))
    found.orders["o1"] = replace(found.orders["o1"], reason=CancelReason.EVENT_CANCELLED)
    found.copies["o1"] = replace(found.copies["o1"], reason=CancelReason.EVENT_CANCELLED)
    found.tickets["t1"] = replace(found.tickets["t1"], status=TicketStatus.WITHDRAWN)
    return found


def half_called_off(found: Snapshot, *, refunded: int = PRICE.minor) -> Snapshot:
    """An order of two tickets keeps one of them, and the money of the other is given back."""
    both = Money(2 * PRICE.minor, "USD")
    found.orders["o1"] = replace(found.orders["o1"], reason=CancelReason.EVENT_CANCELLED)
    found.copies["o1"] = replace(found.copies["o1"], reason=CancelReason.EVENT_CANCELLED)
    found.charges["c1"] = replace(found.charges["c1"], amount=both, refunded=refunded, given_back=refunded)
    booked = replace(found.books.charges[0], amount=both, captured=both.minor, refunded=refunded)
    found.books = Books((booked,))
    return found


@pytest.mark.parametrize(
    "make",
    [
        given_back,
        sold_again,
        taken_and_given_back,
        lambda found: given_back(found, minor=1, release=False),
        lambda found: given_back(keeping(found), release=False),
        called_off,
        half_called_off,
    ],
    ids=[
        "all given back",
        "sold again",
        "taken at once and given back",
        "part given back",
        "given back and kept",
        "called off",
        "half called off",
    ],
)
def test_money_given_back_breaks_none(make: "Callable[[Snapshot], Snapshot]") -> None:
    assert broken(make(sound())) == []


def released_for_a_part(found: Snapshot) -> None:
    given_back(found, minor=1)


def called_off_for_a_part(found: Snapshot) -> None:
    called_off(found, refunded=1)


def half_called_off_for_less(found: Snapshot) -> None:
    half_called_off(found, refunded=1)


def given_back_and_still_sold(found: Snapshot) -> None:
    given_back(found, release=False)


def given_back_kept_and_released(found: Snapshot) -> None:
    given_back(keeping(found))


def given_back_and_still_named(found: Snapshot) -> None:
    given_back(found)
    found.tickets["t1"] = replace(found.tickets["t1"], order_id="o1")


def refunded_twice_the_same_sale(found: Snapshot) -> None:
    given_back(found)
    found.books = Books((*found.books.charges, replace(found.books.charges[0], reference="p2")))


def refunded_of_a_cancelled_order(found: Snapshot) -> None:
    given_back(found)
    found.orders["o1"] = replace(found.orders["o1"], status=OrderStatus.CANCELLED, released=False)


def taken_for_nothing_and_kept(found: Snapshot) -> None:
    taken_and_given_back(found)
    found.books = Books((found.books.charges[0], replace(found.books.charges[1], refunded=1)))


def order_lost(found: Snapshot) -> None:
    found.acknowledged |= {"o9"}


def payment_lost(found: Snapshot) -> None:
    found.paid |= {"o2"}


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (sold_twice, "No ticket is sold twice"),
        (sold_for_nothing, "A ticket is sold exactly when"),
        (sold_and_free, "A ticket is sold exactly when"),
        (locked_for_a_dead_order, "A ticket is sold exactly when"),
        (captured_twice, "Every captured charge"),
        (captured_without_an_order, "Every captured charge"),
        (captured_another_amount, "Every captured charge"),
        (completed_without_money, "Every captured charge"),
        (given_back_and_still_named, "A ticket is sold exactly when"),
        (refunded_twice_the_same_sale, "Every captured charge"),
        (refunded_of_a_cancelled_order, "Every captured charge"),
        (taken_for_nothing_and_kept, "Every captured charge"),
        (half_called_off_for_less, "Every captured charge"),
        (called_off_for_a_part, "An order has given its tickets back exactly"),
        (released_for_a_part, "An order has given its tickets back exactly"),
        (given_back_and_still_sold, "An order has given its tickets back exactly"),
        (given_back_kept_and_released, "An order has given its tickets back exactly"),
        (given_back_unknown_to_us, "The provider's books and ours agree"),
        (taken_without_a_charge, "The provider's books and ours agree"),
        (completed_without_money, "The provider's books and ours agree"),
        (open_past_its_time, "No open lock is past its time"),
        (money_held, "No money is held for nothing"),
        (void_owed, "No money is held for nothing"),
        (events_waiting, "The outbox is empty"),
        (dead_letters, "The outbox is empty"),
        (old_copy, "Every copy equals its owner"),
        (no_copy, "Every copy equals its owner"),
        (hold_left_over, "Tickets on hold are counted right"),
        (hold_missing, "Tickets on hold are counted right"),
        (order_lost, "Whatever a buyer was told is so"),
        (payment_lost, "Whatever a buyer was told is so"),
    ],
)
def test_a_planted_fault_is_found(plant: "Callable[[Snapshot], None]", words: str) -> None:
    found = sound()
    plant(found)
    assert any(finding.name.startswith(words) for finding in broken(found))


def test_a_finding_shows_the_first_faults_and_counts_the_rest() -> None:
    assert Finding("x", 1, ("a", "b", "c", "d")).detail == "a; b; c; and 1 more"
    assert Finding("x", 1_000).detail == "1,000 checked"
