"""The writer of a process: a task that drains the decisions that wait, and commits them as one.

A batch belongs to the task and not to its callers: whoever stops waiting harms nobody. Whoever fails, fails alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ticketkit.backends.errors import BackendError, CapabilityNotSupported, OutcomeUnknown, Unavailable
from ticketkit.backends.storage import Answer
from ticketkit_sql.batch import Ask
from ticketkit_sql.postgresql.attempt import Attempt, Conflict, Hold
from ticketkit_sql.postgresql.failures import ERRORS, Fault, fault, lost, told, too_much
from ticketkit_sql.settings import MAX_KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit_sql.postgresql.connecting import Backend, Connector
    from ticketkit_sql.postgresql.layout import Layout

CAP: Final = 256
"""Most decisions in one transaction."""
KEYS: Final = 1000
"""Keys after which a batch takes no more decisions: every key is a lock in the server's memory."""
_MISSES: Final = 3
"""After so many a decision is made alone, waiting for its locks."""
_CAREFUL: Final = 16
"""Batches that take their locks first, after one that met another process."""
_FAULTS: Final = (*ERRORS, ValueError)


@dataclass(slots=True, eq=False)
class _Work:
    ask: Ask
    future: asyncio.Future[Answer]


class _CommitLostError(Exception):
    """COMMIT was sent and not answered."""


class GroupWriter:
    """Decides in batches on a connection of its own.

    Args:
        connector: Connects, again whenever it has to.
        layout: Of the database.
        new_id: For events.
        checkpoint: See `Context.checkpoint`.
        alone: Decides one, in a transaction of its own that waits for locks.
        told: Called when events were committed.
    """

    def __init__(
        self,
        connector: Connector,
        layout: Layout,
        *,
        new_id: Callable[[], str],
        checkpoint: Callable[[str], None],
        alone: Callable[[Ask], Awaitable[None]],
        told: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._layout = layout
        self._new_id = new_id
        self._checkpoint = checkpoint
        self._alone = alone
        self._told = told
        self._connection: asyncpg.Connection[Any] | None = None
        self._backend: Backend | None = None
        self._waiting: deque[_Work] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._careful = 0
        self._others: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._serve(), name="ticketkit-sql-writer")

    async def decide(self, reads: Keys, decision: Decision, command: Command) -> Answer:
        """See `Storage.decide`."""
        if self._closed:
            raise Unavailable("The storage is closed.")
        if len(reads.held) + len(reads.shared) > MAX_KEYS:
            raise CapabilityNotSupported(f"A decision names at most {MAX_KEYS} keys (max_entities).")
        work = _Work(Ask(reads, decision, command), asyncio.get_running_loop().create_future())
        self._waiting.append(work)
        self._ready.set()
        return await work.future

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closed = True
        self._ready.set()
        await self._task
        while self._others:
            await asyncio.wait(self._others)
        self._disconnect()

    async def _serve(self) -> None:
        while not (self._closed and not self._waiting):
            await self._ready.wait()
            self._ready.clear()
            while batch := self._drain():
                await self._carry_out(batch)
                await asyncio.sleep(0)  # who was answered may ask again, and goes into the next batch
            if self._closed:
                self._ready.set()

    def _drain(self) -> list[_Work]:
        batch: list[_Work] = []
        keys = 0
        while self._waiting and len(batch) < CAP and keys < KEYS:
            work = self._waiting.popleft()
            if not work.future.done():  # nobody waits for it any more, and nothing was begun
                batch.append(work)
                keys += 1 + len(work.ask.reads.held) + len(work.ask.reads.shared)
        return batch

    async def _carry_out(self, batch: Sequence[_Work]) -> None:
        try:
            left = await self._attempt(batch)
        except Conflict:
            left = batch
            for work in batch:
                work.ask.missed += 1
            self._careful = _CAREFUL
        except BackendError as error:
            _fail(batch, error)
            return
        except _FAULTS as error:
            await self._failed(batch, error)
            return
        except Exception as error:  # noqa: BLE001 - the loop of a runner
            self._disconnect()
            _fail(batch, error)
            return
        self._again(left)

    def _again(self, left: Sequence[_Work]) -> None:
        for work in reversed(left):
            if work.ask.missed < _MISSES:
                self._waiting.appendleft(work)
            else:
                self._apart(work)

    async def _failed(self, batch: Sequence[_Work], error: BaseException) -> None:
        if isinstance(error, ValueError) or fault(error) is Fault.INPUT or too_much(error):
            if len(batch) == 1:
                _fail(batch, told(error))
                return
            half = len(batch) // 2
            await self._carry_out(batch[:half])
            await self._carry_out(batch[half:])
            return
        self._disconnect()
        _fail(batch, told(error))

    async def _attempt(self, batch: Sequence[_Work]) -> list[_Work]:
        """Decide a batch, and answer it.

        Returns:
            Those that are to be tried again.
        """
        connection = await self._connected()
        hold = Hold.FIRST if self._careful else Hold.LAST
        attempt = Attempt(connection, self._layout, [work.ask for work in batch], hold=hold, new_id=self._new_id)
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

    async def _in_transaction(
        self, connection: asyncpg.Connection[Any], attempt: Attempt, batch: Sequence[_Work]
    ) -> None:
        await connection.execute("BEGIN")
        try:
            write = await attempt.decide()
            self._checkpoint("decided")
            if write:
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
        self._checkpoint("committed")
        if attempt.aside:
            self._careful = _CAREFUL

    async def _perhaps_lost(self, batch: Sequence[_Work], error: BaseException) -> None:
        """Return when a batch was committed although nobody said so; otherwise raise.

        Raises:
            OutcomeUnknown: Nobody can tell.
            Exception: The error itself, when nothing was written.
        """
        if isinstance(error, ValueError) or not lost(error):
            raise error
        backend = self._backend
        self._disconnect()
        try:
            assert backend is not None  # noqa: S101 - of the connection that was just lost
            await self._connector.see_off(backend)
            there = await self._on_record(batch)
        except BackendError as unknown:
            raise OutcomeUnknown(f"The commit's answer was lost, and so was the look-up of it: {unknown}") from error
        if not there:
            raise told(error) from error

    async def _on_record(self, batch: Sequence[_Work]) -> bool:
        ids = [work.ask.command.id for work in batch if _written(work)]
        if not ids:
            return False
        try:
            connection = await self._connected()
            known = await connection.fetchval("SELECT count(*) FROM ticketkit_commands WHERE id = ANY ($1)", ids)
        except ERRORS as error:
            self._disconnect()
            raise told(error) from error
        return bool(known)

    def _answer(self, batch: Sequence[_Work], attempt: Attempt) -> list[_Work]:
        if attempt.tells:
            self._told()
        later = {id(ask) for ask in (*attempt.aside, *attempt.alone)}
        if not later:
            for work in batch:
                _resolve(work)
            return []
        for ask in attempt.aside:
            ask.missed += 1
        for ask in attempt.alone:
            ask.missed = _MISSES
        left: list[_Work] = []
        for work in batch:
            if id(work.ask) in later:
                left.append(work)
            else:
                _resolve(work)
        return left

    def _apart(self, work: _Work) -> None:
        async def run() -> None:
            try:
                await self._alone(work.ask)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is the caller's
                work.ask.outcome = error
            _resolve(work)

        task = asyncio.create_task(run())
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    async def _connected(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            self._connection, self._backend = await self._connector.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._backend = None


def _written(work: _Work) -> bool:
    return isinstance(work.ask.outcome, Answer) and not work.ask.outcome.replayed


def _resolve(work: _Work) -> None:
    if work.future.done():
        return
    if isinstance(work.ask.outcome, Exception):
        work.future.set_exception(work.ask.outcome)
    elif work.ask.outcome is not None:
        work.future.set_result(work.ask.outcome)


def _fail(batch: Sequence[_Work], error: Exception) -> None:
    for work in batch:
        work.ask.outcome = error
        _resolve(work)
