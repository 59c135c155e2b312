from typing import Any

import pytest
from tests.domain.world import World, usd

from ticketkit.domain.decision import Command
from ticketkit.domain.entities import Ticket, TicketStatus
from ticketkit.domain.errors import DomainError, Forbidden, InvalidInput, InvalidMoney, NotFound, TicketUnavailable
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing, list_tickets


@pytest.fixture
def world() -> World:
    return World()


def test_a_listed_ticket_is_available(world: World) -> None:
    world.announce("gig")
    ticket = world.list("t1", title=" Row A ", price="19.99", event_id="gig", seat=" 12 ", extra={"acme:x": 1})
    assert (ticket.status, ticket.version, ticket.order_id) == (TicketStatus.AVAILABLE, 1, None)
    assert (ticket.title, ticket.seat, ticket.price) == ("Row A", "12", Money(1999, "USD"))
    assert (ticket.seller_id, ticket.event_id, ticket.created_at) == ("seller", "gig", world.now)
    assert world.told()[-1] == ("ticket.created", "t1")


def test_tickets_are_listed_all_or_none(world: World) -> None:
    good, bad = Listing(title="A", price=usd("1")), Listing(title="", price=usd("1"))
    command = Command(id="x", fresh=("t1", "t2", "t3"))
    with pytest.raises(InvalidInput) as refusal:
        world.decide(
            lambda state: list_tickets(state, command, seller_id="s", listings=[good, good, bad]), command=command
        )
    assert refusal.value.values["row"] == 2
    assert world.every(Ticket) == []
    assert world.told() == []


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"title": "x" * 201}, "text_too_long"),
        ({"seat": "x" * 61}, "text_too_long"),
        ({"seat": " "}, "text_empty"),
        ({"price": "0"}, "price_not_positive"),
        ({"event_id": "nowhere"}, "live_event_not_found"),
        ({"event_id": "off"}, "live_event_cancelled"),
        ({"extra": {"row": 1}}, "extra_namespace"),
    ],
)
def test_a_listing_out_of_bounds_is_refused(world: World, what: dict[str, Any], code: str) -> None:
    world.announce("off")
    world.call_off("off")
    with pytest.raises((InvalidInput, NotFound)) as refusal:
        world.list("t1", **what)
    assert refusal.value.code == code
    assert refusal.value.values["row"] == 0


def test_its_seller_edits_a_ticket(world: World) -> None:
    world.list("t1")
    ticket = world.edit("t1", title=" New ", price="5")
    assert (ticket.title, ticket.price, ticket.version) == ("New", Money(500, "USD"), 2)
    assert world.told()[-1] == ("ticket.updated", "t1")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"title": ""}, "text_empty"),
        ({"title": "x" * 201}, "text_too_long"),
        ({"price": "0"}, "price_not_positive"),
        ({"price": Money(500, "EUR")}, "other_currency"),
    ],
)
def test_an_edit_out_of_bounds_is_refused(world: World, what: dict[str, Any], code: str) -> None:
    before = world.list("t1")
    with pytest.raises(InvalidInput) as refusal:
        world.edit("t1", **what)
    assert refusal.value.code == code
    assert world.ticket("t1") == before


def test_the_currency_of_a_ticket_stays(world: World) -> None:
    world.list("t1", price=Money(5, "JPY"))
    with pytest.raises(InvalidMoney, match="in JPY") as refusal:
        world.edit("t1", price="5")
    assert refusal.value.values == {"currency": "JPY"}


@pytest.mark.parametrize("act", ["edit", "withdraw"])
def test_only_its_seller_changes_a_ticket(world: World, act: str) -> None:
    world.list("t1")
    with pytest.raises(Forbidden) as refusal:
        getattr(world, act)("t1", seller="other")
    assert (refusal.value.code, refusal.value.values) == ("not_the_seller", {"ticket_id": "t1"})
    with pytest.raises(NotFound) as missing:
        getattr(world, act)("t2")
    assert missing.value.code == "ticket_not_found"


@pytest.mark.parametrize("act", ["edit", "withdraw"])
@pytest.mark.parametrize("status", ["locked", "sold", "withdrawn"])
def test_a_ticket_that_is_not_available_is_not_changed(world: World, act: str, status: str) -> None:
    world.list("t1")
    if status == "withdrawn":
        world.withdraw("t1")
    else:
        world.place("o1", "t1")
    if status == "sold":
        world.pay("c1", "o1")
    before = world.ticket("t1")
    assert before.status == status
    with pytest.raises(TicketUnavailable) as refusal:
        getattr(world, act)("t1")
    assert (refusal.value.code, refusal.value.values) == (f"ticket_{status}", {"ticket_id": "t1"})
    assert world.ticket("t1") == before


def test_a_withdrawn_ticket_can_not_be_ordered(world: World) -> None:
    world.list("t1")
    assert world.withdraw("t1").status is TicketStatus.WITHDRAWN
    assert world.told()[-1] == ("ticket.withdrawn", "t1")
    with pytest.raises(DomainError) as refusal:
        world.place("o1", "t1")
    assert refusal.value.code == "ticket_withdrawn"
