"""Timers: due times in a table, claimed with a lease.

A timer may be claimed from `free_at` on: its due time at first, the end of the lease while somebody has it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from ticketkit.backends.spec import Capability, Context
from ticketkit.backends.timers import Due
from ticketkit_sql.opening import AnyDatabase, opened
from ticketkit_sql.reads import TABLES
from ticketkit_sql.rows import micros, time_of
from ticketkit_sql.signal import LOOK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Connection

_TABLE: Final = TABLES["timers"]
_TIMER: Final = _TABLE.c


class SqlTimers:
    """`Timers` on a database.

    Args:
        database: Open.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database
        self._changed = database.signal("timers")

    async def schedule(self, key: str, due: datetime) -> None:
        sql = self._database.dialect.upsert("timers", ("key", "due", "free_at", "token"), "key")
        await self._database.execute(sql, (key, micros(due), micros(due), None), signal=self._changed)

    async def cancel(self, key: str) -> None:
        await self._remove({"key": key})

    async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
        if await self._pause() > 0:  # looking needs no writing
            return []
        token = self._database.new_id()
        return await self._database.run(partial(_claim, limit=limit, lease=lease, token=token))

    async def done(self, timer: Due) -> None:
        await self._remove({"key": timer.key, "token": timer.token})

    async def wait(self, seconds: float) -> None:
        while seconds > 0 and (pause := await self._pause()) > 0:
            pause = min(pause, seconds, LOOK)
            await self._changed.wait(pause)
            seconds -= pause

    async def _remove(self, mine: dict[str, str]) -> None:
        await self._database.execute(self._database.dialect.delete("timers", mine), tuple(mine.values()))

    async def _pause(self) -> float:
        """Seconds until the next timer may be claimed, as far as it is known now."""
        return await self._database.look_at(_pause)


def _pause(connection: Connection, now: datetime) -> float:
    first: int | None = connection.scalar(select(func.min(_TIMER.free_at)))
    return LOOK if first is None else (time_of(first) - now).total_seconds()


def _claim(connection: Connection, now: datetime, *, limit: int, lease: timedelta, token: str) -> list[Due]:
    wanted = select(_TIMER.key, _TIMER.due).where(_TIMER.free_at <= micros(now))
    free = wanted.order_by(_TIMER.due, _TIMER.key).limit(limit).with_for_update(skip_locked=True)
    rows = connection.execute(free).all()
    if rows:
        mine = update(_TABLE).where(_TIMER.key.in_([row.key for row in rows]))
        connection.execute(mine.values(token=token, free_at=micros(now + lease)))
    return [Due(row.key, time_of(row.due), token) for row in rows]


@asynccontextmanager
async def open_timers(url: str, context: Context) -> AsyncIterator[SqlTimers]:
    """Open timers by URL."""
    async with opened(url, context) as database:
        yield SqlTimers(database)
