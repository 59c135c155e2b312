"""One open PostgreSQL database: its writer, its pools, and what listens to other processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ticketkit.backends.errors import BackendError, Misconfigured, OutcomeUnknown
from ticketkit.backends.spec import Capability
from ticketkit_sql.batch import Ask
from ticketkit_sql.postgresql.alone import DECIDED, Alone, answer_of
from ticketkit_sql.postgresql.connecting import Connector
from ticketkit_sql.postgresql.dialect import PostgresDialect
from ticketkit_sql.postgresql.failures import ERRORS, lost, told
from ticketkit_sql.postgresql.lane import Lane
from ticketkit_sql.postgresql.layout import COLUMNS, NOW, TABLES, Layout
from ticketkit_sql.postgresql.listener import Listener
from ticketkit_sql.postgresql.writer import GroupWriter
from ticketkit_sql.rows import time_of
from ticketkit_sql.schema import make_ready
from ticketkit_sql.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime

    from sqlalchemy import Connection

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Context
    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit_sql.postgresql.settings import PostgresSettings

T = TypeVar("T")
_LANES: Final = 2
_NOW: Final = f"SELECT {NOW}"
_SNAPSHOT: Final = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_SINGLE: Final = {"isolation_level": "AUTOCOMMIT"}


class PostgresDatabase:
    """An open database. Made by `opened`.

    Attributes:
        dialect: Its statements.
        decided: Notified when decisions were committed.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.OWN_TABLES})

    def __init__(self, settings: PostgresSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self.dialect = PostgresDialect()
        self._connector = Connector(settings)
        self._engine = self._connector.engine(settings.pool)
        self._lonely = self._connector.engine(settings.alone, writing=True)
        self._signals: dict[str, Signal] = {}
        self.decided = self.signal(DECIDED)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alone: Alone
        self._writer: GroupWriter
        self._listener: Listener

    @property
    def clock(self) -> Clock:
        """To wait by. The time of the database is `now`."""
        return self._context.clock

    @property
    def new_id(self) -> Callable[[], str]:
        """Makes fresh ids."""
        return self._context.new_id

    def signal(self, name: str) -> Signal:
        """What wakes those in this process who wait for a kind of change."""
        return self._signals.setdefault(name, Signal(self.clock))

    async def open(self) -> None:
        """Make the schema ready, and start to write and to listen.

        Raises:
            Misconfigured: User, password, database, release or schema will not do.
            Unavailable: The server can't be reached.
        """
        try:
            async with self._lonely.connect() as connection:
                await self._make_ready(connection)
            async with self._connector.once() as raw:
                found = {row["name"]: row["columns"] for row in await raw.fetch(COLUMNS, TABLES)}
        except ERRORS as error:
            await self._dispose()
            raise told(error) from error
        except BaseException:
            await self._dispose()
            raise
        if absent := [name for name in TABLES if name not in found]:
            await self._dispose()
            raise Misconfigured(f"{self._settings.place} has no table {absent[0]}. Run `ticketkit db upgrade`.")
        self._start(Layout(found))

    def _start(self, layout: Layout) -> None:
        stamps: dict[str, Any] = {"new_id": self.new_id, "checkpoint": self._context.checkpoint}
        self._alone = Alone(self._lonely, self._connector, layout, settings=self._settings, **stamps)
        self._listener = Listener(self._connector, lambda what: self.signal(what).notify())
        lanes = [Lane(self._connector, layout, told=lambda: self._tell(DECIDED), **stamps) for _ in range(_LANES)]
        self._writer = GroupWriter(lanes, alone=self._decide_alone)

    async def close(self) -> None:
        """Finish what is waiting, and close all connections."""
        await self._writer.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._listener.close()
        await self._dispose()

    async def _dispose(self) -> None:
        await self._engine.dispose()
        await self._lonely.dispose()

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        """See `Storage.decide`."""
        if within is None:
            return await self._writer.decide(reads, decision, command)
        ask = Ask(reads, decision, command)
        await self._alone.within(within, ask)
        return answer_of(ask)

    async def now(self) -> datetime:
        """The server's clock."""
        return await self.look(_now)

    async def look(self, query: Callable[[Connection], T]) -> T:
        """Run a query of one statement.

        Raises:
            Unavailable: The database can't be read now.
        """
        return await self._kept(self._read(query, _SINGLE))

    async def look_at(self, query: Callable[[Connection, datetime], T]) -> T:
        """As `look`; the query gets the server's time too."""
        return await self.look(lambda connection: query(connection, _now(connection)))

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on one state of the whole database.

        Raises:
            Unavailable: The database can't be read now.
        """
        return await self._kept(self._read(query, _SNAPSHOT))

    async def read_at(self, query: Callable[[Connection, datetime], T]) -> T:
        """As `read`; the query gets the server's time too."""
        return await self.read(lambda connection: query(connection, _now(connection)))

    async def run(self, job: Callable[[Connection, datetime], T], *, signal: Signal | None = None) -> T:
        """Carry out a job in a transaction of its own.

        Args:
            job: Gets the connection and the server's time.
            signal: Notified once it is committed, here and in other processes.

        Raises:
            Unavailable: Nothing was written.
            OutcomeUnknown: It may have been.
            Refused: The database will never take this.
        """
        result = await self._kept(self._run(job))
        self._ring(signal)
        return result

    async def execute(self, sql: str, values: tuple[Any, ...], *, signal: Signal | None = None) -> None:
        """Carry out one statement of the dialect, which commits by itself; see `run`."""
        await self._kept(self._execute(sql, values))
        self._ring(signal)

    def _ring(self, signal: Signal | None) -> None:
        if signal is not None:
            self._tell(next(name for name, known in self._signals.items() if known is signal))

    async def _run(self, job: Callable[[Connection, datetime], T]) -> T:
        committing = False
        try:
            async with self._engine.connect() as connection, connection.begin():
                result = await connection.run_sync(lambda sync: job(sync, _now(sync)))
                committing = True
            return result
        except BackendError:
            raise
        except ERRORS as error:
            raise _told(error, sent=committing) from error

    async def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        sent = False
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**_SINGLE)
                sent = True
                await connection.exec_driver_sql(sql, values)
        except BackendError:
            raise
        except ERRORS as error:
            raise _told(error, sent=sent) from error

    async def _read(self, query: Callable[[Connection], T], options: dict[str, Any]) -> T:
        try:
            return await self._read_once(query, options)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise told(error) from error
        except ERRORS as error:
            raise told(error) from error
        try:  # the server was started anew: the pool has thrown its old connections away
            return await self._read_once(query, options)
        except ERRORS as error:
            raise told(error) from error

    async def _read_once(self, query: Callable[[Connection], T], options: dict[str, Any]) -> T:
        async with self._engine.connect() as connection:
            await connection.execution_options(**options)
            return await connection.run_sync(query)

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        # A task of the database's own: whoever stops waiting leaves no connection in the middle of something.
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller may have gone

    async def _decide_alone(self, ask: Ask) -> None:
        await self._alone.decide(ask)
        if not isinstance(ask.outcome, Exception):
            self.decided.notify()

    def _tell(self, what: str) -> None:
        self.signal(what).notify()
        self._listener.say(what)

    async def _make_ready(self, connection: AsyncConnection) -> None:
        if self._settings.migrate == "app":
            return
        await connection.run_sync(lambda sync: make_ready(sync, self.dialect, allowed=self._settings.migrate == "yes"))


def _told(error: BaseException, *, sent: bool) -> BackendError:
    if sent and lost(error):
        return OutcomeUnknown(f"The commit's answer was lost: {told(error)}")
    return told(error)


def _now(connection: Connection) -> datetime:
    return time_of(connection.exec_driver_sql(_NOW).scalar_one())
