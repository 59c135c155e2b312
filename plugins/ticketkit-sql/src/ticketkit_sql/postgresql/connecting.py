"""Connections to the server: each is checked when it is made."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ticketkit.backends.errors import BackendError, Misconfigured, Unavailable
from ticketkit_sql.postgresql.failures import ERRORS, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit_sql.postgresql.settings import PostgresSettings

OLDEST: Final = 140000
_CHECK: Final = """
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS standby,
  current_setting('server_version_num')::int AS version,
  (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS since, pg_backend_pid() AS pid
"""
_GONE: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"
_KNOWN: Final = "SELECT count(*) = $2::int FROM ticketkit_commands WHERE id = ANY ($1)"
_LOOK: Final = 0.02
_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Backend:
    """The server's process behind a connection: until it is gone, what it was told may still happen."""

    pid: int
    since: datetime


class Connector:
    """Makes connections.

    Args:
        settings: Where, and how long to wait.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._arguments = settings.arguments()
        # Plans are kept as long as a connection, those of foreign keys too, and the first ones are made while tables
        # are empty: reading a table from end to end must not look cheap.
        plans = {"enable_seqscan": "off"}
        self._by_key = {**self._arguments, "server_settings": {**self._arguments["server_settings"], **plans}}

    async def connect(self, *, writing: bool = True) -> tuple[asyncpg.Connection, Backend]:
        """Connect to a server that can be written.

        Args:
            writing: It is for rows that are found by their keys.

        Raises:
            Misconfigured: Wrong password or database, a server that is too old, or a standby.
            Unavailable: It does not answer.
        """
        try:
            connection = await asyncpg.connect(**(self._by_key if writing else self._arguments))
        except asyncpg.InvalidPasswordError as error:
            raise self._refused("does not take the password", "look at user and password in the URL") from error
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise self._refused(f"says {_text(error)}", "look at the user in the URL, and at pg_hba.conf") from error
        except asyncpg.InvalidCatalogNameError as error:
            name = self._settings.database
            raise self._refused(f"has no database {name!r}", "make it (createdb), or mend the URL") from error
        except ERRORS as error:
            raise self._unreachable(error) from error
        try:
            found = await connection.fetchrow(_CHECK)
            self._check(found)
        except BaseException:
            connection.terminate()
            raise
        return connection, Backend(found["pid"], found["since"])

    def engine(self, size: int, *, writing: bool = False) -> AsyncEngine:
        """A pool of connections; one that the server has closed is replaced when it is taken."""

        async def creator(*_: Any, **__: Any) -> asyncpg.Connection:
            connection, _backend = await self.connect(writing=writing)
            return connection

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=creator,
            pool_size=size,
            max_overflow=0,
            pool_timeout=self._settings.connect,
        )

        @event.listens_for(engine.sync_engine, "checkout")
        def _living(adapted: Any, _record: object, _proxy: object) -> None:
            if adapted.driver_connection.is_closed():
                raise DisconnectionError

        return engine

    @asynccontextmanager
    async def once(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of its own, closed at the end."""
        connection, _ = await self.connect()
        try:
            yield connection
        finally:
            connection.terminate()

    async def on_record(self, command_ids: Sequence[str], backend: Backend) -> bool:
        """Whether a commit happened, of which the answer was lost: whether all its commands are on record.

        It waits until the server's process is gone: what that was told has happened by then, or never will.

        Args:
            command_ids: Of one commit.
            backend: That was told to commit.

        Raises:
            Unavailable: The server can't be reached for `connect` seconds, or its process does not go.
        """
        give_up = anyio.current_time() + self._settings.connect
        while True:
            try:
                with anyio.fail_after(self._settings.connect + self._settings.statement):
                    return await self._look_up(command_ids, backend)
            except (Unavailable, *ERRORS) as error:
                if anyio.current_time() > give_up:
                    raise error if isinstance(error, Unavailable) else told(error) from error
            await anyio.sleep(_PAUSE)

    async def _look_up(self, command_ids: Sequence[str], backend: Backend) -> bool:
        async with self.once() as connection:
            while await connection.fetchval(_GONE, backend.pid, backend.since) is not None:  # noqa: ASYNC110
                await anyio.sleep(_LOOK)
            return bool(await connection.fetchval(_KNOWN, command_ids, len(command_ids)))

    def _check(self, found: Any) -> None:
        if found["version"] < OLDEST:
            old = found["version"] // 10000
            raise self._refused(f"is release {old}", f"ticketkit needs {OLDEST // 10000} or newer")
        if found["standby"]:
            raise self._refused("is a read-only standby", "decisions are made on the primary alone: give its address")

    def _refused(self, what: str, remedy: str) -> Misconfigured:
        mend = f"{remedy[:1].upper()}{remedy[1:]}."
        return Misconfigured(f"PostgreSQL at {self._settings.place} {what}.", mend=mend)

    def _unreachable(self, error: BaseException) -> BackendError:
        found = told(error)
        if isinstance(found, Unavailable):
            return Unavailable(f"PostgreSQL at {self._settings.place} can't be reached: {_text(error)}.")
        return Misconfigured(f"PostgreSQL at {self._settings.place} refuses the connection: {_text(error)}.")


def _text(error: BaseException) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__
