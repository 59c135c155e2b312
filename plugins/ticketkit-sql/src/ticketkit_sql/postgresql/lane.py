"""One of the connections that write: carries out a batch, and finds out what became of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from ticketkit.backends.errors import BackendError, OutcomeUnknown
from ticketkit.backends.storage import Answer
from ticketkit_sql.postgresql.attempt import Attempt, Claims, Conflict, Hold
from ticketkit_sql.postgresql.failures import ERRORS, Fault, fault, lost, told, too_much

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ticketkit_sql.batch import Ask
    from ticketkit_sql.postgresql.connecting import Backend, Connector
    from ticketkit_sql.postgresql.layout import Layout

MISSES: Final = 3
"""After so many a decision is made alone, waiting for its locks."""
_CAREFUL: Final = 16
"""Batches that take their locks first, after one that met another process."""
_FAULTS: Final = (*ERRORS, ValueError)


@dataclass(slots=True, eq=False)
class Work:
    """A decision that somebody waits for."""

    ask: Ask
    future: asyncio.Future[Answer]

    def resolve(self) -> None:
        """Give its caller the outcome."""
        if self.future.done():
            return
        if isinstance(self.ask.outcome, Exception):
            self.future.set_exception(self.ask.outcome)
        elif self.ask.outcome is not None:
            self.future.set_result(self.ask.outcome)


class Lane:
    """A connection that writes. What it has begun, no other lane of the process touches.

    Args:
        connector: Connects, again whenever it has to.
        layout: Of the database.
        new_id: For events.
        checkpoint: See `Context.checkpoint`.
        told: Called when events were committed.

    Attributes:
        claims: What its batch is about.
        rivals: The claims of the other lanes.
    """

    def __init__(
        self,
        connector: Connector,
        layout: Layout,
        *,
        new_id: Callable[[], str],
        checkpoint: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._layout = layout
        self._new_id = new_id
        self._checkpoint = checkpoint
        self._told = told
        self._connection: asyncpg.Connection | None = None
        self._backend: Backend | None = None
        self._careful = 0
        self.claims = Claims()
        self.rivals: Sequence[Claims] = ()

    async def carry_out(self, batch: Sequence[Work]) -> list[Work]:
        """Decide a batch and answer it, whatever happens.

        Returns:
            Those that are to be tried again.
        """
        held_before = self._careful > 0
        try:
            return await self._attempt(batch)
        except Conflict:
            if held_before:  # it took its locks first, and still: something changed that takes none
                for work in batch:
                    work.ask.missed += 1
            self._careful = _CAREFUL
            return list(batch)
        except BackendError as error:
            _fail(batch, error)
        except _FAULTS as error:
            return await self._failed(batch, error)
        except Exception as error:  # noqa: BLE001 - the loop of a runner
            self.disconnect()
            _fail(batch, error)
        finally:
            self.claims.clear()
        return []

    def disconnect(self) -> None:
        """Close the connection; the next batch makes another."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._backend = None

    async def _failed(self, batch: Sequence[Work], error: BaseException) -> list[Work]:
        if isinstance(error, ValueError) or fault(error) is Fault.INPUT or too_much(error):
            if len(batch) == 1:
                _fail(batch, told(error))
                return []
            half = len(batch) // 2
            self.claims.clear()
            return [*await self.carry_out(batch[:half]), *await self.carry_out(batch[half:])]
        self.disconnect()
        _fail(batch, told(error))
        return []

    async def _attempt(self, batch: Sequence[Work]) -> list[Work]:
        """Decide a batch, and answer it.

        Returns:
            Those that are to be tried again.
        """
        connection = await self._connected()
        hold = Hold.FIRST if self._careful else Hold.LAST
        attempt = Attempt(
            connection,
            self._layout,
            [work.ask for work in batch],
            hold=hold,
            new_id=self._new_id,
            claims=self.claims,
            rivals=self.rivals,
        )
        if hold is Hold.FIRST:
            self._careful -= 1
            await self._in_transaction(connection, attempt, batch)
        elif await attempt.decide():
            self._checkpoint("decided")
            self._checkpoint("written")  # the statement that is sent now commits by itself
            try:
                await attempt.write()
            except _FAULTS as error:
                await self._perhaps_lost(batch, error)
            self._checkpoint("committed")
        return self._answer(batch, attempt)

    async def _in_transaction(self, connection: asyncpg.Connection, attempt: Attempt, batch: Sequence[Work]) -> None:
        await connection.execute("BEGIN")
        try:
            if write := await attempt.decide():
                self._checkpoint("decided")
                await attempt.write()
                self._checkpoint("written")
        except BaseException:
            with contextlib.suppress(*ERRORS):
                await connection.execute("ROLLBACK")
            raise
        try:
            await connection.execute("COMMIT")
        except ERRORS as error:
            await self._perhaps_lost(batch, error)
        if write:
            self._checkpoint("committed")
        if attempt.aside:
            self._careful = _CAREFUL

    async def _perhaps_lost(self, batch: Sequence[Work], error: BaseException) -> None:
        """Return when a batch was committed although nobody said so; otherwise raise.

        Raises:
            OutcomeUnknown: Nobody can tell.
            Exception: The error itself, when nothing was written.
        """
        if isinstance(error, ValueError) or not lost(error):
            raise error
        backend = self._backend
        self.disconnect()
        ids = [work.ask.command.id for work in batch if _written(work)]
        try:
            assert backend is not None  # noqa: S101 - of the connection that was just lost
            there = bool(ids) and await self._connector.on_record(ids, backend)
        except BackendError as unknown:
            raise OutcomeUnknown(f"The commit's answer was lost, and so was the look-up of it: {unknown}") from error
        if not there:
            raise told(error) from error

    def _answer(self, batch: Sequence[Work], attempt: Attempt) -> list[Work]:
        if attempt.tells:
            self._told()
        later = {id(ask) for ask in (*attempt.aside, *attempt.barred, *attempt.alone)}
        if not later:
            for work in batch:
                work.resolve()
            return []
        for ask in attempt.aside:
            ask.missed += 1
        for ask in attempt.alone:
            ask.missed = MISSES
        left: list[Work] = []
        for work in batch:
            if id(work.ask) in later:
                left.append(work)
            else:
                work.resolve()
        return left

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection, self._backend = await self._connector.connect()
        return self._connection


def _written(work: Work) -> bool:
    return isinstance(work.ask.outcome, Answer) and not work.ask.outcome.replayed


def _fail(batch: Sequence[Work], error: Exception) -> None:
    for work in batch:
        work.ask.outcome = error
        work.resolve()
