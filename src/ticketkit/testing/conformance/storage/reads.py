"""Storage: lists, searches and what is looked after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from ticketkit.backends.storage import BadCursor, Page, TicketQuery, TicketSort
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    OrderCopy,
    OrderStatus,
    Refund,
    Session,
    Ticket,
    TicketStatus,
    User,
    Webhook,
    key_of,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, renamed
from ticketkit.testing.conformance.storage.samples import ODD, TIME
from ticketkit.testing.conformance.storage.together import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

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
        """Orders are the buyer's own, a page has at most its limit, and the last one has no cursor."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(3)
        mine = [await bazaar.place("me", ticket.id) for ticket in tickets[:2]]
        await bazaar.place("other", tickets[2].id)
        assert (await backend.find_orders("me")).items == tuple(mine[::-1])
        first = await backend.find_orders("me", limit=1)
        assert (first.items, first.next is None) == ((mine[1],), False)
        assert await backend.find_orders("me", limit=1, cursor=first.next) == Page((mine[0],))
        assert await backend.find_orders("nobody") == Page(())
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


class StorageWatch(Conformance):
    """What somebody looks after: the due, the unapplied, the revoked; counts, and what is forgotten."""

    @promise()
    async def test_due_orders(self, backend: Storage) -> None:
        """Orders `created` past their time are due, the longest overdue first, and no others."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(5)
        at_once = Policy(hold=timedelta(microseconds=1))
        due = [(await bazaar.place(f"b{n}", tickets[n].id, policy=at_once)).id for n in range(3)]
        await bazaar.cancel(await bazaar.place("b3", tickets[3].id, policy=at_once))
        await bazaar.place("b4", tickets[4].id)
        assert await backend.due_orders(10) == due
        assert await backend.due_orders(2) == due[:2]
        totals = await backend.totals()
        assert totals.overdue_locks == 3
        assert totals.by_status["order", "created"] == 4
        assert totals.by_status["order", "cancelled"] == 1

    @promise()
    async def test_due_charges_and_refunds(self, backend: Storage) -> None:
        """Charges and refunds are due once their time is past, up to the limit; a reference finds its charge."""
        now = await backend.now()
        past, future = now - HOUR, now + HOUR
        paid = [_paid(due) for due in (past, past, future, None)]
        await Bazaar(backend).put(*(entity for graph in paid for entity in graph))
        charges, refunds = [graph[1] for graph in paid], [graph[2] for graph in paid]
        assert {charge.id for charge in await backend.due_charges(10)} == {charge.id for charge in charges[:2]}
        assert {refund.id for refund in await backend.due_refunds(10)} == {refund.id for refund in refunds[:2]}
        assert len(await backend.due_charges(1)) == len(await backend.due_refunds(1)) == 1
        for charge in charges:
            assert charge.reference is not None
            assert await backend.charge_by_reference("fake", charge.reference) == replace(charge, version=1)
            assert await backend.charge_by_reference("other", charge.reference) is None
        settled = replace(charges[0], due_at=None, status=ChargeStatus.COMPLETED)
        await Bazaar(backend).put(settled)
        assert await backend.due_charges(10) == [replace(charges[1], version=1)]

    @promise()
    async def test_unapplied_webhooks(self, backend: Storage) -> None:
        """Webhooks without an outcome are listed oldest first, until they have one."""
        hooks = [
            Webhook(
                id=f"fake:{number}",
                provider="fake",
                reference=None,
                what="paid",
                body="{}",
                received_at=TIME + timedelta(seconds=number * 7 % 4),
            )
            for number in range(4)
        ]
        bazaar = Bazaar(backend)
        await bazaar.put(*hooks)
        oldest = [hook.id for hook in sorted(hooks, key=lambda hook: hook.received_at)]
        assert [hook.id for hook in await backend.unapplied_webhooks(10)] == oldest
        assert [hook.id for hook in await backend.unapplied_webhooks(2)] == oldest[:2]
        await bazaar.put(*(replace(hook, outcome="applied") for hook in hooks if hook.id == oldest[0]))
        assert [hook.id for hook in await backend.unapplied_webhooks(10)] == oldest[1:]

    @promise()
    async def test_revoked_sessions(self, backend: Storage) -> None:
        """Sessions that were revoked and have not expired are listed, the newest revocation first."""
        now = await backend.now()
        user = User(id=new_id(), email="a@b.example", password_hash="h", created_at=now)  # noqa: S106 - made up
        times = ((HOUR, -HOUR), (HOUR, -2 * HOUR), (-HOUR / 2, -HOUR), (HOUR, None))
        sessions = [
            Session(
                id=new_id(),
                user_id=user.id,
                created_at=now,
                expires_at=now + expires,
                revoked_at=None if revoked is None else now + revoked,
            )
            for expires, revoked in times
        ]
        await Bazaar(backend).put(user, *sessions)
        expected = [replace(session, version=1) for session in sessions[:2]]
        assert await backend.revoked_sessions(10) == expected
        assert await backend.revoked_sessions(1) == expected[:1]

    @promise()
    async def test_totals_count_what_is_there(self, backend: Storage) -> None:
        """Totals count entities by kind and status, what waits in the outbox and since when, and the dead letters."""
        bazaar = Bazaar(backend)
        empty = await backend.totals()
        assert (empty.unpublished, empty.dead, empty.oldest, empty.overdue_locks) == (0, 0, None, 0)
        before = await backend.now()
        tickets = await bazaar.offer(3)
        after = await backend.now()
        await bazaar.place("buyer", tickets[0].id)
        totals = await backend.totals()
        assert totals.unpublished == 5
        assert totals.oldest is not None
        assert before <= totals.oldest <= after
        assert totals.by_status["ticket", "available"] == 2
        assert totals.by_status["ticket", "locked"] == totals.by_status["order", "created"] == 1
        await bazaar.publish()
        assert (await backend.totals()).oldest is None

    @promise()
    async def test_purging_forgets_only_what_is_old_and_done(self, backend: Storage) -> None:
        """Purging deletes published events, records and marks older than given, and nothing that waits or is dead."""
        bazaar = Bazaar(backend)
        caller, mark = command(), command(id="c:e", consumer="c", event_id="e")
        await bazaar.count("a", given=caller)
        await bazaar.count("a", given=mark)
        await bazaar.tell(3)
        published, dead = await bazaar.claim(2)
        await backend.mark_published([published])
        await backend.mark_failed(dead, error="no", retry_in=None)
        now = await backend.now()
        old, soon = now - HOUR, now + HOUR
        assert await backend.purge(events_before=old, commands_before=old, marks_before=old) == 0
        assert await backend.outcome(caller.id) is not None
        assert await backend.purge(events_before=old, commands_before=soon, marks_before=old) == 4
        assert await backend.outcome(caller.id) is None
        assert (await bazaar.count("a", given=mark)).replayed
        assert await backend.purge(events_before=old, commands_before=old, marks_before=soon) == 1
        assert not (await bazaar.count("a", given=mark)).replayed
        assert await backend.replay_event(published.event.id)
        (again,) = [claim for claim in await bazaar.claim() if claim.event.id == published.event.id]
        await backend.mark_published([again])
        assert await backend.purge(events_before=soon, commands_before=old, marks_before=old) == 1
        assert not await backend.replay_event(published.event.id)
        totals = await backend.totals()
        assert (totals.unpublished, totals.dead) == (1, 1)
        assert await bazaar.counts("a") == [3]


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


def _paid(due: datetime | None) -> tuple[OrderCopy, Charge, Refund]:
    order_id, price = new_id(), Money(100, "USD")
    copy = OrderCopy(
        id=order_id, buyer_id="b", status=OrderStatus.CREATED, total=price, expires_at=TIME, order_version=1
    )
    charge = Charge(
        id=new_id(),
        order_id=order_id,
        buyer_id="b",
        amount=price,
        provider="fake",
        reference=f"ref-{order_id}",
        due_at=due,
        created_at=TIME,
    )
    refund = Refund(id=new_id(), charge_id=charge.id, order_id=order_id, amount=price, due_at=due, created_at=TIME)
    return copy, charge, refund
