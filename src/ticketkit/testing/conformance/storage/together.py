"""Many calls at once, and what became of each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_STEP = 0.01


async def together(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all of them at once; an error is a result like any other."""
    waiting = list(calls)
    results: list[Any] = [None] * len(waiting)

    async def one(number: int, call: Awaitable[Any]) -> None:
        try:
            results[number] = await call
        except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
            results[number] = error

    async with anyio.create_task_group() as group:
        for number, call in enumerate(waiting):
            group.start_soon(one, number, call)
    return results


def sorted_out(results: Sequence[Any], *refusals: type[Exception]) -> tuple[list[Any], list[Exception]]:
    """What succeeded, and what was refused by one of these errors.

    Raises:
        AssertionError: One failed with another error.
    """
    strange = [one for one in results if isinstance(one, BaseException) and not isinstance(one, refusals)]
    if strange:
        msg = f"{len(strange)} calls failed with what is no answer to them; the first: {strange[0]!r}"
        raise AssertionError(msg) from strange[0]
    return (
        [one for one in results if not isinstance(one, Exception)],
        [one for one in results if isinstance(one, Exception)],
    )


async def until(condition: Callable[[], Awaitable[Any]], *, seconds: float = 10, what: str) -> Any:
    """Ask again and again until the answer is true, and return it.

    Raises:
        AssertionError: It was not within the time.
    """
    give_up = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < give_up, f"within {seconds} s: {what}"
        await anyio.sleep(_STEP)
    return found
