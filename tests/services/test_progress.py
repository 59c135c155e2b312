"""Waiting for what another task, or another process, commits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from ticketkit.memory import VirtualClock
from ticketkit.services.progress import Progress, TooManyWaiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Board:
    """Where somebody writes what others wait for."""

    def __init__(self, *, most: int = 10) -> None:
        self.clock = VirtualClock()
        self.progress = Progress(self.clock, most=most)
        self.written: dict[str, str] = {}
        self.found: list[str | None] = []
        self.looks = 0

    def look(self, key: str) -> Callable[[object], Awaitable[str | None]]:
        async def found(told: object) -> str | None:
            self.looks += 1
            return self.written.get(key)

        return found

    async def wait(self, key: str, seconds: float = 10) -> None:
        self.found.append(await self.progress.until(key, self.look(key), seconds=seconds))


async def test_what_is_there_is_found_at_once() -> None:
    board = Board()
    board.written["a"] = "done"
    await board.wait("a")
    assert board.found == ["done"]


async def test_who_waits_is_woken_at_once_by_who_tells() -> None:
    board = Board()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(board.wait, "a")
        await board.clock.settle()
        board.written["a"] = "done"
        board.progress.tell("a")
        await board.clock.settle()
        assert board.found == ["done"] * 3


async def test_who_is_told_something_else_goes_on_waiting() -> None:
    board = Board()
    async with anyio.create_task_group() as group:
        group.start_soon(board.wait, "a")
        await board.clock.settle()
        board.progress.tell("a")
        board.progress.tell("b")
        await board.clock.settle()
        assert board.found == []
        board.written["a"] = "done"
        board.progress.tell("a")
    assert board.found == ["done"]


async def test_what_another_process_committed_is_found_within_a_quarter_of_a_second() -> None:
    board = Board()
    async with anyio.create_task_group() as group:
        group.start_soon(board.wait, "a")
        await board.clock.advance(seconds=3)
        board.written["a"] = "done"
        await board.clock.advance(seconds=0.25)
        assert board.found == ["done"]


async def test_what_was_told_is_shown_to_who_waits() -> None:
    progress = Progress(VirtualClock())
    shown: list[object] = []

    async def look(told: object) -> object:
        shown.append(told)
        return told

    async with anyio.create_task_group() as group:
        group.start_soon(partial(progress.until, "a", look, seconds=10, at_once=False))
        await anyio.wait_all_tasks_blocked()
        progress.tell("a", "news")
    assert shown == ["news"]


async def test_nothing_is_found_when_the_time_is_over() -> None:
    board = Board()
    async with anyio.create_task_group() as group:
        group.start_soon(board.wait, "a", 2)
        await board.clock.advance(seconds=1.9)
        assert board.found == []
        await board.clock.advance(seconds=0.1)
        assert board.found == [None]


async def test_one_too_many_is_refused_and_a_place_is_free_again_afterwards() -> None:
    board = Board(most=2)
    async with anyio.create_task_group() as group:
        for key in "ab":
            group.start_soon(board.wait, key)
        await board.clock.settle()
        with pytest.raises(TooManyWaiting):
            await board.wait("c")
        board.written["a"] = "done"
        board.progress.tell("a")
        await board.clock.settle()
        group.start_soon(board.wait, "c")
        await board.clock.settle()
        board.written.update(b="done", c="done")
        await board.clock.advance(seconds=1)
    assert board.found == ["done"] * 3


@pytest.mark.parametrize("how", ["found at once", "told", "time is over", "cancelled", "refused"])
async def test_nothing_is_kept_of_a_wait_that_is_over(how: str) -> None:
    board = Board(most=0 if how == "refused" else 10)
    if how == "found at once":
        board.written["a"] = "done"

    async def wait() -> Any:
        try:
            await board.wait("a", 2)
        except TooManyWaiting:
            board.found.append("refused")

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        group.start_soon(wait)
        await board.clock.settle()
        if how == "told":
            board.written["a"] = "done"
            board.progress.tell("a")
        if how == "cancelled":
            group.cancel_scope.cancel()
        else:
            await board.clock.advance(seconds=2)
    assert len(board.progress._waiting) == 0
