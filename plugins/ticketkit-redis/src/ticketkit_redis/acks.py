"""Acknowledgements, in groups: what comes while one step is on its way goes with the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

Place: TypeAlias = tuple[int, str, int]
"""Number of a stream (from 1), id there, times delivered: whoever takes an entry over changes that."""


class Acks:
    """Acknowledgements of one member.

    Args:
        send: Sends some of them in one step.
        start: Runs something that ends by itself, whoever waits for it.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Place]], Awaitable[None]],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._send, self._start = send, start
        self._turn = asyncio.Lock()
        self._waiting: list[Place] = []
        self._next: asyncio.Task[None] | None = None

    async def add(self, place: Place) -> None:
        """Acknowledge one; returns when it is done, and fails when its group fails."""
        self._waiting.append(place)
        if self._next is None:
            self._next = self._start(self._flush())
        await asyncio.shield(self._next)

    async def _flush(self) -> None:
        async with self._turn:
            places, self._waiting, self._next = self._waiting, [], None
            await self._send(places)
