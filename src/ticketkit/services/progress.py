"""Waiting in one process for something that another task does."""

from __future__ import annotations

from datetime import timedelta
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


class _Waiter:
    """Keeps the newest news until its task looks at them."""

    __slots__ = ("_event", "_value")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._value: object = None

    def tell(self, value: object) -> None:
        self._value = value
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def take(self) -> object:
        value, self._value = self._value, None
        self._event = anyio.Event()
        return value


class Progress:
    """Lets tasks wait until they are told, or find in the storage, what they wait for.

    A task of this process that changed something calls `tell`; changes of other processes are found by looking again
    four times a second.

    Args:
        clock: For the time limit.
        most: Waiters at once; one more is refused.
    """

    def __init__(self, clock: Clock, *, most: int = 2_000) -> None:
        self._clock, self._most = clock, most
        self._waiting: dict[str, set[_Waiter]] = {}
        self._count = 0

    def tell(self, key: str, value: object = None) -> None:
        """Wake all who wait for a key, and show them what was committed, if that is known."""
        for waiter in self._waiting.get(key, ()):
            waiter.tell(value)

    async def until(
        self, key: str, look: Callable[[object], Awaitable[T | None]], *, seconds: float, at_once: bool = True
    ) -> T | None:
        """Look until something is found; None when the time is over.

        Args:
            key: What `tell` is called with.
            look: Gets what was told, or None: then it looks into the storage.
            seconds: Time limit.
            at_once: Look before waiting, too.

        Raises:
            TooManyWaiting: `most` tasks wait already.
        """
        waiter = _Waiter()
        self._waiting.setdefault(key, set()).add(waiter)
        try:
            if at_once and (found := await look(None)) is not None:
                return found
            return await self._wait(waiter, look, seconds)
        finally:
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _wait(self, waiter: _Waiter, look: Callable[[object], Awaitable[T | None]], seconds: float) -> T | None:
        if self._count >= self._most:
            raise TooManyWaiting
        self._count += 1
        try:
            end = self._clock.now() + timedelta(seconds=seconds)
            while (left := (end - self._clock.now()).total_seconds()) > 0:
                await first_of(waiter.wait, partial(self._clock.sleep, min(_POLL, left)))
                if (found := await look(waiter.take())) is not None:
                    return found
            return None
        finally:
            self._count -= 1
