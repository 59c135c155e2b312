"""uvloop does not show its queue, so that settling has to ask the tasks."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ticketkit.memory import VirtualClock

pytest.importorskip("uvloop")
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


async def test_all_that_follows_from_a_wake_up_happens_on_uvloop_too(clock: VirtualClock) -> None:
    done: list[float] = []
    began = clock.now()

    async def step(depth: int) -> None:
        if depth:
            async with anyio.create_task_group() as inner:
                inner.start_soon(step, depth - 1)
                inner.start_soon(step, depth - 1)

    async def work() -> None:
        for _ in range(3):
            await clock.sleep(60)
            await step(4)
            done.append((clock.now() - began).total_seconds())

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await clock.advance(minutes=5)
        assert done == [60, 120, 180]
