"""Opens a database by its URL. Storage, timers and bus of a process share what they open."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.errors import Misconfigured
from ticketkit_sql.database import Database
from ticketkit_sql.settings import SCHEMES, Settings, scheme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.backends.spec import Context
    from ticketkit_sql.postgresql.database import PostgresDatabase

AnyDatabase: TypeAlias = "Database | PostgresDatabase"
_Name: TypeAlias = "tuple[object, int, int]"

INSTALL: Final = 'PostgreSQL needs its driver: pip install "ticketkit[postgresql]"'


@dataclass(slots=True)
class _Shared:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    database: AnyDatabase | None = None
    users: int = 0


# A database has one writer in a process, whoever opens it: this is a fact about the process, and so it is kept here.
_shared: dict[_Name, _Shared] = {}


@asynccontextmanager
async def opened(url: str, context: Context) -> AsyncIterator[AnyDatabase]:
    """Open the database of a URL, or join those who have it open on this event loop and clock.

    Raises:
        Misconfigured: The URL, the file or the server is wrong.
        Unavailable: The server can't be reached, or another process has the file for too long.
    """
    name, database = _named(url, context)
    shared = _shared.setdefault(name, _Shared())
    shared.users += 1
    try:
        async with shared.lock:
            if shared.database is None:
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


@asynccontextmanager
async def opened_file(url: str, context: Context) -> AsyncIterator[Database]:
    """As `opened`, for SQLite alone."""
    Settings.of(url)
    async with opened(url, context) as database:
        assert isinstance(database, Database)  # noqa: S101 - the URL says so
        yield database


def _named(url: str, context: Context) -> tuple[_Name, AnyDatabase]:
    clock = 0 if type(context.clock) is SystemClock else id(context.clock)
    loop = id(asyncio.get_running_loop())
    if scheme(url) in SCHEMES:
        try:
            from ticketkit_sql.postgresql.database import PostgresDatabase
            from ticketkit_sql.postgresql.settings import PostgresSettings
        except ModuleNotFoundError as error:
            raise Misconfigured(f"{INSTALL} ({error})") from error
        there = PostgresSettings.of(url)
        return (there, loop, clock), PostgresDatabase(there, context)
    settings = Settings.of(url)
    return (settings.path.resolve(), loop, clock), Database(settings, context)
