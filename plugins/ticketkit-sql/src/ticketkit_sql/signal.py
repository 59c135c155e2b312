"""Wakes whoever waits in this process; other processes are noticed by looking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.clock import Clock

LOOK: Final = 0.25
"""Seconds between two looks for what another process did."""


class Signal:
    """Something happened; says not what. For the tasks of one event loop.

    Args:
        clock: To wait by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = anyio.Event()

    def notify(self) -> None:
        """Wake everybody who waits."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self, seconds: float) -> None:
        """Return when notified, or after the time."""
        event = self._event
        async with anyio.create_task_group() as tasks:

            async def time_out() -> None:
                await self._clock.sleep(seconds)
                tasks.cancel_scope.cancel()

            tasks.start_soon(time_out)
            await event.wait()
            tasks.cancel_scope.cancel()

    async def wait_until(self, found: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Return when a look finds something, or after the time. Looks at once, when notified, and every `LOOK`."""
        waited = 0.0
        while True:
            event = self._event
            if await found():
                return True
            if waited >= seconds:
                return False
            if event is self._event:
                pause = min(LOOK, seconds - waited)
                await self.wait(pause)
                waited += pause
