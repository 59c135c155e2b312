"""Lists, their pages, and what is due."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ticketkit.backends.storage import BadCursor, TicketQuery, TicketSort
from ticketkit.domain.decision import Changes, Keys
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    Email,
    Entity,
    Holds,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    Session,
    User,
    Webhook,
    key_of,
)
from ticketkit.domain.money import Money

pytestmark = pytest.mark.anyio


async def pages(market: Any, query: TicketQuery) -> list[Any]:
    found: list[Any] = []
    while True:
        page = await market.storage.find_tickets(query)
        found += page.items
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)


async def put(market: Any, *entities: Entity) -> tuple[Any, ...]:
    keys = Keys(frozenset(key_of(entity) for entity in entities))
    answer = await market.storage.decide(keys, lambda _: Changes(put=entities, answer=entities), market.command())
    return tuple(answer.entities)


@pytest.mark.parametrize("sort", list(TicketSort))
async def test_pages_neither_skip_nor_repeat_while_others_write(market: Any, sort: TicketSort) -> None:
    event = await market.announce()
    there = {
        ticket.id
        for n in range(10)
        for ticket in await market.offer(5, event_id=event.id, price=Money(100 + n % 3, "USD"))
    }
    query = TicketQuery(event_id=event.id, sort=sort, limit=7)

    async def write() -> None:
        for n in range(10):
            await market.offer(3, event_id=event.id, price=Money(100 + n % 3, "USD"))

    found, _ = await asyncio.gather(pages(market, query), write())
    ids = [ticket.id for ticket in found]
    assert len(ids) == len(set(ids))
    assert there <= set(ids)
    prices = [ticket.price.minor for ticket in found]
    if sort is TicketSort.PRICE:
        assert prices == sorted(prices)
    if sort is TicketSort.PRICE_DESC:
        assert prices == sorted(prices, reverse=True)


async def test_tickets_are_found_by_what_is_asked(market: Any) -> None:
    event = await market.announce()
    (cheap,) = await market.offer(event_id=event.id, title="Balcony 100% left", seat="A1")
    (dear,) = await market.offer(title="Orchestra", price=Money(9000, "USD"))
    (yen,) = await market.offer(title="Orchestra", price=Money(5000, "JPY"))
    await market.place("buyer", dear.id)

    async def found(**query: Any) -> set[str]:
        return {ticket.id for ticket in (await market.storage.find_tickets(TicketQuery(**query))).items}

    assert await found(event_id=event.id) == {cheap.id}
    assert await found(status="available") == {cheap.id, yen.id}
    assert await found(status="nonsense") == set()
    assert await found(seller_id="seller", status="locked") == {dear.id}
    assert await found(text="ORCH") == {dear.id, yen.id}
    assert await found(text="a1 100%") == {cheap.id}
    assert await found(text="100_") == set()
    assert await found(min_price=2000, currency="USD") == {dear.id}
    assert await found(max_price=5000, currency="JPY") == {yen.id}


async def test_a_strange_cursor_is_refused(market: Any) -> None:
    await market.offer(3)
    page = await market.storage.find_tickets(TicketQuery(limit=1))
    for cursor in (page.next, "x", "é", "W10"):
        with pytest.raises(BadCursor):
            await market.storage.find_tickets(TicketQuery(sort=TicketSort.PRICE, cursor=cursor))


async def test_orders_of_a_buyer_come_newest_first(market: Any) -> None:
    placed = []
    for ticket in await market.offer(3):
        placed.append(await market.place("buyer", ticket.id))
        market.clock.advance(seconds=1)
    page = await market.storage.find_orders("buyer", limit=2)
    rest = await market.storage.find_orders("buyer", limit=2, cursor=page.next)
    assert (*page.items, *rest.items) == tuple(reversed(placed))
    assert rest.next is None
    assert (await market.storage.find_orders("nobody")).items == ()


async def test_live_events_are_found_by_words(market: Any) -> None:
    hamilton, wicked = await market.announce("Hamilton"), await market.announce("Wicked")
    assert (await market.storage.find_live_events(text="wick hall")).items == (wicked,)
    page = await market.storage.find_live_events(limit=1)
    assert page.items == (hamilton,)
    assert (await market.storage.find_live_events(limit=1, cursor=page.next)).items == (wicked,)


async def test_orders_past_their_time_are_due_the_longest_first(market: Any) -> None:
    one, two, three = await market.offer(3)
    first = await market.place("a", one.id)
    market.clock.advance(minutes=1)
    second = await market.place("b", two.id)
    market.clock.advance(minutes=14)
    assert await market.storage.due_orders(10) == [first.id]
    market.clock.advance(minutes=1)
    await market.place("c", three.id)
    assert await market.storage.due_orders(10) == [first.id, second.id]
    totals = await market.storage.totals()
    assert totals.overdue_locks == 2
    assert totals.by_status["ticket", "locked"] == 3
    assert totals.oldest is not None


async def test_every_kind_comes_back_as_it_was_written_and_changed(market: Any) -> None:
    now = market.clock.now()
    money = Money(4200, "USD")
    copy = OrderCopy(id="o1", buyer_id="b", status=OrderStatus.CREATED, total=money, expires_at=now, order_version=3)
    charge = Charge(id="c1", order_id="o1", buyer_id="b", amount=money, provider="fake", created_at=now, due_at=now)
    entities: tuple[Entity, ...] = (
        User(id="u1", email="A@x.org", password_hash="$argon2id$", roles=("admin",), created_at=now, extra={"a:b": 1}),
        Email(id="a@x.org", user_id="u1"),
        Session(id="s1", user_id="u1", expires_at=now + timedelta(days=1), created_at=now),
        Holds(id="e/b", orders=(("o1", 2),)),
        copy,
        charge,
        Refund(id="r1", charge_id="c1", order_id="o1", amount=money, created_at=now, due_at=now, reason="kind"),
        Webhook(id="fake:1", provider="fake", reference="pi_1", what="paid", body="{}", received_at=now),
    )
    written = await put(market, *entities)
    assert {entity.version for entity in written} == {1}
    found = await market.storage.get([key_of(entity) for entity in entities])
    assert tuple(found[key_of(entity)] for entity in entities) == written
    changed = tuple(replace(entity) for entity in written)
    assert all(entity.version == 2 for entity in await put(market, *changed))


async def test_what_is_due_of_payments_is_found(market: Any) -> None:
    now = market.clock.now()
    money = Money(4200, "USD")
    copy = OrderCopy(id="o1", buyer_id="b", status=OrderStatus.CREATED, total=money, expires_at=now, order_version=1)
    charge = Charge(
        id="c1",
        order_id="o1",
        buyer_id="b",
        amount=money,
        provider="fake",
        reference="pi_1",
        status=ChargeStatus.FAILED,
        action={"type": "redirect"},
        created_at=now,
        due_at=now + timedelta(seconds=1),
    )
    refund = Refund(id="r1", charge_id="c1", order_id="o1", amount=money, created_at=now, due_at=now)
    hook = Webhook(id="fake:1", provider="fake", reference=None, what="paid", body="{}", received_at=now)
    copy, charge, refund, hook = await put(market, copy, charge, refund, hook)
    assert await market.storage.due_charges(5) == []
    assert await market.storage.due_refunds(5) == [refund]
    market.clock.advance(seconds=1)
    assert await market.storage.due_charges(5) == [charge]
    assert await market.storage.charge_by_reference("fake", "pi_1") == charge
    assert await market.storage.charge_by_reference("other", "pi_1") is None
    assert await market.storage.unapplied_webhooks(5) == [hook]
    await put(market, replace(hook, outcome="applied"))
    assert await market.storage.unapplied_webhooks(5) == []


async def test_revoked_sessions_are_told_until_they_expire(market: Any) -> None:
    now = market.clock.now()
    user = User(id="u1", email="a@x.org", password_hash="x", created_at=now)
    session = Session(id="s1", user_id="u1", expires_at=now + timedelta(hours=1), revoked_at=now, created_at=now)
    _, session = await put(market, user, session)
    assert await market.storage.revoked_sessions(5) == [session]
    market.clock.advance(hours=1)
    assert await market.storage.revoked_sessions(5) == []


async def test_a_scan_sees_everything_by_id(market: Any) -> None:
    there = sorted([ticket.id for ticket in await market.offer(10)])
    found: list[str] = []
    cursor = None
    while True:
        page = await market.storage.scan("ticket", limit=3, cursor=cursor)
        found += [entity.id for entity in page.items]
        if (cursor := page.next) is None:
            break
    assert found == there


async def test_an_order_with_a_reason_comes_back(market: Any) -> None:
    (ticket,) = await market.offer()
    order = await market.cancel(await market.place("buyer", ticket.id))
    assert order.reason is CancelReason.BUYER
    assert (await market.storage.get([Order.key(order.id)]))[Order.key(order.id)] == order
