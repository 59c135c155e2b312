"""The most important invariants again, by plain SQL: whoever doubts ticketkit's own reading of its tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from ticketkit.services.catalogue import Boundary
from ticketkit_marketplace.demo.invariants import Finding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Read: TypeAlias = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""Runs a statement, and returns its rows."""

_OF_THE_DRIVER: Final = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey")
_TWICE: Final = (
    "SELECT line.ticket_id, count(*) FROM ticketkit_order_lines AS line "
    "JOIN ticketkit_orders AS placed ON placed.id = line.order_id AND placed.status = 'completed' "
    "AND NOT placed.released GROUP BY line.ticket_id HAVING count(*) > 1"
)
_SOLD: Final = "SELECT count(*) FROM ticketkit_tickets WHERE status = 'sold'"
_COMPLETED: Final = "SELECT count(*) FROM ticketkit_orders WHERE status = 'completed'"
_CHARGED: Final = "SELECT count(*) FROM ticketkit_charges WHERE status = 'completed'"


async def check_plainly(databases: Mapping[Boundary, str]) -> list[Finding]:
    """Check databases that nobody writes any more.

    Args:
        databases: URL of each boundary's storage: SQLite or PostgreSQL.
    """
    async with _reading(databases[Boundary.INVENTORY]) as read:
        twice = await read(_TWICE)
        ((sold,),) = await read(_SOLD)
        ((paid,),) = await read(_COMPLETED)
    async with _reading(databases[Boundary.PAYMENTS]) as read:
        ((charged,),) = await read(_CHARGED)
    wrong = [f"{times} completed orders have ticket {id}" for id, times in twice]
    wrong += [] if charged == paid else [f"{charged} charges and {paid} orders are completed"]
    found = Finding("Plain SQL agrees: none sold twice, as many charges as orders completed", sold, tuple(wrong))
    files = [url for url in dict.fromkeys(databases.values()) if _is_file(url)]
    return [*([await _sound(files)] if files else []), found]


async def _sound(urls: list[str]) -> Finding:
    wrong: list[str] = []
    for url in urls:
        async with _reading(url) as read:
            wrong += [str(row[0]) for row in await read("PRAGMA integrity_check") if row[0] != "ok"]
            wrong += [f"{row[0]} row {row[1]} refers to nothing" for row in await read("PRAGMA foreign_key_check")]
    return Finding("The database file is sound", len(urls), tuple(wrong))


def _is_file(url: str) -> bool:
    return url.startswith("sqlite:")


@asynccontextmanager
async def _reading(url: str) -> AsyncIterator[Read]:
    if _is_file(url):
        path = urlsplit(url).path[1:]
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:

            async def read(statement: str) -> list[tuple[Any, ...]]:
                return database.execute(statement).fetchall()

            yield read
        return
    import asyncpg

    parts = urlsplit(url)
    known = [(name, value) for name, value in parse_qsl(parts.query) if name in _OF_THE_DRIVER]
    connection = await asyncpg.connect(parts._replace(query=urlencode(known)).geturl())
    try:

        async def fetch(statement: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(statement)]

        yield fetch
    finally:
        await connection.close()
