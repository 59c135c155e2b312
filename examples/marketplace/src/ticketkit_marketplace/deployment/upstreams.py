"""Processes that answer for a service, and which of them a request goes to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import httpx2

if TYPE_CHECKING:
    from collections.abc import Collection

CONNECT: Final = 2.0
ANSWER: Final = 60.0
"""Seconds without a byte of an answer, after which it is given up; streams of events say something more often."""
CONNECTIONS: Final = 2_000
IDLE: Final = 2.0
"""Seconds that an unused connection is kept: less than the 5 after which uvicorn closes it, so that none is written to
just then."""
TIMEOUTS: Final = {"connect": CONNECT, "read": ANSWER, "write": ANSWER, "pool": CONNECT}


@dataclass(eq=False, slots=True)
class Upstream:
    """One process.

    Attributes:
        up: Whether it is ready; requests go to no other.
        busy: Requests that it has not finished.
        transport: Its connections.
    """

    host: str
    port: int
    up: bool = False
    busy: int = 0
    transport: httpx2.AsyncHTTPTransport = field(init=False)

    def __post_init__(self) -> None:
        """Make the pool of connections; none is opened yet."""
        limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=64, keepalive_expiry=IDLE)
        # Plain HTTP on one machine: to load certificates would take longer than the rest.
        self.transport = httpx2.AsyncHTTPTransport(verify=False, trust_env=False, limits=limits)


class Pool:
    """The processes of one service.

    Args:
        name: Of the service.

    Attributes:
        upstreams: Its processes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.upstreams: list[Upstream] = []
        self._changed = asyncio.Event()

    def add(self, upstream: Upstream) -> Upstream:
        """One more process."""
        self.upstreams.append(upstream)
        return upstream

    @property
    def up(self) -> bool:
        """Whether any is ready."""
        return any(one.up for one in self.upstreams)

    def mark(self, upstream: Upstream, *, up: bool) -> None:
        """Say that a process is ready, or is not any more; who waits for one looks again."""
        upstream.up = up
        self._changed.set()
        self._changed = asyncio.Event()

    async def next(self, *, but: Collection[Upstream] = ()) -> Upstream:
        """The least busy process that is ready; waits for one.

        Args:
            but: Those that were tried already: they are taken only once something changed.
        """
        tried = set(but)
        while True:
            if ready := [one for one in self.upstreams if one.up and one not in tried]:
                return min(ready, key=lambda one: one.busy)
            await self._changed.wait()
            tried.clear()

    async def idle(self, upstream: Upstream, *, seconds: float) -> None:
        """Wait until a process that gets no more requests has finished those it has, but not longer than that."""
        with anyio.move_on_after(seconds):
            while upstream.busy:  # noqa: ASYNC110 - looked at a few times in the life of a process
                await anyio.sleep(0.02)

    async def close(self) -> None:
        """Close all connections."""
        for one in self.upstreams:
            await one.transport.aclose()
