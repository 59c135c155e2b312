"""Waits until all other tasks of the event loop wait for something."""

from __future__ import annotations

import asyncio  # the only place: to look at its tasks, never to make one
from typing import Any, Final

import anyio

_SETTLERS: Final[set[asyncio.Task[Any]]] = set()
"""Tasks that are in here: they wait for the others, not for each other."""

_QUIET_ROUNDS: Final = 3
"""So often has a loop whose queue can't be seen, or never empties, to be found waiting: a finished task tells its
waiters by callbacks, for which nobody is marked as busy."""


async def settle() -> None:
    """Return when no other task of this event loop can go on by itself.

    Work in other threads, I/O and real time are not waited for.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        await anyio.wait_all_tasks_blocked()
        return
    me = asyncio.current_task()
    assert me is not None  # noqa: S101 a coroutine runs in a task
    _SETTLERS.add(me)
    try:
        await _settle_asyncio(loop)
    finally:
        _SETTLERS.discard(me)


async def _settle_asyncio(loop: asyncio.AbstractEventLoop) -> None:
    # What anyio.wait_all_tasks_blocked() does, without its pauses of 0.1 s. After one turn of the loop, an empty queue
    # says that there is nothing left to run. It never is empty while anyio delivers a cancellation to a shielded task
    # again and again, and uvloop does not show it: then the tasks are asked.
    ready: Any = getattr(loop, "_ready", None)
    before, quiet = -1, 0
    while quiet < _QUIET_ROUNDS:
        await asyncio.sleep(0)
        waiting = None if ready is None else len(ready)
        if waiting == 0:
            return
        quiet = quiet + 1 if (waiting is None or waiting == before) and _all_blocked(loop) else 0
        before = -1 if waiting is None else waiting


def _all_blocked(loop: asyncio.AbstractEventLoop) -> bool:
    for task in asyncio.all_tasks(loop) - _SETTLERS:
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is None or waiter.done():
            return False
    return True
