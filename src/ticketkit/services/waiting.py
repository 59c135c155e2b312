"""Waiting for the first of several things, and no longer than so long."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.clock import Clock

T = TypeVar("T")


async def first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    """Return when the first of them returns; the others are cancelled."""
    async with anyio.create_task_group() as group:

        async def one(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            group.cancel_scope.cancel()

        for wait in waits:
            group.start_soon(one, wait)


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """What some work answers or raises, within so many seconds of the clock; then it is cancelled.

    Raises:
        TimeoutError: It took longer.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    async def alarm() -> None:
        await clock.sleep(seconds)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(alarm)
        try:
            answers.append(await work)
        except Exception as error:  # noqa: BLE001 - raised below, outside of the task group, which would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError
    return answers[0]
