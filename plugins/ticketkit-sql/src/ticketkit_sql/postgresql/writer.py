"""The writer of a process: takes all decisions that wait, and commits them as one.

Two lanes take turns: while the server writes the batch of one, the other decides. A batch belongs to its lane and not
to its callers: whoever stops waiting harms nobody. Whoever fails, fails alone.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import CapabilityNotSupported, Unavailable
from ticketkit_sql.batch import Ask
from ticketkit_sql.postgresql.lane import MISSES, Lane, Work
from ticketkit_sql.settings import MAX_KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys

CAP: Final = 256
"""Most decisions in one transaction."""
KEYS: Final = 1000
"""Keys after which a batch takes no more decisions: every key is a lock in the server's memory."""
_PAUSE: Final = 0.002
"""Seconds, times four for each miss, before a decision is tried again that another process was in the way of."""
_FEW: Final = 8
"""So many decisions are not worth two batches."""


class GroupWriter:
    """Decides in batches.

    Args:
        lanes: Two, or one.
        alone: Decides one, in a transaction of its own that waits for locks.
    """

    def __init__(self, lanes: Sequence[Lane], *, alone: Callable[[Ask], Awaitable[None]]) -> None:
        self._lanes = lanes
        self._alone = alone
        self._waiting: deque[Work] = deque()
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._done = asyncio.Event()
        self._busy = 0
        self._closed = False
        self._others: set[asyncio.Task[None]] = set()
        for lane in lanes:
            lane.rivals = [other.claims for other in lanes if other is not lane]
        self._tasks = [asyncio.create_task(self._serve(lane), name="ticketkit-sql-writer") for lane in lanes]

    async def decide(self, reads: Keys, decision: Decision, command: Command) -> Answer:
        """See `Storage.decide`."""
        if self._closed:
            raise Unavailable("The storage is closed.")
        if len(reads.held) + len(reads.shared) > MAX_KEYS:
            raise CapabilityNotSupported(f"A decision names at most {MAX_KEYS} keys (max_entities).")
        work = Work(Ask(reads, decision, command), asyncio.get_running_loop().create_future())
        self._waiting.append(work)
        self._ready.set()
        return await work.future

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closed = True
        self._settle()
        await self._done.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            lane.disconnect()

    def _settle(self) -> None:
        if self._closed and not (self._waiting or self._busy or self._others):
            self._done.set()

    async def _serve(self, lane: Lane) -> None:
        while True:
            if not self._waiting:
                self._ready.clear()
                await self._ready.wait()
                continue
            batch = self._drain()
            self._busy += 1
            left = await lane.carry_out(batch)
            self._busy -= 1
            self._ended.set()
            self._again(left)
            self._settle()
            if len(left) == len(batch) and self._busy:  # all of it is what another lane is about
                self._ended.clear()
                await self._ended.wait()
            else:
                await asyncio.sleep(0)  # who was answered may ask again, and goes into the next batch

    def _drain(self) -> list[Work]:
        batch: list[Work] = []
        keys = 0
        most = len(self._waiting)
        if most > _FEW and not self._busy:
            most = (most + 1) // len(self._lanes)
        while self._waiting and len(batch) < min(CAP, most) and keys < KEYS:
            work = self._waiting.popleft()
            if not work.future.done():  # else nobody waits for it any more, and nothing was begun
                batch.append(work)
                keys += 1 + len(work.ask.reads.held) + len(work.ask.reads.shared)
        return batch

    def _again(self, left: Sequence[Work]) -> None:
        for work in reversed(left):
            if not work.ask.missed:
                self._waiting.appendleft(work)
            else:
                self._apart(work)
        if left:
            self._ready.set()

    def _apart(self, work: Work) -> None:
        task = asyncio.create_task(self._later(work) if work.ask.missed < MISSES else self._decide_alone(work))
        self._others.add(task)
        task.add_done_callback(self._apart_no_more)

    def _apart_no_more(self, task: asyncio.Task[None]) -> None:
        self._others.discard(task)
        self._settle()

    async def _later(self, work: Work) -> None:
        # Not at once: whoever holds what it needs is not done yet, and is not to be met three times in a row.
        await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.0) * 4**work.ask.missed)  # noqa: S311 - out of step
        self._waiting.append(work)
        self._ready.set()

    async def _decide_alone(self, work: Work) -> None:
        try:
            await self._alone(work.ask)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the caller's
            work.ask.outcome = error
        work.resolve()
