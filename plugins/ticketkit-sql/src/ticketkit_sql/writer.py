"""The one writer of a database: a thread that drains what is waiting, and commits it as one.

Decisions and jobs go on a queue. The thread takes all that is there (256 at most; it never lingers for more), carries
it out in one transaction, commits once, and hands every outcome back in one hop to the event loop. Whoever fails, fails
alone; whoever stops waiting harms nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.storage import Answer
from ticketkit_sql.batch import Ask, answer_on_record, decide_all
from ticketkit_sql.signal import Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from ticketkit.backends.clock import Clock
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit_sql.sqlite import Sqlite

T = TypeVar("T")
Job: TypeAlias = Callable[[Connection, datetime], T]
"""Statements with a result; may be run again, if what it was batched with failed."""

CAP: Final = 256
"""Most pieces of work in one transaction."""


@dataclass(slots=True)
class _Work:
    """A decision or a job that somebody waits for."""

    future: asyncio.Future[Any]
    ask: Ask | None = None
    job: Job[Any] | None = None
    signal: Signal | None = None
    outcome: Any = field(default=None)


class _CommitFailedError(Exception):
    """COMMIT did not say that it was done."""


class Writer:
    """Commits decisions and jobs in batches.

    Args:
        engine: Of one writing connection.
        dialect: Its database.
        clock: The storage's clock.
        new_id: For events.
        checkpoint: See `Context.checkpoint`.

    Attributes:
        decided: Notified when decisions were committed.
    """

    def __init__(
        self,
        engine: Engine,
        dialect: Sqlite,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        checkpoint: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._dialect = dialect
        self._clock = clock
        self._new_id = new_id
        self._checkpoint = checkpoint
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Work] = deque()
        self._ready = threading.Event()
        self._waking = False
        self._closed = False
        self.decided = Signal(clock)
        self._connection = engine.connect()
        self._thread = threading.Thread(target=self._serve, name="ticketkit-sql-writer", daemon=True)
        self._thread.start()

    async def decide(self, reads: Keys, decision: Decision, command: Command) -> Answer:
        """See `Storage.decide`."""
        ask = Ask(reads, decision, command)
        answer: Answer = await self._put(_Work(self._loop.create_future(), ask=ask, signal=self.decided))
        return answer

    async def run(self, job: Job[T], *, signal: Signal | None = None) -> T:
        """Carry out a job in the next transaction.

        Args:
            job: Gets the connection and the storage's time.
            signal: Notified once it is committed.

        Raises:
            Unavailable: Nothing was written.
            OutcomeUnknown: It may have been.
            Refused: The database will never take this.
        """
        result: T = await self._put(_Work(self._loop.create_future(), job=job, signal=signal))
        return result

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closed = True
        self._ready.set()
        await asyncio.to_thread(self._thread.join)

    def _put(self, work: _Work) -> asyncio.Future[Any]:
        if self._closed:
            raise Unavailable("The storage is closed.")
        self._waiting.append(work)
        if not self._waking:
            # After all tasks that are ready now: they go into one batch, and nobody lingers for it.
            self._waking = True
            self._loop.call_soon(self._wake)
        return work.future

    def _wake(self) -> None:
        self._waking = False
        self._ready.set()

    def _serve(self) -> None:
        with contextlib.closing(self._connection):
            while not (self._closed and not self._waiting):
                self._ready.wait()
                self._ready.clear()
                while batch := self._drain():
                    self._carry_out(batch)
                    with contextlib.suppress(RuntimeError):  # the loop was closed with work under way
                        self._loop.call_soon_threadsafe(self._resolve, batch)
                if self._closed:
                    self._ready.set()

    def _drain(self) -> list[_Work]:
        batch: list[_Work] = []
        while self._waiting and len(batch) < CAP:
            batch.append(self._waiting.popleft())
        return batch

    def _resolve(self, batch: Sequence[_Work]) -> None:
        signals: set[Signal] = set()
        for work in batch:
            if isinstance(work.outcome, Exception):
                if not work.future.done():
                    work.future.set_exception(work.outcome)
                continue
            if work.signal is not None:
                signals.add(work.signal)
            if not work.future.done():
                work.future.set_result(work.outcome)
        for signal in signals:
            signal.notify()

    def _carry_out(self, batch: Sequence[_Work]) -> None:
        try:
            self._attempt(batch)
        except _CommitFailedError as error:
            self._look_up(batch, error)
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - the loop of a runner
            if self._dialect.transient(error):
                _fail(batch, Unavailable(f"The database did not take it: {_reason(error)}."))
            elif len(batch) == 1:
                _fail(batch, Refused(f"The database will never take this: {_reason(error)}."))
            else:
                for work in batch:
                    self._carry_out([work])

    def _attempt(self, batch: Sequence[_Work]) -> None:
        self._dialect.begin(self._connection)
        try:
            asks = [work.ask for work in batch if work.ask is not None]
            now = self._clock.now()
            decided = self._decide(asks, now)
            write = self._run(batch, now) or decided
            if decided:
                self._checkpoint("written")
        except BaseException:
            self._dialect.rollback(self._connection)
            raise
        if not write:
            self._dialect.rollback(self._connection)
            return
        try:
            self._dialect.commit(self._connection)
        except DBAPIError as error:
            self._dialect.rollback(self._connection)
            if self._dialect.transient(error):
                raise _CommitFailedError from error
            raise  # a deferred constraint: nothing was written
        if decided:
            self._checkpoint("committed")

    def _decide(self, asks: Sequence[Ask], now: datetime) -> bool:
        if not asks:
            return False
        return decide_all(
            self._connection, self._dialect, asks, now=now, new_id=self._new_id, checkpoint=self._checkpoint
        )

    def _run(self, batch: Sequence[_Work], now: datetime) -> bool:
        write = False
        for work in batch:
            if work.job is not None:
                work.outcome = work.job(self._connection, now)
                write = True
            elif work.ask is not None:
                work.outcome = work.ask.outcome
        return write

    def _look_up(self, batch: Sequence[_Work], error: _CommitFailedError) -> None:
        reason = _reason(error.__cause__)
        try:
            ids = [work.ask.command.id for work in batch if work.ask is not None]
            with self._engine.connect() if self._connection.invalidated else _same(self._connection) as connection:
                found = answer_on_record(connection, self._dialect, ids)
        except Exception:  # noqa: BLE001 - whatever it was, the outcome stays unknown
            _fail(batch, OutcomeUnknown(f"The commit's answer was lost: {reason}."))
            return
        for work in batch:
            if work.ask is None:
                work.outcome = OutcomeUnknown(f"The commit's answer was lost: {reason}.")
            elif work.ask.command.id in found:
                work.outcome = Answer(found[work.ask.command.id].answer)
            else:
                work.outcome = Unavailable(f"The database did not commit: {reason}.")


@contextlib.contextmanager
def _same(connection: Connection) -> Any:
    yield connection


def _fail(batch: Sequence[_Work], error: Exception) -> None:
    for work in batch:
        work.outcome = error


def _reason(error: BaseException | None) -> str:
    return str(getattr(error, "orig", None) or error)
