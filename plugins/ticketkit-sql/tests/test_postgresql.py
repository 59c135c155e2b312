"""What PostgreSQL alone can, refuses and promises, while its server is well."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import anyio
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.errors import CapabilityNotSupported, Misconfigured, Refused, Unavailable
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.domain import orders
from ticketkit.domain import tickets as tickets_domain
from ticketkit.domain.decision import Changes, Keys, Need, State
from ticketkit.domain.entities import Holds, Key, Order, OrderCopy, Ticket, TicketStatus
from ticketkit.domain.errors import InvalidInput, TicketUnavailable
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.plugins import Plugins
from ticketkit_sql import schema
from ticketkit_sql.postgresql import functions
from ticketkit_sql.storage import open_storage
from ticketkit_sql.tables import tables
from ticketkit_sql.timers import open_timers

pytestmark = pytest.mark.anyio

NOTES = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text, nullable=False))
LEASE = timedelta(seconds=30)


@pytest.fixture
def kind() -> str:
    """The database of `market`."""
    return "postgresql"


@pytest.fixture
def notes(market: Any) -> Any:
    """A table of the app."""
    market.admin.execute("DROP TABLE IF EXISTS notes; CREATE TABLE notes (id int PRIMARY KEY, text text NOT NULL)")
    yield partial(market.rows, "SELECT id, text FROM notes ORDER BY id")
    market.admin.execute("DROP TABLE notes")


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """The app's own."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    yield engine
    await engine.dispose()


def placing(market: Any, ticket_id: str, *also: Any, buyer_id: str = "buyer") -> tuple[Keys, Any, Any]:
    command = market.command()

    def decision(state: State) -> Changes | Need:
        changes = orders.place(state, command=command, buyer_id=buyer_id, ticket_ids=(ticket_id,), policy=market.policy)
        if isinstance(changes, Need):
            return changes
        return Changes(put=changes.put, facts=changes.facts, answer=changes.answer, also=also)

    return Keys.of(Ticket.key(ticket_id)), decision, command


async def in_transaction(market: Any) -> int:
    """Connections of ticketkit that are in the middle of something."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ticketkit' AND xact_start IS NOT NULL"
    return len(await asyncio.to_thread(market.rows, sql))


async def until(found: Any, seconds: float = 10) -> None:
    with anyio.fail_after(seconds):
        while not await found():  # noqa: ASYNC110 - of what another process does nobody tells
            await anyio.sleep(0.02)


async def test_an_apps_statements_are_in_the_same_commit(market: Any, notes: Any) -> None:
    (ticket,) = await market.offer()
    note = insert(NOTES).values(id=1, text="sold")
    answer = await market.storage.decide(*placing(market, ticket.id, note))
    assert answer.one(Order).ticket_ids == (ticket.id,)
    assert notes() == [(1, "sold")]


async def test_a_statement_that_fails_fails_alone_and_nothing_of_its_decision_is_there(market: Any, notes: Any) -> None:
    first, second = await market.offer(2)
    wrong = insert(NOTES).values(id=1, text=None)
    bad = market.storage.decide(*placing(market, first.id, insert(NOTES).values(id=2, text="x"), wrong))
    results: Any = await asyncio.gather(bad, market.place("other", second.id), return_exceptions=True)
    assert isinstance(results[0], Refused)
    assert isinstance(results[1], Order)
    assert notes() == []
    assert (await market.ticket(first.id)).status is TicketStatus.AVAILABLE


@pytest.mark.parametrize("bug", [ValueError("bug"), OSError("bug"), LookupError("bug")])
async def test_what_a_decision_raises_is_given_to_its_caller_as_it_is(
    market: Any, engine: AsyncEngine, bug: Exception
) -> None:
    def wrong(state: State) -> Changes:
        raise bug

    def wrong_alone(state: State) -> Changes:
        return Changes(also=(select(1),)) if next(runs) == 0 else wrong(state)

    runs = count()
    with pytest.raises(type(bug), match="bug"):
        await market.storage.decide(Keys(), wrong, market.command())
    with pytest.raises(type(bug), match="bug"):
        await market.storage.decide(Keys(), wrong_alone, market.command())
    async with engine.begin() as connection:
        with pytest.raises(type(bug), match="bug"):
            await market.storage.decide(Keys(), wrong, market.command(), within=connection)


async def test_a_decision_joins_the_apps_transaction(market: Any, notes: Any, engine: AsyncEngine) -> None:
    kept, undone = await market.offer(2)
    async with engine.begin() as connection:
        await connection.execute(insert(NOTES).values(id=1, text="mine"))
        await market.storage.decide(*placing(market, kept.id), within=connection)
        assert (await market.ticket(kept.id)).status is TicketStatus.AVAILABLE  # nobody else sees it yet
    async with engine.connect() as connection:
        await connection.execute(insert(NOTES).values(id=2, text="undone"))
        await market.storage.decide(
            *placing(market, undone.id, insert(NOTES).values(id=3, text="x")), within=connection
        )
        await connection.rollback()
    assert notes() == [(1, "mine")]
    assert (await market.ticket(kept.id)).status is TicketStatus.LOCKED
    assert (await market.ticket(undone.id)).status is TicketStatus.AVAILABLE


async def test_events_of_an_apps_transaction_that_commits_late_are_not_passed_over(
    market: Any, engine: AsyncEngine
) -> None:
    early, late = await market.offer(2)
    await market.storage.mark_published(await market.storage.claim_events(10, LEASE))
    async with engine.begin() as connection:
        await market.storage.decide(*placing(market, late.id), within=connection)
        await market.place("other", early.id)
        claims = await market.storage.claim_events(10, LEASE)
        assert {claim.event.subject for claim in claims if claim.event.name == "ticket.locked"} == {early.id}
        await market.storage.mark_published(claims)
    claims = await market.storage.claim_events(10, LEASE)
    assert {claim.event.subject for claim in claims if claim.event.name == "ticket.locked"} == {late.id}


async def test_what_an_apps_transaction_holds_keeps_others_waiting_only_for_the_lock_time(
    market: Any, engine: AsyncEngine
) -> None:
    held, free = await market.offer(2)
    async with open_storage(f"{market.url}?lock=0.3", Context(clock=market.clock.twin())) as storage:
        impatient = market.of(storage)
        async with engine.begin() as connection:
            await market.storage.decide(*placing(market, held.id), within=connection)
            blocked = asyncio.create_task(impatient.place("late", held.id))
            assert isinstance(await impatient.place("quick", free.id), Order)  # a neighbour is not kept
            with pytest.raises(Unavailable):
                await blocked
        with pytest.raises(TicketUnavailable):
            await impatient.place("late", held.id)


async def test_a_decision_within_a_transaction_waits_for_another(market: Any, engine: AsyncEngine) -> None:
    (ticket,) = await market.offer()
    async with engine.begin() as first:
        await market.storage.decide(*placing(market, ticket.id), within=first)

        async def second() -> None:
            async with engine.begin() as connection:
                await market.storage.decide(*placing(market, ticket.id, buyer_id="other"), within=connection)

        waiting = asyncio.create_task(second())
        await until(partial(_waits_for_a_lock, market))
    with pytest.raises(TicketUnavailable):
        await waiting


async def _waits_for_a_lock(market: Any) -> bool:
    return bool(await asyncio.to_thread(market.rows, "SELECT 1 FROM pg_locks WHERE NOT granted"))


@pytest.mark.parametrize("wrong", ["nonsense", "no transaction", "repeatable read"])
async def test_only_a_transaction_that_sees_the_newest_can_be_joined(
    market: Any, engine: AsyncEngine, wrong: str
) -> None:
    (ticket,) = await market.offer()
    async with engine.connect() as connection:
        if wrong == "repeatable read":
            await connection.execution_options(isolation_level="REPEATABLE READ")
            await connection.execute(select(1))
        within = object() if wrong == "nonsense" else connection
        with pytest.raises(CapabilityNotSupported, match="within"):
            await market.storage.decide(*placing(market, ticket.id), within=within)


async def test_more_keys_than_it_declares_are_refused(market: Any) -> None:
    (backend,) = [
        one for one in _backends() if one.kind is BackendKind.STORAGE and one.schemes == ("postgresql", "postgres")
    ]
    assert backend.max_entities is not None
    most = Keys.of(*(Holds.key(f"{n}") for n in range(backend.max_entities)))
    await market.storage.decide(most, lambda _: Changes(), market.command())
    over = Keys.of(Holds.key("one more"))
    with pytest.raises(CapabilityNotSupported):
        await market.storage.decide(most | over, lambda _: Changes(), market.command())

    def needs_more(state: State) -> Changes | Need:
        return state.missing(most.held) or Changes()

    with pytest.raises(CapabilityNotSupported):
        await market.storage.decide(over, needs_more, market.command())


def _backends() -> Any:
    from ticketkit_sql.plugin import ticketkit_backends

    return ticketkit_backends()


@pytest.mark.parametrize("title", ["nul \x00", "half \ud800"])
async def test_a_text_that_postgresql_cant_keep_is_refused_alone(market: Any, title: str) -> None:
    tickets = await market.offer(6)
    command = market.command(fresh=(new_id(),))
    listing = tickets_domain.Listing(title="fine", price=Money(1, "USD"))
    object.__setattr__(listing, "title", title)
    bad = partial(tickets_domain.list_tickets, command=command, seller_id="s", listings=[listing])
    put = Changes(
        put=(Ticket(id=new_id(), title=title, price=Money(1, "USD"), seller_id="s", created_at=market.clock.now()),)
    )
    results: Any = await asyncio.gather(
        *(market.place(f"a{n}", ticket.id) for n, ticket in enumerate(tickets[:3])),
        market.storage.decide(Keys(), bad, command),
        market.storage.decide(Keys(), lambda _: put, market.command()),
        market.storage.decide(Keys.of(Key("holds", title)), lambda _: Changes(), market.command()),
        *(market.place(f"b{n}", ticket.id) for n, ticket in enumerate(tickets[3:])),
        return_exceptions=True,
    )
    assert isinstance(results[3], (Refused, InvalidInput))
    assert all(isinstance(one, Refused) for one in results[4:6])
    assert all(isinstance(one, Order) for one in (*results[:3], *results[6:]))


async def test_whoever_stops_waiting_leaves_no_transaction_open(market: Any) -> None:
    tickets = await market.offer(40)
    for start in range(0, 40, 8):
        tasks = [asyncio.create_task(market.place(f"b{ticket.id}", ticket.id)) for ticket in tickets[start : start + 8]]
        tasks += [
            asyncio.create_task(market.storage.totals()),
            asyncio.create_task(market.storage.claim_events(5, LEASE)),
        ]
        await anyio.sleep(0.001 * (start % 3))
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def clean() -> bool:
        return not await in_transaction(market)

    await until(clean)
    lines = len(market.rows("SELECT 1 FROM ticketkit_order_lines WHERE live"))
    assert lines == len(market.rows("SELECT 1 FROM ticketkit_tickets WHERE order_id IS NOT NULL"))


async def test_a_commit_elsewhere_wakes_who_waits_without_a_look(market: Any) -> None:
    # Its clock stands still, so it never looks by itself.
    async with open_storage(market.url, Context(clock=market.clock.twin())) as other:
        waiting = asyncio.create_task(other.wait_for_events(60))
        await until(partial(_listens, market, 2))
        await market.offer()
        with anyio.fail_after(5):
            await waiting


async def _listens(market: Any, number: int) -> bool:
    sql = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
    return len(await asyncio.to_thread(market.rows, sql)) >= number


async def test_a_timer_set_elsewhere_wakes_who_waits_without_a_look(url: str, clock: Any, admin: Any) -> None:
    async with open_timers(url, Context(clock=clock)) as one, open_timers(url, Context(clock=clock.twin())) as two:
        waiting = asyncio.create_task(two.wait(60))
        market: Any = type("Looking", (), {"rows": staticmethod(admin.rows)})
        await until(partial(_listens, market, 2))
        await one.schedule("order", clock.now())
        with anyio.fail_after(5):
            await waiting
        assert [timer.key for timer in await two.claim(1, LEASE)] == ["order"]


async def test_two_relays_at_once_get_different_events_and_neither_waits(market: Any, engine: AsyncEngine) -> None:
    await market.offer(10)
    async with engine.begin() as connection:  # a relay in the middle of its claim
        locked = await connection.exec_driver_sql("SELECT id FROM ticketkit_outbox ORDER BY seq LIMIT 4 FOR UPDATE")
        taken = {row[0] for row in locked}
        with anyio.fail_after(2):
            claims = await market.storage.claim_events(10, LEASE)
    assert len(claims) == 6
    assert taken.isdisjoint(claim.event.id for claim in claims)


async def test_checkpoints_are_passed_in_each_commit(url: str, clock: Any, kind: str) -> None:
    passed: list[str] = []
    async with open_storage(url, Context(clock=clock, checkpoint=passed.append)) as storage:
        await storage.decide(Keys(), lambda _: Changes(), _command())
    assert passed == ["decided", "written", "committed"]


def _command() -> Any:
    from ticketkit.domain.decision import Command

    return Command(id=new_id())


async def test_what_changed_since_it_was_read_is_read_again_and_nobody_is_refused_for_it(
    url: str, clock: Any, market: Any
) -> None:
    event = await market.announce()
    (ticket,) = await market.offer(event_id=event.id)
    sql = "UPDATE ticketkit_live_events SET version = version + 1"
    changes = iter([sql])

    def meddle(name: str) -> None:
        if name == "decided" and (change := next(changes, None)):
            market.admin.execute(change)

    async with open_storage(url, Context(clock=clock.twin(), checkpoint=meddle)) as storage:
        shop = market.of(storage)
        results: Any = await asyncio.gather(
            shop.place("one", ticket.id), shop.place("two", ticket.id), return_exceptions=True
        )
    assert [type(one) for one in results] == [Order, TicketUnavailable]
    assert (await market.ticket(ticket.id)).order_id == results[0].id


async def test_entities_of_two_kinds_may_have_one_id_and_neither_hides_a_change_of_the_other(
    url: str, clock: Any, market: Any
) -> None:
    (ticket,) = await market.offer()
    order = await market.place("buyer", ticket.id)
    copy = OrderCopy.key(order.id)
    sql = f"UPDATE ticketkit_orders SET version = version + 1 WHERE id = '{order.id}'"  # noqa: S608
    changes = iter([sql])

    def meddle(name: str) -> None:
        if name == "decided" and (change := next(changes, None)):
            market.admin.execute(change)

    async with open_storage(url, Context(clock=clock.twin(), checkpoint=meddle)) as storage:
        shop = market.of(storage)
        looks = storage.decide(Keys.of(copy), lambda _: Changes(), market.command())
        cancelled, _ = await asyncio.gather(shop.cancel(order), looks)
    assert cancelled.version == order.version + 2


async def test_the_clock_is_the_servers(created_database: Any) -> None:
    class Behind:
        def now(self) -> Any:
            raise AssertionError

        async def sleep(self, seconds: float) -> None:
            await anyio.sleep(seconds)

    with created_database(clock=False) as (url, admin):
        async with open_storage(url, Context(clock=Behind())) as storage:
            ((before,),) = admin.rows("SELECT clock_timestamp()")
            now = await storage.now()
            ((after,),) = admin.rows("SELECT clock_timestamp()")
            assert before <= now <= after
            await storage.due_orders(1)


async def test_two_that_open_an_empty_database_at_once_both_find_it_ready(created_database: Any) -> None:
    with created_database(migrated=False, clock=False) as (url, _):

        async def use() -> None:
            clock: Any = type("Clock", (SystemClock,), {})()  # a clock of its own, so with connections of its own
            async with open_storage(url, Context(clock=clock)) as storage:
                await storage.totals()

        await asyncio.gather(*(use() for _ in range(4)))
        assert schema.check(url).ready


async def test_alembic_sees_no_difference(created_database: Any) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    metadata = MetaData()
    tables(metadata)
    with created_database(clock=False) as (url, _):
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))

        def compare(connection: Any) -> Any:
            options = {"version_table": schema.VERSION_TABLE}
            return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

        async with engine.connect() as connection:
            assert await connection.run_sync(compare) == []
        await engine.dispose()


async def test_an_app_may_make_tables_and_functions_itself(created_database: Any) -> None:
    metadata = MetaData()
    tables(metadata)
    with created_database(migrated=False, clock=False) as (url, _):
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
            for statement in functions.create():
                await connection.exec_driver_sql(statement)
        await engine.dispose()
        async with open_storage(f"{url}?migrate=app", Context()) as storage:
            await storage.decide(Keys(), lambda _: Changes(), _command())


async def test_capabilities_are_declared_as_they_are(market: Any) -> None:
    for backend in _backends():
        if backend.kind is BackendKind.STORAGE and "postgresql" in backend.schemes:
            assert backend.capabilities == market.storage.capabilities
    assert Capability.OWN_TABLES in market.storage.capabilities


async def test_without_its_driver_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ticketkit_sql.postgresql.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(Misconfigured, match=r'pip install "ticketkit\[postgresql\]"'):
        async with open_storage("postgresql://shop@localhost/shop", Context()):
            pass


@pytest.mark.parametrize("url", ["mysql://root@localhost/shop", "mariadb://root@localhost/shop"])
async def test_mysql_is_refused_with_what_to_use_instead(url: str) -> None:
    with pytest.raises(Misconfigured, match="conformance kit"):
        async with Plugins.load().open(BackendKind.STORAGE, url, Context()):
            pass
