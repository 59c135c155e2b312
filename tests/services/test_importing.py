"""A seller's file goes in whole or not at all, and once."""

import anyio
import pytest

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import LiveEvent, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.services.importing import Imported
from ticketkit.services.listings_csv import BadListings, parse

HEADER = "event,venue,starts_at,seat,price\n"
START = "2099-01-31T19:00:00Z"


def rows(*seats: str, event: str = "Hamlet", venue: str = "Globe") -> str:
    return "".join(f"{event},{venue},{START},{seat},25\n" for seat in seats)


async def imported(market: Marketplace, text: str, *, seller: str = "seller") -> Imported:
    return await market.tickets.import_catalogue(seller, parse((HEADER + text).encode()))


async def tickets(market: Marketplace) -> "list[Ticket]":
    return list((await market.tickets.find(TicketQuery(limit=1000))).items)


async def live_events(market: Marketplace) -> "list[LiveEvent]":
    return list((await market.tickets.live_events(limit=1000)).items)


async def test_live_events_and_tickets_are_listed_together(market: Marketplace) -> None:
    found = await imported(market, rows("A1", "A2") + rows("A1", venue="Lyric"))
    assert (found.tickets, found.announced, found.already) == (3, 2, False)
    assert [(event.name, event.venue) for event in found.live_events] == [("Hamlet", "Globe"), ("Hamlet", "Lyric")]
    globe = [ticket.seat for ticket in await tickets(market) if ticket.event_id == found.live_events[0].id]
    assert sorted(map(str, globe)) == ["A1", "A2"]
    assert {ticket.seller_id for ticket in await tickets(market)} == {"seller"}


async def test_the_same_file_again_adds_nothing(market: Marketplace) -> None:
    first = await imported(market, rows("A1", "A2"))
    again = await imported(market, rows("A1", "A2"))
    assert (again.tickets, again.announced, again.already) == (0, 0, True)
    assert again.live_events == first.live_events
    assert len(await tickets(market)) == 2


async def test_the_same_file_twice_at_once_is_listed_once(market: Marketplace) -> None:
    found: list[Imported] = []

    async def run() -> None:
        found.append(await imported(market, rows("A1", "A2")))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(run)
    assert sorted(one.already for one in found) == [False, True, True, True, True]
    assert len(await tickets(market)) == 2
    assert len(await live_events(market)) == 1


async def test_the_same_tickets_are_known_when_the_command_is_forgotten(market: Marketplace) -> None:
    await imported(market, rows("A1", "A2"))
    again = await imported(market, "\n" + rows("A2", "A1"))
    assert (again.tickets, again.already) == (0, True)
    assert len(await tickets(market)) == 2


async def test_a_file_that_names_some_listed_seats_is_refused_whole(market: Marketplace) -> None:
    await imported(market, rows("A1", "A2"))
    with pytest.raises(BadListings) as raised:
        await imported(market, rows("A3", "A2", "A1"))
    assert [(problem.line, problem.column) for problem in raised.value.problems] == [(3, "seat"), (4, "seat")]
    assert "'A2'" in raised.value.problems[0].reason
    assert len(await tickets(market)) == 2


async def test_a_sold_seat_is_not_listed_again_and_a_withdrawn_one_may_be(market: Marketplace) -> None:
    await imported(market, rows("A1", "A2"))
    first, second = sorted(await tickets(market), key=lambda ticket: str(ticket.seat))
    order = (await market.orders.place("buyer", [first.id])).order
    with anyio.fail_after(10):
        charge = await market.payments.pay("buyer", order.id, token="tok_visa")
    assert charge.status == "completed"
    await market.tickets.withdraw("seller", second.id)
    with pytest.raises(BadListings, match="A1"):
        await imported(market, rows("A1", "A3"))
    assert (await imported(market, rows("A2", "A3"))).tickets == 2


async def test_a_live_event_that_somebody_announced_is_taken_as_it_is(market: Marketplace) -> None:
    there = (await imported(market, rows("A1"), seller="somebody")).live_events
    found = await imported(market, rows("A1", "A2"))
    assert (found.announced, found.tickets, found.live_events) == (0, 2, there)


async def test_a_similar_live_event_is_another(market: Marketplace) -> None:
    await imported(market, rows("A1", event="Hamlet the musical"))
    assert (await imported(market, rows("A1"))).announced == 1


async def test_a_cancelled_live_event_takes_no_tickets(market: Marketplace) -> None:
    (event,) = (await imported(market, rows("A1"))).live_events
    await market.tickets.call_off(event.id, owner_id="seller")
    with pytest.raises(BadListings, match="line 2, event: This live event is cancelled"):
        await imported(market, rows("B1", "B2"))


async def test_tickets_without_a_seat_are_known_by_their_title(market: Marketplace) -> None:
    await imported(market, rows("", ""))
    assert (await imported(market, rows("", "") + "\n")).already
    assert (await imported(market, rows("", "", ""))).tickets == 3  # more than there are: another file
    assert len(await tickets(market)) == 5


async def test_one_sellers_seats_are_not_anothers(market: Marketplace) -> None:
    await imported(market, rows("A1"))
    assert (await imported(market, rows("A1"), seller="other")).tickets == 1


async def test_tickets_listed_by_hand_are_seen(market: Marketplace) -> None:
    (event,) = (await imported(market, rows("A1"))).live_events
    await market.tickets.list(
        "seller", [Listing(title="Hamlet", price=Money(2500, "USD"), event_id=event.id, seat="A2")]
    )
    with pytest.raises(BadListings, match="A2"):
        await imported(market, rows("A2", "A3"))


async def test_more_than_a_batch_at_once(market: Marketplace) -> None:
    found = await imported(market, rows(*(f"A{number}" for number in range(2_500))))
    assert found.tickets == 2_500
    assert (await imported(market, rows(*(f"A{number}" for number in range(2_500))))).already
