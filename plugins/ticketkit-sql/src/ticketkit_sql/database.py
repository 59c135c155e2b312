"""One open database file: its writer, and its connections for reading.

Storage, timers and bus on the same file share it, so that they share the writer and its commits too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from ticketkit.backends.errors import CapabilityNotSupported, Misconfigured, Unavailable
from ticketkit.backends.spec import Capability
from ticketkit_sql.schema import make_ready
from ticketkit_sql.signal import Signal
from ticketkit_sql.sqlite import Sqlite
from ticketkit_sql.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Context
    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit_sql.settings import Settings
    from ticketkit_sql.writer import Job

T = TypeVar("T")


class Database:
    """An open file. Made by `opened`.

    Attributes:
        dialect: Of its database.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self.dialect = Sqlite(settings)
        self._writing = self.dialect.engine()
        self._reading = self.dialect.engine(readers=settings.readers)
        self._looking = self.dialect.engine(readers=1)
        self._look: Connection | None = None
        self._limiter = anyio.CapacityLimiter(settings.readers)
        self._signals: dict[str, Signal] = {}
        self.writer: Writer

    @property
    def clock(self) -> Clock:
        """The clock of this database."""
        return self._context.clock

    @property
    def new_id(self) -> Callable[[], str]:
        """Makes fresh ids."""
        return self._context.new_id

    @property
    def decided(self) -> Signal:
        """Notified when decisions were committed."""
        return self.writer.decided

    def signal(self, name: str) -> Signal:
        """What wakes those in this process who wait for a kind of change."""
        return self._signals.setdefault(name, Signal(self.clock))

    async def open(self) -> None:
        """Make the schema ready, and start the writer.

        Raises:
            Misconfigured: The file can't be opened, is no database, or has a schema that this release can't use.
            Unavailable: Another process has it for too long.
        """
        await run_sync(self._make_ready)
        self.writer = Writer(
            self._writing, self.dialect, clock=self.clock, new_id=self.new_id, checkpoint=self._context.checkpoint
        )
        self._look = self._looking.connect()

    async def close(self) -> None:
        """Finish what is waiting, and close all connections."""
        await self.writer.close()
        if self._look is not None:
            self._look.close()
        self._looking.dispose()
        self._reading.dispose()
        self._writing.dispose()

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        """See `Storage.decide`."""
        if within is not None:
            raise CapabilityNotSupported("SQLite has one writer, which an app's transaction can't join (own_tables).")
        return await self.writer.decide(reads, decision, command)

    async def run(self, job: Job[T], *, signal: Signal | None = None) -> T:
        """See `Writer.run`."""
        return await self.writer.run(job, signal=signal)

    async def execute(self, sql: str, values: tuple[Any, ...], *, signal: Signal | None = None) -> None:
        """Carry out one statement of the dialect; see `run`."""
        await self.run(lambda connection, _now: _executed(connection, sql, values), signal=signal)

    async def now(self) -> datetime:
        """The time of the database: the machine's."""
        return self.clock.now()

    async def look(self, query: Callable[[Connection], T]) -> T:
        """Run a query that takes microseconds, right here: a hop to another thread would take longer.

        Args:
            query: Rows by their keys, few of them; one statement.

        Raises:
            Unavailable: The database can't be read now.
        """
        if self._look is not None:
            try:
                return query(self._look)
            except OperationalError:  # somebody is in the way: wait for that on another thread
                return await self.read(query)
        return await self.read(query)

    async def look_at(self, query: Callable[[Connection, datetime], T]) -> T:
        """As `look`; the query gets the time too."""
        return await self.look(lambda connection: query(connection, self.clock.now()))

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on another thread, on one state of the whole database.

        Raises:
            Unavailable: The database can't be read now.
        """
        return await run_sync(self._read, query, limiter=self._limiter)

    async def read_at(self, query: Callable[[Connection, datetime], T]) -> T:
        """As `read`; the query gets the time too."""
        return await self.read(lambda connection: query(connection, self.clock.now()))

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                self.dialect.snapshot(connection)
                try:
                    return query(connection)
                finally:
                    self.dialect.rollback(connection)
        except DatabaseError as error:
            raise Unavailable(f"The database can't be read now: {error.orig}.") from error

    def _make_ready(self) -> None:
        path = self._settings.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._writing.connect() as connection:
                self.dialect.prepare(connection)
                if self._settings.migrate != "app":
                    make_ready(connection, self.dialect, allowed=self._settings.migrate == "yes")
        except (OSError, DatabaseError) as error:
            raise Misconfigured(f"{path} can't be opened: {getattr(error, 'orig', error)}.") from error


def _executed(connection: Connection, sql: str, values: tuple[Any, ...]) -> None:
    connection.exec_driver_sql(sql, values)
