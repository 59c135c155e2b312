"""A decision in a transaction of its own, or of the app, that waits for its locks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ticketkit.backends.errors import BackendError, CapabilityNotSupported, OutcomeUnknown, Unavailable
from ticketkit.backends.storage import Answer
from ticketkit_sql.postgresql.attempt import Attempt, Conflict, Hold, Wider
from ticketkit_sql.postgresql.connecting import Backend, Connector
from ticketkit_sql.postgresql.failures import ERRORS, lost, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit_sql.batch import Ask
    from ticketkit_sql.postgresql.layout import Layout
    from ticketkit_sql.postgresql.settings import PostgresSettings

CHANNEL: Final = "ticketkit"
DECIDED: Final = "decided"
_ROUNDS: Final = 20
_FAULTS: Final = (*ERRORS, SQLAlchemyError, ValueError)
_POINT: Final = "ticketkit_decision"
_OWN: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


class Alone:
    """Decides one at a time, each in its own transaction.

    Args:
        engine: Its connections.
        connector: To look up what became of a transaction.
        layout: Of the database.
        settings: How long to wait for locks.
        new_id: For events.
        checkpoint: See `Context.checkpoint`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        connector: Connector,
        layout: Layout,
        *,
        settings: PostgresSettings,
        new_id: Callable[[], str],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._connector = connector
        self._layout = layout
        self._limiter = anyio.CapacityLimiter(settings.alone)
        self._lock = f"SET LOCAL lock_timeout = {int(settings.lock * 1000)}"
        self._new_id = new_id
        self._checkpoint = checkpoint

    async def decide(self, ask: Ask) -> None:
        """Decide and commit; sets the outcome.

        Raises:
            Unavailable: Others hold what it needs for too long, or the server is away; nothing was written.
            OutcomeUnknown: The commit's answer was lost, and so was the look-up of it.
            Refused: The database will never take it.
        """
        ask.begin()
        try:
            async with self._limiter, self._engine.connect() as connection:
                await self._decide(connection, ask)
        except Conflict as error:
            raise Unavailable("The database was changed by something that takes no locks.") from error
        except BackendError:
            raise
        except _FAULTS as error:
            raise told(error) from error

    async def _decide(self, connection: AsyncConnection, ask: Ask) -> None:
        transaction = await connection.begin()
        try:
            own = (await connection.exec_driver_sql(_OWN)).mappings().one()
            write = await self._in(connection, ask)
        except BaseException:
            await transaction.rollback()
            raise
        if not write:
            await transaction.rollback()
            return
        self._checkpoint("written")
        try:
            await transaction.commit()
        except _FAULTS as error:
            if not lost(error):
                raise
            await connection.invalidate()
            await self._look_up(Backend(own["pid"], own["backend_start"]), ask, error)
        self._checkpoint("committed")

    async def within(self, connection: object, ask: Ask) -> None:
        """Decide in a transaction of the app, which commits or undoes it; sets the outcome.

        Raises:
            CapabilityNotSupported: It is no connection that can be joined.
            Unavailable: Others hold what it needs for too long.
            Refused: The database will never take it.
        """
        if not isinstance(connection, AsyncConnection) or connection.dialect.driver != "asyncpg":
            raise CapabilityNotSupported("`within` takes an AsyncConnection of SQLAlchemy on postgresql+asyncpg.")
        if not connection.in_transaction():
            raise CapabilityNotSupported("`within` takes a connection in a transaction: `async with engine.begin()`.")
        try:
            found = await connection.exec_driver_sql("SELECT current_setting('transaction_isolation')")
            if found.scalar() != "read committed":
                raise CapabilityNotSupported("`within` takes a READ COMMITTED transaction: it has to see the newest.")
            await self._in(connection, ask)
        except Conflict as error:
            raise Unavailable("The database was changed by something that takes no locks.") from error
        except _FAULTS as error:
            raise told(error) from error

    async def _in(self, connection: AsyncConnection, ask: Ask) -> bool:
        """Decide and write; sets the outcome. Answers whether there is something to commit."""
        raw: Any = (await connection.get_raw_connection()).driver_connection
        before = (await connection.exec_driver_sql("SELECT current_setting('lock_timeout')")).scalar()
        await connection.exec_driver_sql(self._lock)
        attempt = await self._decided(connection, raw, ask)
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{before}'")
        if attempt is None:
            return False
        self._checkpoint("decided")
        await attempt.write()
        for statement in attempt.also:
            await connection.execute(statement)
        if attempt.tells:
            await connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '{DECIDED}')")
        return True

    async def _decided(self, connection: AsyncConnection, raw: Any, ask: Ask) -> Attempt | None:
        """Take the locks in order, and decide. None when there is nothing to write."""
        for _ in range(_ROUNDS):
            await connection.exec_driver_sql(f"SAVEPOINT {_POINT}")
            attempt = Attempt(raw, self._layout, [ask], hold=Hold.WAIT, new_id=self._new_id)
            try:
                return attempt if await attempt.decide() else None
            except Wider:
                # Locks go with the savepoint: all are taken anew in one order, and nobody waits in a circle.
                await connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_POINT}")
        raise Unavailable(f"The decision asked for more {_ROUNDS} times.")

    async def _look_up(self, backend: Backend, ask: Ask, error: BaseException) -> None:
        try:
            there = await self._connector.on_record([ask.command.id], backend)
        except BackendError as unknown:
            raise OutcomeUnknown(f"The commit's answer was lost, and so was the look-up of it: {unknown}") from error
        if not there:
            raise told(error) from error


def answer_of(ask: Ask) -> Answer:
    """What a decision answered.

    Raises:
        Exception: As it raised it.
    """
    if isinstance(ask.outcome, Exception):
        raise ask.outcome
    assert ask.outcome is not None  # noqa: S101 - set by whoever decided it
    return ask.outcome
