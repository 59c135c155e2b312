"""Tickets: what sellers list, change and take back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from tests.services.shop import Shop

from ticketkit import Listing, Money
from ticketkit.backends.errors import CommandReused
from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import LiveEventStatus, TicketStatus
from ticketkit.domain.errors import Conflict, Forbidden, InvalidInput, InvalidMoney, NotFound, TicketUnavailable

START = datetime(2026, 12, 31, 20, tzinfo=UTC)


def listing(title: str = "A seat", price: str = "25", **options: Any) -> Listing:
    return Listing(title=title, price=Money.parse(price, "USD"), **options)


async def for_sale(shop: Shop) -> int:
    return len((await shop.market.tickets.find(TicketQuery(status="available", limit=1000))).items)


async def test_tickets_are_listed_in_order_and_are_for_sale(shop: Shop) -> None:
    tickets = await shop.market.tickets.list("seller", [listing("A", "1"), listing("B", "2", seat="7")])
    assert [(ticket.title, ticket.price.minor, ticket.seat) for ticket in tickets] == [
        ("A", 100, None),
        ("B", 200, "7"),
    ]
    assert {(ticket.status, ticket.seller_id, ticket.version) for ticket in tickets} == {
        (TicketStatus.AVAILABLE, "seller", 1)
    }
    assert [await shop.market.tickets.get(ticket.id) for ticket in tickets] == list(tickets)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (listing(title=""), InvalidInput),
        (listing(title="x" * 201), InvalidInput),
        (listing(price="0"), InvalidMoney),
        (Listing(title="A seat", price=Money(-1, "USD")), InvalidMoney),
        (listing(event_id="unknown"), NotFound),
        (listing(extra={"shop": {"note": "x" * 5000}}), InvalidInput),
    ],
    ids=["no title", "long title", "free", "negative", "unknown live event", "large extra"],
)
async def test_one_bad_row_refuses_the_batch_and_is_named(shop: Shop, bad: Listing, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        await shop.market.tickets.list("seller", [listing(), listing(), bad])
    assert refused.value.values["row"] == 2  # type: ignore[attr-defined]
    assert await for_sale(shop) == 0


@pytest.mark.parametrize("number", [0, 1001])
async def test_a_batch_out_of_bounds_is_refused(shop: Shop, number: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await shop.market.tickets.list("seller", [listing()] * number)
    assert (refused.value.code, refused.value.values["most"]) == ("batch_size", 1000)


async def test_one_command_key_lists_once(shop: Shop) -> None:
    first = await shop.market.tickets.list("seller", [listing()], command_key="click")
    assert await shop.market.tickets.list("seller", [listing()], command_key="click") == first
    with pytest.raises(CommandReused):
        await shop.market.tickets.list("seller", [listing(price="26")], command_key="click")
    assert await for_sale(shop) == 1


async def test_a_seller_changes_title_and_price(shop: Shop) -> None:
    [ticket] = await shop.tickets("25")
    edited = await shop.market.tickets.edit("seller", ticket.id, title="Better", price=Money.parse("30", "USD"))
    assert (edited.title, edited.price.minor, edited.version) == ("Better", 3000, 2)


@pytest.mark.parametrize(
    ("seller", "title", "price", "error"),
    [
        ("rival", "Mine", Money(1, "USD"), Forbidden),
        ("seller", "", Money(1, "USD"), InvalidInput),
        ("seller", "A", Money(0, "USD"), InvalidMoney),
        ("seller", "A", Money(1, "EUR"), InvalidMoney),
    ],
    ids=["not the seller", "no title", "free", "other currency"],
)
async def test_a_wrong_edit_is_refused(
    shop: Shop, seller: str, title: str, price: Money, error: type[Exception]
) -> None:
    [ticket] = await shop.tickets()
    with pytest.raises(error):
        await shop.market.tickets.edit(seller, ticket.id, title=title, price=price)
    assert await shop.market.tickets.get(ticket.id) == ticket


@pytest.mark.parametrize("state", ["locked", "sold", "withdrawn"])
async def test_a_ticket_that_is_not_for_sale_is_neither_changed_nor_withdrawn(shop: Shop, state: str) -> None:
    [ticket] = await shop.tickets()
    if state == "withdrawn":
        await shop.market.tickets.withdraw("seller", ticket.id)
    else:
        order = (await shop.market.orders.place("buyer", [ticket.id])).order
        if state == "sold":
            await shop.pay(order)
    for act in (
        shop.market.tickets.edit("seller", ticket.id, title="B", price=Money(1, "USD")),
        shop.market.tickets.withdraw("seller", ticket.id),
    ):
        with pytest.raises(TicketUnavailable) as refused:
            await act
        assert refused.value.code == f"ticket_{state}"


async def test_a_withdrawn_ticket_cant_be_ordered(shop: Shop) -> None:
    [ticket] = await shop.tickets()
    with pytest.raises(Forbidden):
        await shop.market.tickets.withdraw("rival", ticket.id)
    assert (await shop.market.tickets.withdraw("seller", ticket.id)).status is TicketStatus.WITHDRAWN
    with pytest.raises(TicketUnavailable):
        await shop.market.orders.place("buyer", [ticket.id])


async def test_of_an_order_and_an_edit_at_once_the_buyer_pays_what_they_saw_or_gets_nothing(shop: Shop) -> None:
    for number in range(10):
        [ticket] = await shop.tickets("25")
        outcome: dict[str, Any] = {}

        async def buy(id: str = ticket.id, outcome: dict[str, Any] = outcome) -> None:
            outcome["order"] = (await shop.market.orders.place("buyer", [id])).order

        async def edit(id: str = ticket.id, outcome: dict[str, Any] = outcome) -> None:
            try:
                outcome["edit"] = await shop.market.tickets.edit("seller", id, title="B", price=Money(3000, "USD"))
            except TicketUnavailable:
                outcome["edit"] = None

        async with anyio.create_task_group() as group:
            for act in (buy, edit) if number % 2 else (edit, buy):
                group.start_soon(act)
        now = await shop.market.tickets.get(ticket.id)
        assert outcome["order"].total == now.price
        assert (outcome["edit"] is None) == (now.price.minor == 2500)
        await shop.market.orders.cancel("buyer", outcome["order"].id)


async def test_until_when_a_ticket_is_locked_is_told(shop: Shop) -> None:
    free, locked, sold = await shop.tickets("1", "2", "3")
    order = (await shop.market.orders.place("buyer", [locked.id])).order
    await shop.pay((await shop.market.orders.place("rival", [sold.id])).order)
    now = [await shop.market.tickets.get(ticket.id) for ticket in (free, locked, sold)]
    assert await shop.market.tickets.locked_until(now) == {locked.id: order.expires_at}


async def test_a_live_event_is_announced_found_and_called_off(shop: Shop) -> None:
    hamlet = await shop.market.tickets.announce(
        "promoter", name="Hamlet", venue="Globe", starts_at=START, zone="Europe/London"
    )
    await shop.market.tickets.announce("promoter", name="Lear", venue="Lyric", starts_at=START)
    assert [event.id for event in (await shop.market.tickets.live_events(text="GLOBE ham")).items] == [hamlet.id]
    assert await shop.market.tickets.live_event(hamlet.id) == hamlet
    with pytest.raises(Forbidden):
        await shop.market.tickets.call_off(hamlet.id, owner_id="rival")
    off = await shop.market.tickets.call_off(hamlet.id, owner_id=None)
    assert off.status is LiveEventStatus.CANCELLED
    with pytest.raises(Conflict):
        await shop.market.tickets.call_off(hamlet.id, owner_id="promoter")
    with pytest.raises(InvalidInput) as refused:
        await shop.tickets(event_id=hamlet.id)
    assert refused.value.code == "live_event_cancelled"


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Mars/Olympus"},
        {"starts_at": datetime(2026, 12, 31)},  # noqa: DTZ001 - that is what is refused
        {"on_sale_at": START + timedelta(seconds=1)},
        {"name": ""},
        {"venue": "x" * 201},
    ],
    ids=["zone", "no offset", "on sale after the start", "no name", "long venue"],
)
async def test_a_wrong_announcement_is_refused(shop: Shop, wrong: dict[str, Any]) -> None:
    given = {"name": "Hamlet", "venue": "Globe", "starts_at": START, **wrong}
    with pytest.raises(InvalidInput):
        await shop.market.tickets.announce("promoter", **given)


async def test_one_command_key_announces_once(shop: Shop) -> None:
    async def announce() -> str:
        event = await shop.market.tickets.announce(
            "promoter", name="Hamlet", venue="Globe", starts_at=START, command_key="click"
        )
        return event.id

    assert await announce() == await announce()


async def test_what_does_not_exist_is_not_found(shop: Shop) -> None:
    codes = []
    for act in (shop.market.tickets.get("unknown"), shop.market.tickets.live_event("unknown")):
        with pytest.raises(NotFound) as refused:
            await act
        codes.append(refused.value.code)
    assert codes == ["ticket_not_found", "live_event_not_found"]
