"""Wakes whoever waits when another process did something. Without it they look now and then."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.errors import BackendError
from ticketkit_sql.postgresql.alone import CHANNEL
from ticketkit_sql.postgresql.failures import ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit_sql.postgresql.connecting import Connector

_PULSE: Final = 10.0
"""Seconds between two signs of life of a connection on which nothing is said."""
_AGAIN: Final = 1.0
"""Seconds between two tries to connect."""
_PAUSE: Final = 0.01
"""Seconds between two calls: what comes meanwhile is said once."""


class Listener:
    """One connection that listens, and calls.

    Args:
        connector: Connects, again whenever it has to.
        heard: Called with what another process said.
    """

    def __init__(self, connector: Connector, heard: Callable[[str], None]) -> None:
        self._connector = connector
        self._heard = heard
        self._said: set[str] = set()
        self._something = asyncio.Event()
        self._task = asyncio.create_task(self._stay(), name="ticketkit-sql-listener")

    def say(self, what: str) -> None:
        """Tell all processes, soon."""
        self._said.add(what)
        self._something.set()

    async def close(self) -> None:
        """Stop."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _stay(self) -> None:
        while True:
            with contextlib.suppress(BackendError, *ERRORS):
                async with self._connector.once() as connection:
                    await connection.add_listener(CHANNEL, self._hear)
                    connection.add_termination_listener(self._wake)
                    while True:
                        await self._speak(connection)
            await anyio.sleep(_AGAIN)

    async def _speak(self, connection: Any) -> None:
        with anyio.move_on_after(_PULSE):
            await self._something.wait()
        self._something.clear()
        said, self._said = self._said, set()
        await connection.execute("SELECT 1", timeout=_PULSE)
        if not said:
            await connection.execute("SELECT", timeout=_PULSE)
        for what in sorted(said):
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, what, timeout=_PULSE)
        await anyio.sleep(_PAUSE)

    def _wake(self, _connection: Any) -> None:
        self._something.set()

    def _hear(self, _connection: Any, _pid: int, _channel: str, what: Any) -> None:
        self._heard(str(what))  # also what this process said itself: it was woken before, and looks once more
