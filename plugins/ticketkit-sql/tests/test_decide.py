"""What one decision does, alone and among others."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ticketkit.backends.errors import CommandReused, Misconfigured, Refused, Unavailable
from ticketkit.backends.spec import Context
from ticketkit.domain.decision import Changes, Fact, Keys, Need, State
from ticketkit.domain.entities import Holds, LiveEvent, Order, OrderStatus, Ticket, TicketStatus, holds_id, key_of
from ticketkit.domain.errors import LimitReached, NotFound, TicketUnavailable
from ticketkit.domain.money import MAX_MINOR, Money
from ticketkit.ids import new_id
from ticketkit_sql.storage import open_storage

pytestmark = pytest.mark.anyio
ON_SQLITE = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


async def test_of_many_buyers_of_one_ticket_one_gets_it(market: Any, outcomes: Any) -> None:
    (ticket,) = await market.offer()
    results = await asyncio.gather(*(market.place(f"buyer-{n}", ticket.id) for n in range(100)), return_exceptions=True)
    assert outcomes(results, TicketUnavailable) == 99
    (order,) = [one for one in results if isinstance(one, Order)]
    stored = await market.ticket(ticket.id)
    assert (stored.status, stored.order_id, stored.version) == (TicketStatus.LOCKED, order.id, 2)


async def test_two_writers_of_one_database_sell_a_ticket_once(market: Any, outcomes: Any) -> None:
    tickets = await market.offer(20)
    async with AsyncExitStack() as stack:
        # Another clock, so another writer: as another process would be.
        other = await stack.enter_async_context(open_storage(market.url, Context(clock=market.clock.twin())))
        one, two = market, market.of(other)
        results = await asyncio.gather(
            *(
                side.place(f"{n}-{number}", ticket.id)
                for number, ticket in enumerate(tickets)
                for n, side in enumerate((one, two))
            ),
            return_exceptions=True,
        )
    assert outcomes(results, TicketUnavailable) == 20
    assert len(market.rows("SELECT 1 FROM ticketkit_order_lines WHERE live")) == 20


async def test_the_limit_of_a_buyer_who_was_never_seen_holds_under_a_race(market: Any, outcomes: Any) -> None:
    event = await market.announce()
    tickets = await market.offer(30, event_id=event.id)
    results = await asyncio.gather(*(market.place("new", ticket.id) for ticket in tickets), return_exceptions=True)
    assert outcomes(results, LimitReached) == 20
    id = holds_id("new", event.id)
    holds = (await market.storage.get([Holds.key(id)]))[Holds.key(id)]
    assert holds.count == 10


async def test_the_same_new_command_many_times_at_once_has_one_effect(market: Any) -> None:
    (ticket,) = await market.offer()
    command = market.command()
    results = await asyncio.gather(*(market.place("buyer", ticket.id, command=command) for _ in range(20)))
    assert {order.id for order in results} == {command.fresh[0]}
    assert len(market.rows("SELECT 1 FROM ticketkit_orders")) == 1


async def test_a_command_given_again_is_answered_again(market: Any) -> None:
    (ticket,) = await market.offer()
    command = market.command(fingerprint="a")
    first = await market.place("buyer", ticket.id, command=command)
    assert await market.place("buyer", ticket.id, command=command) == first
    answer = await market.storage.outcome(command.id)
    assert answer is not None
    assert answer.one(Order) == first
    assert await market.storage.outcome("unknown") is None


async def test_a_command_id_for_another_request_is_refused(market: Any) -> None:
    first, second = await market.offer(2)
    command = market.command(fingerprint="a")
    await market.place("buyer", first.id, command=command)
    with pytest.raises(CommandReused):
        await market.place("buyer", second.id, command=replace(command, fingerprint="b"))


async def test_overlapping_orders_in_opposite_order_sell_no_half(market: Any, outcomes: Any) -> None:
    ids = [ticket.id for ticket in await market.offer(8)]
    wishes = [ids[n : n + 3] if n % 2 else ids[n : n + 3][::-1] for n in range(6)]
    results = await asyncio.gather(
        *(market.place(f"buyer-{n}", *wish) for n, wish in enumerate(wishes)), return_exceptions=True
    )
    outcomes(results, TicketUnavailable)
    locked = {(await market.ticket(id)).order_id for id in ids} - {None}
    sold = [order for order in results if isinstance(order, Order)]
    assert locked == {order.id for order in sold}
    for order in sold:
        assert {(await market.ticket(id)).order_id for id in order.ticket_ids} == {order.id}


async def test_a_refusal_leaves_no_trace_and_harms_no_neighbour(market: Any) -> None:
    (ticket,) = await market.offer()

    def bad(state: State) -> Changes:
        raise NotFound

    command = market.command()
    results: Any = await asyncio.gather(
        market.storage.decide(Keys.of(Ticket.key(ticket.id)), bad, command),
        market.place("buyer", ticket.id),
        return_exceptions=True,
    )
    refused, order = results
    assert isinstance(refused, NotFound)
    assert isinstance(order, Order)
    assert await market.storage.outcome(command.id) is None


async def test_a_decision_with_a_bug_fails_alone(market: Any) -> None:
    (ticket,) = await market.offer()
    results: Any = await asyncio.gather(
        market.storage.decide(Keys(), lambda _: 1 / 0, market.command()),
        market.place("buyer", ticket.id),
        return_exceptions=True,
    )
    bug, order = results
    assert isinstance(bug, ZeroDivisionError)
    assert isinstance(order, Order)


@pytest.mark.parametrize(
    "wrong", [{"price": Money(0, "USD")}, {"event_id": "nowhere"}, {"title": "\ud800"}, {"price": Money(2**70, "USD")}]
)
async def test_what_the_schema_refuses_fails_alone(market: Any, wrong: dict[str, Any]) -> None:
    (ticket,) = await market.offer()
    bad = replace(ticket, id=new_id(), version=0, **wrong)
    results: Any = await asyncio.gather(
        market.storage.decide(Keys(), lambda _: Changes(put=(bad,)), market.command()),
        market.place("buyer", ticket.id),
        return_exceptions=True,
    )
    poison, order = results
    assert isinstance(poison, Refused)
    assert isinstance(order, Order)
    assert Ticket.key(bad.id) not in await market.storage.get([Ticket.key(bad.id)])


async def test_who_stops_waiting_harms_nobody(market: Any) -> None:
    tickets = await market.offer(10)
    tasks = [asyncio.create_task(market.place(f"buyer-{n}", ticket.id)) for n, ticket in enumerate(tickets)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(order, Order) for order in results[1::2])
    lines = len(market.rows("SELECT 1 FROM ticketkit_order_lines WHERE live"))
    assert lines == len(market.rows("SELECT 1 FROM ticketkit_tickets WHERE order_id IS NOT NULL"))


async def test_a_need_is_run_again_on_everything(market: Any) -> None:
    event = await market.announce()
    seen: list[State] = []

    def decision(state: State) -> Changes | Need:
        if need := state.missing((), shared=(LiveEvent.key(event.id),)):
            return need
        seen.append(state)
        return Changes(answer=(state.require(LiveEvent, event.id),))

    answer = await market.storage.decide(Keys.of(Holds.key("x")), decision, market.command())
    assert answer.one(LiveEvent) == event
    assert set(seen[-1].entities) == {Holds.key("x"), LiveEvent.key(event.id)}


async def test_a_stale_lock_is_taken_over_and_the_other_tickets_are_free(market: Any) -> None:
    one, two = await market.offer(2)
    stale = await market.place("slow", one.id, two.id)
    market.clock.advance(minutes=15)
    new = await market.place("quick", one.id)
    assert (await market.ticket(one.id)).order_id == new.id
    assert (await market.ticket(two.id)).status is TicketStatus.AVAILABLE
    found = (await market.storage.get([Order.key(stale.id)]))[Order.key(stale.id)]
    assert found.status is OrderStatus.CANCELLED
    assert market.rows("SELECT order_id FROM ticketkit_order_lines WHERE live") == [(new.id,)]


async def test_a_ticket_that_was_let_go_can_be_ordered_again_even_in_one_batch(market: Any) -> None:
    (ticket,) = await market.offer()
    first = await market.place("one", ticket.id)
    _, second = await asyncio.gather(market.cancel(first), market.place("two", ticket.id))
    assert (await market.ticket(ticket.id)).order_id == second.id


async def test_odd_texts_and_large_money_come_back_as_they_were(market: Any) -> None:
    title = "".join(["Ünï😀\u202e\u0301", "'\";--%_\\", "漢字" * 20])[:200]
    (ticket,) = await market.offer(title=title, price=Money(MAX_MINOR, "JPY"), extra={"a:b": {"ü": [1, None, "😀"]}})
    assert await market.ticket(ticket.id) == ticket
    order = await market.place("buyer 'o\"", ticket.id)
    assert (await market.storage.get([key_of(order)]))[key_of(order)] == order


async def test_an_event_tells_the_state_that_was_committed(market: Any) -> None:
    (ticket,) = await market.offer()
    order = await market.place("buyer", ticket.id)
    claims = await market.storage.claim_events(10, timedelta(seconds=10))
    told = [(one.event.name, one.event.subject, one.event.aggregateversion, one.event.time) for one in claims]
    now = market.clock.now()
    assert told == [
        ("ticket.created", ticket.id, 1, now),
        ("order.created", order.id, 1, now),
        ("ticket.locked", ticket.id, 2, now),
    ]


async def test_a_fact_about_nothing_written_is_refused(market: Any) -> None:
    with pytest.raises(Refused):
        await market.storage.decide(
            Keys(), lambda _: Changes(facts=(Fact("ticket.sold", Ticket.key("x")),)), market.command()
        )


@ON_SQLITE
async def test_while_another_process_writes_for_too_long_nothing_happens(market: Any, tmp_path: Any) -> None:
    import sqlite3

    (ticket,) = await market.offer()
    async with open_storage(f"{market.url}?busy=0.1", Context(clock=market.clock.twin())) as storage:
        impatient = market.of(storage)
        blocker = sqlite3.connect(market.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await impatient.place("buyer", ticket.id)
        assert (await impatient.ticket(ticket.id)).status is TicketStatus.AVAILABLE
        blocker.execute("ROLLBACK")
        blocker.close()
        assert (await impatient.place("buyer", ticket.id)).version == 1


@ON_SQLITE
async def test_a_full_disk_is_said_to_be_unavailable_and_harms_nothing(market: Any) -> None:
    (ticket,) = await market.offer()
    connection = market.storage._database.writer._connection
    connection.exec_driver_sql("PRAGMA max_page_count = 1")
    big = [market.offer(100) for _ in range(3)]
    results = await asyncio.gather(*big, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in results)
    connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert (await market.place("buyer", ticket.id)).version == 1


@ON_SQLITE
@pytest.mark.parametrize("found", [True, False])
async def test_a_commit_without_an_answer_is_looked_up(
    market: Any, monkeypatch: pytest.MonkeyPatch, *, found: bool
) -> None:
    import sqlite3

    from sqlalchemy.exc import OperationalError

    (ticket,) = await market.offer()
    dialect = market.storage._database.writer._dialect
    commit = dialect.commit

    def lost(connection: Any) -> None:
        if found:
            commit(connection)
        raise OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(dialect, "commit", lost)
    results: Any = await asyncio.gather(market.place("buyer", ticket.id), return_exceptions=True)
    (result,) = results
    assert isinstance(result, Order if found else Unavailable)
    monkeypatch.setattr(dialect, "commit", commit)
    locked = (await market.ticket(ticket.id)).order_id is not None
    assert locked is found


async def test_a_closed_storage_is_unavailable(url: str) -> None:
    async with open_storage(url, Context()) as storage:
        pass
    with pytest.raises(Unavailable):
        await storage.decide(Keys(), lambda _: Changes(), _command())


def _command() -> Any:
    from ticketkit.domain.decision import Command

    return Command(id=new_id())


@pytest.mark.parametrize(
    "wrong",
    [
        "sqlite://",
        "sqlite:///",
        "postgresql://h/x",
        "sqlite:///x?bisy=1",
        "sqlite:///x?busy=no",
        "sqlite:///x?migrate=2",
    ],
)
async def test_a_wrong_url_is_refused_before_anything_is_made(wrong: str) -> None:
    with pytest.raises(Misconfigured):
        async with open_storage(wrong, Context()):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path: Any) -> None:
    (tmp_path / "x.db").write_text("This is no database. " * 100)
    with pytest.raises(Misconfigured, match=r"x\.db"):
        async with open_storage(f"sqlite:///{tmp_path / 'x.db'}", Context()):
            pass
