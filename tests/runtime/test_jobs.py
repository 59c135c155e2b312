"""Jobs: again at once while there is something to do, and whatever goes wrong."""

from __future__ import annotations

import logging
from functools import partial

import anyio
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.memory import VirtualClock
from ticketkit.runtime.backoff import Backoff, after
from ticketkit.runtime.jobs import repeat


class Job:
    """Does so much at each turn as it is told to, or fails."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.turns: list[float] = []
        self.to_do: list[int | Exception] = []
        self.always: Exception | None = None
        self._start = self.clock.now()

    async def work(self) -> int:
        self.turns.append((self.clock.now() - self._start).total_seconds())
        if self.always is not None:
            raise self.always
        found = self.to_do.pop(0) if self.to_do else 0
        if isinstance(found, Exception):
            raise found
        return found

    async def run(self) -> None:
        await repeat("the job", self.work, partial(self.clock.sleep, 5), clock=self.clock)


@pytest.mark.parametrize(("to_do", "turns"), [([], [0, 5, 10]), ([3, 1], [0, 0, 0, 5, 10])], ids=["idle", "busy"])
async def test_it_waits_only_when_there_was_nothing_to_do(to_do: list[int | Exception], turns: list[float]) -> None:
    job = Job()
    job.to_do = to_do
    async with anyio.create_task_group() as group:
        group.start_soon(job.run)
        await job.clock.advance(seconds=10)
        group.cancel_scope.cancel()
    assert job.turns == turns


@pytest.mark.parametrize(
    "error", [Unavailable(), OutcomeUnknown(), RuntimeError("a bug")], ids=lambda e: type(e).__name__
)
async def test_a_failure_does_not_end_it(error: Exception) -> None:
    job = Job()
    job.to_do = [error, error, 0]
    async with anyio.create_task_group() as group:
        group.start_soon(job.run)
        await job.clock.advance(seconds=10)
        group.cancel_scope.cancel()
    assert job.turns == pytest.approx([0, 0.1, 0.3, 5.3])


async def test_pauses_grow_up_to_a_bound_and_the_pause_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    job = Job()
    job.always = Unavailable("the storage is away")
    with caplog.at_level(logging.WARNING):
        async with anyio.create_task_group() as group:
            group.start_soon(job.run)
            await job.clock.advance(minutes=10)
            group.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records] == ["the job pauses: the storage is away"]
    assert job.turns[-1] - job.turns[-2] == pytest.approx(5)


def test_a_pause_doubles_up_to_the_most_and_begins_anew_after_a_success() -> None:
    backoff = Backoff(first=1, most=10)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1
    assert after(10_000, first=0.1, most=5) == 5
