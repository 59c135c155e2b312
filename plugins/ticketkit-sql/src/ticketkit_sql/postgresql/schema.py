"""The schema of a PostgreSQL database, for callers without an event loop: `ticketkit db`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ticketkit_sql.postgresql.connecting import Connector
from ticketkit_sql.postgresql.dialect import PostgresDialect
from ticketkit_sql.postgresql.failures import ERRORS, told
from ticketkit_sql.postgresql.settings import PostgresSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

T = TypeVar("T")


def with_database(url: str, work: Callable[[Connection, PostgresDialect], T]) -> T:
    """Do something on a connection of its own, and return when it is closed.

    Raises:
        Misconfigured: User, password, database or release will not do.
        Unavailable: The server can't be reached.
    """
    # On another thread, for the caller's may have an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _work(PostgresSettings.of(url), work)).result()


async def _work(settings: PostgresSettings, work: Callable[[Connection, PostgresDialect], T]) -> T:
    engine = Connector(settings).engine(1)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work, PostgresDialect())
    except ERRORS as error:
        raise told(error) from error
    finally:
        await engine.dispose()
