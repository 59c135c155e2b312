"""A storage on a fresh file or an empty database, and short words for what the tests do with it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest

from ticketkit.backends.spec import Context
from ticketkit.domain import live_events, orders
from ticketkit.domain import tickets as tickets_domain
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import LiveEvent, Order, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id
from ticketkit_sql import schema
from ticketkit_sql.storage import SqlStorage, open_storage

# The server's own `clock_timestamp` is found after this one, by the path of the database alone: nothing in the
# storage knows that it is tested.
_CLOCK: Final = """
CREATE SCHEMA test;
CREATE TABLE test.clock (now timestamptz NOT NULL);
INSERT INTO test.clock VALUES (pg_catalog.clock_timestamp());
CREATE FUNCTION test.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now FROM test.clock';
"""
_EMPTY: Final = """
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT tablename AS name FROM pg_tables
    WHERE tablename LIKE 'ticketkit\\_%' AND tablename <> 'ticketkit_alembic_version'
  LOOP EXECUTE format('DELETE FROM %I', one.name); END LOOP;
END $$"""


class Admin:
    """A connection of its own, for tests to look and to meddle with; from any thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: asyncpg.Connection | None = None

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        for number in range(1, len(values) + 1):
            sql = sql.replace("?", f"${number}", 1)
        return [tuple(row) for row in self._wait(self._fetch(sql, values))]

    def execute(self, sql: str) -> None:
        self._wait(self._execute(sql))

    def set_clock(self, now: datetime) -> None:
        self._wait(self._fetch("UPDATE test.clock SET now = $1", (now,)))

    def empty(self) -> None:
        self.execute(_EMPTY)

    def close(self) -> None:
        if self._connection is not None:
            self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url)
        return self._connection

    async def _fetch(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        return list(await (await self._connected()).fetch(sql, *values))

    async def _execute(self, sql: str) -> None:
        await (await self._connected()).execute(sql)


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextmanager
def created(url: str, name: str, *, migrated: bool = True, clock: bool = True) -> Iterator[tuple[str, Admin]]:
    """A database that is gone at the end: its URL, and a connection to it."""
    server = Admin(url)
    server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    server.execute(f'CREATE DATABASE "{name}"')
    there = with_database(url, name)
    if migrated:
        schema.upgrade(there)
    admin = Admin(there)
    if clock:
        admin.execute(_CLOCK)
        server.execute(f'ALTER DATABASE "{name}" SET search_path = public, test, pg_catalog')
    try:
        yield there, admin
    finally:
        admin.close()
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.close()


@dataclass
class HandClock:
    """A clock that stands still until a test moves it."""

    time: datetime = field(default_factory=lambda: datetime(2026, 12, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + timedelta(seconds=seconds)
        while self.time < until:  # noqa: ASYNC110 - tests set the time from wherever they are
            await anyio.sleep(0.005)

    def advance(self, **delta: float) -> None:
        self.time += timedelta(**delta)

    def twin(self) -> HandClock:
        """Another clock, so that what is opened with it shares nothing: as in another process."""
        return HandClock()


class Market:
    """What sellers and buyers do, on a storage."""

    def __init__(self, storage: SqlStorage, url: str, clock: HandClock, admin: Admin | None = None) -> None:
        self.storage = storage
        self.url = url
        self.clock = clock
        self.admin = admin
        self.policy = Policy()

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def of(self, storage: SqlStorage) -> Market:
        """The same, on another storage."""
        return Market(storage, self.url, self.clock, self.admin)

    def command(self, **values: Any) -> Command:
        return Command(**{"id": new_id(), "fresh": (new_id(),), **values})

    async def announce(self, name: str = "Hamilton") -> LiveEvent:
        command = self.command()
        starts_at = await self.storage.now() + timedelta(days=365)
        decision = partial(
            live_events.announce, command=command, owner_id="seller", name=name, venue="Hall", starts_at=starts_at
        )
        return (await self.storage.decide(Keys(), decision, command)).one(LiveEvent)

    async def offer(self, number: int = 1, *, event_id: str | None = None, **values: Any) -> tuple[Ticket, ...]:
        command = self.command(fresh=tuple(new_id() for _ in range(number)))
        values = {"title": "Seat", "price": Money(1000, "USD"), "event_id": event_id, **values}
        listings = [tickets_domain.Listing(**values) for _ in range(number)]
        decision = partial(tickets_domain.list_tickets, command=command, seller_id="seller", listings=listings)
        return (await self.storage.decide(Keys(), decision, command)).every(Ticket)

    async def place(
        self, buyer_id: str, *ticket_ids: str, command: Command | None = None, policy: Policy | None = None
    ) -> Order:
        command = command or self.command()
        decision = partial(
            orders.place, command=command, buyer_id=buyer_id, ticket_ids=ticket_ids, policy=policy or self.policy
        )
        keys = Keys.of(*(Ticket.key(id) for id in ticket_ids))
        return (await self.storage.decide(keys, decision, command)).one(Order)

    async def cancel(self, order: Order) -> Order:
        command = self.command()
        decision = partial(orders.cancel, order_id=order.id, buyer_id=order.buyer_id)
        return (await self.storage.decide(Keys.of(Order.key(order.id)), decision, command)).one(Order)

    async def ticket(self, id: str) -> Ticket:
        found = (await self.storage.get([Ticket.key(id)]))[Ticket.key(id)]
        assert isinstance(found, Ticket)
        return found

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        if self.admin is not None:
            return self.admin.rows(sql, *values)
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()


class ServerClock(HandClock):
    """Moves the clock of a database too."""

    def __init__(self, admin: Admin) -> None:
        super().__init__()
        self._admin = admin
        admin.set_clock(self.time)

    def advance(self, **delta: float) -> None:
        super().advance(**delta)
        self._admin.set_clock(self.time)

    def twin(self) -> HandClock:
        return ServerClock(self._admin)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """What the storage is on: each test of the protocol runs on both."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgresql_database(postgresql_url: str) -> Iterator[tuple[str, Admin]]:
    with created(postgresql_url, f"ticketkit_sql_{os.getpid()}") as database:
        yield database


@pytest.fixture(scope="session")
def postgresql_kit_database(postgresql_url: str) -> Iterator[tuple[str, Admin]]:
    """A database on the server's own clock."""
    with created(postgresql_url, f"ticketkit_sql_kit_{os.getpid()}", clock=False) as database:
        yield database


@pytest.fixture
def created_database(postgresql_url: str) -> Callable[..., AbstractContextManager[tuple[str, Admin]]]:
    """Makes one more database: its URL, and a look into it."""
    return partial(created, postgresql_url, f"ticketkit_sql_more_{os.getpid()}")


@pytest.fixture
def admin(request: pytest.FixtureRequest, kind: str) -> Iterator[Admin | None]:
    """A look into PostgreSQL, on an empty database; None on SQLite."""
    if kind == "sqlite":
        yield None
        return
    _, admin = request.getfixturevalue("postgresql_database")
    admin.empty()
    yield admin


@pytest.fixture
def clock(admin: Admin | None) -> HandClock:
    return HandClock() if admin is None else ServerClock(admin)


@pytest.fixture
def url(request: pytest.FixtureRequest, admin: Admin | None, tmp_path: Path) -> str:
    if admin is None:
        return f"sqlite:///{tmp_path / 'market.db'}"
    return str(request.getfixturevalue("postgresql_database")[0])


@pytest.fixture
async def market(url: str, clock: HandClock, admin: Admin | None) -> AsyncIterator[Market]:
    async with open_storage(url, Context(clock=clock)) as storage:
        yield Market(storage, url, clock, admin)


@pytest.fixture
def event() -> Callable[..., Envelope]:
    def make(name: str = "order.created", **values: Any) -> Envelope:
        return Envelope(
            **{
                "id": new_id(),
                "type": f"ticketkit.{name}.v1",
                "source": "/ticketkit/orders",
                "subject": new_id(),
                "time": datetime.now(UTC),
                "aggregateversion": 1,
                "data": b'{"id":"1","version":1}',
                **values,
            }
        )

    return make


@pytest.fixture
def outcomes() -> Callable[[Sequence[object], type[BaseException]], int]:
    """Counts results of a class, and lets nothing unexpected pass."""

    def count(results: Sequence[object], cls: type[BaseException]) -> int:
        strange = [one for one in results if isinstance(one, BaseException) and not isinstance(one, cls)]
        assert not strange
        return sum(isinstance(one, cls) for one in results)

    return count


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "market.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_file(sqlite_template: Path, tmp_path: Path) -> Path:
    """An empty database whose schema is made: to make it anew for each test would take longer than most tests."""
    return Path(shutil.copy(sqlite_template, tmp_path / "market.db"))
