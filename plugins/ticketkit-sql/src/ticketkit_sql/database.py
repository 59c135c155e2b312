"""One open database file: its writer, and its connections for reading.

Storage, timers and bus on the same file share it, so that they share the writer and its commits too.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit_sql.schema import make_ready
from ticketkit_sql.settings import Settings
from ticketkit_sql.signal import Signal
from ticketkit_sql.sqlite import Sqlite
from ticketkit_sql.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Context

T = TypeVar("T")
_Name: TypeAlias = "tuple[Path, int, int]"


class Database:
    """An open file. Made by `opened`.

    Attributes:
        dialect: Of its database.
    """

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
        self.writer = Writer(self._writing, self.dialect, clock=self.clock, new_id=self.new_id)
        self._look = self._looking.connect()

    async def close(self) -> None:
        """Finish what is waiting, and close all connections."""
        await self.writer.close()
        if self._look is not None:
            self._look.close()
        self._looking.dispose()
        self._reading.dispose()
        self._writing.dispose()

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

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on another thread, on one state of the whole database.

        Raises:
            Unavailable: The database can't be read now.
        """
        return await run_sync(self._read, query, limiter=self._limiter)

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
                make_ready(connection, self.dialect, allowed=self._settings.migrate)
        except (OSError, DatabaseError) as error:
            raise Misconfigured(f"{path} can't be opened: {getattr(error, 'orig', error)}.") from error


@dataclass(slots=True)
class _Shared:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    database: Database | None = None
    users: int = 0


# A file has one writer in a process, whoever opens it: this is a fact about the process, and so it is kept here.
_shared: dict[_Name, _Shared] = {}


@asynccontextmanager
async def opened(url: str, context: Context) -> AsyncIterator[Database]:
    """Open the file of a URL, or join those who have it open on this event loop and clock.

    Raises:
        Misconfigured: The URL or the file is wrong.
        Unavailable: Another process has it for too long.
    """
    settings = Settings.of(url)
    clock = 0 if type(context.clock) is SystemClock else id(context.clock)
    name = (settings.path.resolve(), id(asyncio.get_running_loop()), clock)
    shared = _shared.setdefault(name, _Shared())
    shared.users += 1
    try:
        async with shared.lock:
            if shared.database is None:
                database = Database(settings, context)
                await database.open()
                shared.database = database
        yield shared.database
    finally:
        shared.users -= 1
        if not shared.users:
            del _shared[name]
            if shared.database is not None:
                with anyio.CancelScope(shield=True):
                    await shared.database.close()
