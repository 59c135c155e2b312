"""A bell: tasks wait for its next ring, or for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from ticketkit.backends.clock import Clock


class Bell:
    """Wakes all that wait for it now; who comes later waits for the next ring.

    Args:
        clock: For waiting with a time limit.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake all that wait."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self, seconds: float | None = None) -> None:
        """Return at the next ring, or after so many seconds of the clock; None is no limit."""
        event = self._event
        if seconds is None:
            await event.wait()
        elif seconds <= 0:
            await anyio.lowlevel.checkpoint()
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(self._alarm, seconds, group.cancel_scope)
                await event.wait()
                group.cancel_scope.cancel()

    async def _alarm(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self._clock.sleep(seconds)
        scope.cancel()
