"""Waiting in one process for something that another task does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio

from ticketkit.domain.errors import TicketkitError
from ticketkit.services.waiting import first_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.clock import Clock

T = TypeVar("T")
_POLL = 0.25


class TooManyWaiting(TicketkitError):
    """Too many callers are waiting already."""


class Progress:
    """Lets tasks wait until a look at the storage shows what they wait for.

    A task of this process that changed something calls `tell`; changes of other processes are found by looking again
    four times a second.

    Args:
        clock: For the time limit.
        most: Waiters at once; one more is refused.
    """

    def __init__(self, clock: Clock, *, most: int = 2_000) -> None:
        self._clock, self._most = clock, most
        self._waiting: dict[str, anyio.Event] = {}
        self._count = 0

    def tell(self, key: str) -> None:
        """Wake all who wait for a key."""
        if event := self._waiting.pop(key, None):
            event.set()

    async def until(self, key: str, look: Callable[[], Awaitable[T | None]], *, seconds: float) -> T | None:
        """Look until something is found; None when the time is over.

        Raises:
            TooManyWaiting: `most` tasks wait already.
        """
        event = self._watch(key)
        if (found := await look()) is not None:
            return found
        if self._count >= self._most:
            raise TooManyWaiting
        self._count += 1
        try:
            return await self._wait(key, event, look, seconds)
        finally:
            self._count -= 1

    async def _wait(
        self, key: str, event: anyio.Event, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> T | None:
        end = self._clock.now().timestamp() + seconds
        while (left := end - self._clock.now().timestamp()) > 0:
            await first_of(event.wait, partial(self._clock.sleep, min(_POLL, left)))
            event = self._watch(key)
            if (found := await look()) is not None:
                return found
        return None

    def _watch(self, key: str) -> anyio.Event:
        return self._waiting.setdefault(key, anyio.Event())
