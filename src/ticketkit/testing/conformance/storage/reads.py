"""Storage: lists and searches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from ticketkit.backends.storage import BadCursor, Page, TicketQuery, TicketSort
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import (
    LiveEventStatus,
    Ticket,
    TicketStatus,
    key_of,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, renamed
from ticketkit.testing.conformance.storage.samples import ODD
from ticketkit.testing.conformance.storage.together import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.storage import Storage

    List = Callable[[int, str | None], Awaitable[Page[Any]]]

HOUR: Final = timedelta(hours=1)


class StorageReads(Conformance):
    """Pages, filters and cursors."""

    @promise()
    @pytest.mark.parametrize("sort", list(TicketSort))
    async def test_pages_of_tickets_neither_skip_nor_repeat(self, backend: Storage, sort: TicketSort) -> None:
        """In each order, while others list and change tickets, pages neither skip nor repeat what stays."""
        bazaar = Bazaar(backend)
        tickets = [(await bazaar.offer(price=Money(500 + n * 7 % 5, "USD")))[0] for n in range(23)]
        down = sort in (TicketSort.NEWEST, TicketSort.PRICE_DESC)
        by_price = sort in (TicketSort.PRICE, TicketSort.PRICE_DESC)
        tickets.sort(key=lambda one: (one.price.minor, one.id) if by_price else (0, one.id), reverse=down)

        def page(limit: int, cursor: str | None) -> Awaitable[Page[Any]]:
            return backend.find_tickets(TicketQuery(sort=sort, limit=limit, cursor=cursor))

        async def write(number: int) -> None:
            await bazaar.offer(price=Money(501 + number % 3, "USD"))
            changed = tickets[number % len(tickets)]
            await backend.decide(
                Keys.of(key_of(changed)),
                lambda state: renamed(state.require(Ticket, changed.id), f"new {number}"),
                command(),
            )

        found = await _all_pages(page, meanwhile=write)
        ids = {ticket.id for ticket in tickets}
        assert [item.id for item in found if item.id in ids] == [ticket.id for ticket in tickets]
        assert len({item.id for item in found}) == len(found), "a page repeats"

    @promise()
    async def test_pages_of_other_lists_neither_skip_nor_repeat(self, backend: Storage) -> None:
        """The same holds for a buyer's orders, for live events, and for a scan of a whole kind."""
        bazaar = Bazaar(backend)
        events = [(await bazaar.announce(f"Event {n}")).id for n in range(11)]
        tickets = await bazaar.offer(24)
        policy = Policy(tickets_on_hold=100)
        orders = [(await bazaar.place("buyer", ticket.id, policy=policy)).id for ticket in tickets[:11]]
        lists: list[tuple[List, list[str]]] = [
            (lambda limit, cursor: backend.find_orders("buyer", limit=limit, cursor=cursor), orders[::-1]),
            (lambda limit, cursor: backend.open_orders(limit=limit, cursor=cursor), orders),
            (lambda limit, cursor: backend.find_live_events(limit=limit, cursor=cursor), sorted(events)),
            (lambda limit, cursor: backend.scan("order", limit=limit, cursor=cursor), sorted(orders)),
            (lambda limit, cursor: backend.scan("ticket", limit=limit, cursor=cursor), sorted(t.id for t in tickets)),
        ]
        left = iter(tickets[11:])

        async def write(number: int) -> None:
            if (ticket := next(left, None)) is not None:
                await bazaar.place("buyer", ticket.id, policy=policy)
            await bazaar.announce("Late")

        for page, expected in lists:
            found = await _all_pages(page, meanwhile=write)
            assert [item.id for item in found if item.id in set(expected)] == expected
            assert len({item.id for item in found}) == len(found), "a page repeats"

    @promise()
    async def test_lists_give_only_what_was_asked_for(self, backend: Storage) -> None:
        """Orders are the buyer's own, live events of one status; the last page has no cursor."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(3)
        mine = [await bazaar.place("me", ticket.id) for ticket in tickets[:2]]
        await bazaar.place("other", tickets[2].id)
        assert (await backend.find_orders("me")).items == tuple(mine[::-1])
        first = await backend.find_orders("me", limit=1)
        assert (first.items, first.next is None) == ((mine[1],), False)
        assert await backend.find_orders("me", limit=1, cursor=first.next) == Page((mine[0],))
        assert await backend.find_orders("nobody") == Page(())
        event, off = await bazaar.announce(), await bazaar.announce()
        await bazaar.put(replace(off, status=LiveEventStatus.CANCELLED))
        assert [one.id for one in (await backend.find_live_events()).items] == [event.id, off.id]
        for status, id in (("scheduled", event.id), ("cancelled", off.id)):
            assert [one.id for one in (await backend.find_live_events(status=status)).items] == [id]
        assert (await backend.find_tickets(TicketQuery(limit=1000))).next is None
        assert (await backend.scan("webhook")).items == ()

    @promise()
    async def test_filters_of_tickets(self, backend: Storage) -> None:
        """Every filter of a ticket query narrows the list, and together they all hold."""
        bazaar = Bazaar(backend)
        event = await bazaar.announce()
        (of_event,) = await bazaar.offer(event_id=event.id, price=Money(100, "EUR"), title="Balcony", seat="Row A")
        (cheap,) = await bazaar.offer(price=Money(5, "USD"), title="Standing", seller_id="sam")
        (dear,) = await bazaar.offer(price=Money(900, "USD"), title="Box", seat="Balcony left", seller_id="sam")
        await bazaar.place("buyer", cheap.id)
        expected: list[tuple[dict[str, Any], set[str]]] = [
            ({}, {of_event.id, cheap.id, dear.id}),
            ({"event_id": event.id}, {of_event.id}),
            ({"event_id": "unknown"}, set()),
            ({"seller_id": "sam"}, {cheap.id, dear.id}),
            ({"status": "available"}, {of_event.id, dear.id}),
            ({"status": TicketStatus.LOCKED.value}, {cheap.id}),
            ({"currency": "USD"}, {cheap.id, dear.id}),
            ({"min_price": 100}, {of_event.id, dear.id}),
            ({"max_price": 100}, {of_event.id, cheap.id}),
            ({"min_price": 6, "max_price": 899, "currency": "USD"}, set()),
            ({"text": "balcony"}, {of_event.id, dear.id}),
            ({"text": "  BALCONY   row "}, {of_event.id}),
            ({"text": "balcony standing"}, set()),
            ({"seller_id": "sam", "status": "available", "text": "left", "min_price": 900}, {dear.id}),
        ]
        for sort in TicketSort:
            for query, ids in expected:
                page = await backend.find_tickets(TicketQuery(sort=sort, **query))
                assert {ticket.id for ticket in page.items} == ids, query

    @promise()
    async def test_searches_take_every_character_as_it_is(self, backend: Storage) -> None:
        """Words of a search are found whatever their case, and %, _, quotes and backslashes stand for themselves."""
        bazaar = Bazaar(backend)
        for number, text in enumerate(ODD):
            event = await bazaar.announce(name=f"n{number}n {text.strip()}"[:200], venue="Somewhere")
            for word in event.name.split()[:3]:
                found = await backend.find_live_events(text=word)
                assert event.id in {one.id for one in found.items}, word
            found = await backend.find_live_events(text=f"N{number}N SOMEwhere")
            assert [one.id for one in found.items] == [event.id]
        for nothing in ("%", "_ome", "s_mewhere", "some%where", "\\", "somewhere\\", "'", '"', "[a-z]", "*"):
            found = await backend.find_live_events(text=f"somewhere n1n {nothing}")
            assert found.items == (), nothing

    @promise()
    async def test_a_cursor_of_another_list_is_refused(self, backend: Storage) -> None:
        """A cursor that another list gave out, or that nobody did, is `BadCursor`."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(3)
        await together([*(bazaar.place("buyer", one.id) for one in tickets), *(bazaar.announce() for _ in range(3))])
        lists = _lists(backend)
        cursors = {name: (await page(1, None)).next for name, page in lists.items()}
        strange = ("", "x", "!!!", "W10", "bm9uZQ", "\u00e9", "0" * 1000, "\x00", "null")
        for name, page in lists.items():
            assert cursors[name] is not None
            await page(1, cursors[name])
            for cursor in (*(one for other, one in cursors.items() if other != name), *strange):
                with pytest.raises(BadCursor):
                    await page(1, cursor)

    @promise()
    async def test_a_forged_cursor_is_a_cursor_or_refused(self, backend: Storage) -> None:
        """A cursor that somebody changed gives some page or `BadCursor`, and never another error."""
        await Bazaar(backend).offer(3)
        for name, page in _lists(backend).items():
            cursor = (await page(1, None)).next
            if not name.startswith(("ticket", "scan t")) or cursor is None:
                continue
            for place in range(0, len(cursor), 3):
                for letter in "A9_":
                    try:
                        await page(1, cursor[:place] + letter + cursor[place + 1 :])
                    except BadCursor:
                        continue


def _lists(backend: Storage) -> dict[str, List]:
    lists: dict[str, List] = {
        f"tickets {sort}": lambda limit, cursor, sort=sort: backend.find_tickets(  # type: ignore[misc]
            TicketQuery(sort=sort, limit=limit, cursor=cursor)
        )
        for sort in TicketSort
    }
    return {
        **lists,
        "orders": lambda limit, cursor: backend.find_orders("buyer", limit=limit, cursor=cursor),
        "open orders": lambda limit, cursor: backend.open_orders(limit=limit, cursor=cursor),
        "live events": lambda limit, cursor: backend.find_live_events(limit=limit, cursor=cursor),
        "scan tickets": lambda limit, cursor: backend.scan("ticket", limit=limit, cursor=cursor),
        "scan orders": lambda limit, cursor: backend.scan("order", limit=limit, cursor=cursor),
    }


async def _all_pages(page: List, *, meanwhile: Callable[[int], Awaitable[None]]) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    for number in range(200):
        part = await page(3, cursor)
        assert len(part.items) <= 3
        found += part.items
        if part.next is None:
            return found
        cursor = part.next
        if number < 20:
            await meanwhile(number)
    pytest.fail("the pages never end")
