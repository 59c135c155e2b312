"""Processes under supervision: started until they are ready, taken out of the balance, ended."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
import httpx2
from anyio.to_thread import run_sync

from ticketkit.runtime.backoff import Backoff
from ticketkit_marketplace.demo.process import DidNotStart
from ticketkit_marketplace.deployment.upstreams import TIMEOUTS

if TYPE_CHECKING:
    from ticketkit_marketplace.demo.process import Process
    from ticketkit_marketplace.deployment.layout import Part
    from ticketkit_marketplace.deployment.upstreams import Pool, Upstream

READY: Final = 60.0
"""Seconds from the first answer of a process until it says that it is ready."""
LOOK: Final = 0.05
STEADY: Final = 60.0
"""Seconds after which a process that ended is started again at once, as at the first time."""


@dataclass(eq=False, slots=True)
class Child:
    """One process.

    Attributes:
        upstream: Where requests reach it.
        pool: Where they find it.
        watched: Whether its end is unexpected.
    """

    part: Part
    process: Process
    upstream: Upstream
    pool: Pool
    watched: bool = False
    _backoff: Backoff = field(default_factory=lambda: Backoff(first=0.25, most=30.0))
    _ready_at: float = 0.0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.part.name

    async def start(self) -> None:
        """Start it, and wait until it is ready; then requests come to it.

        Raises:
            DidNotStart: It ended, or took too long.
        """
        self.process.spawn()
        await run_sync(self.process.wait, abandon_on_cancel=True)
        await self._until_ready()
        self._ready_at = anyio.current_time()
        self.pool.mark(self.upstream, up=True)
        self.watched = True

    def gone(self) -> None:
        """It ended: requests go elsewhere, or wait."""
        self.watched = False
        self.pool.mark(self.upstream, up=False)

    def pause(self) -> float:
        """Seconds to wait before it is started again: more each time, until it has run for a while."""
        if anyio.current_time() - self._ready_at > STEADY:
            self._backoff.reset()
        return self._backoff.next()

    async def rest(self, *, seconds: float) -> None:
        """Let it finish what it has, give it no more, and end it in order."""
        self.gone()
        await self.pool.idle(self.upstream, seconds=seconds)
        await self.stop(seconds=seconds)

    async def stop(self, *, seconds: float) -> int | None:
        """Ask it to end, and wait: exit status, or None when it did not run. After so many seconds it is killed."""
        self.gone()
        if not self.process.running:
            return None
        return await run_sync(lambda: self.process.stop(seconds=seconds))

    def kill(self) -> None:
        """SIGKILL, now; whoever waits for its end, hears of it."""
        if self.process.running:
            with suppress(DidNotStart, ProcessLookupError):
                self.process.signal(signal.SIGKILL)

    async def _until_ready(self) -> None:
        if self.part.service is None:
            return  # the web client answers once it is ready
        with anyio.move_on_after(READY):
            while not await self._is_ready():
                if not self.process.running:
                    await run_sync(self.process.heard)
                    msg = f"{self.name} ended before it was ready."
                    raise DidNotStart(msg)
                await anyio.sleep(LOOK)
            return
        msg = f"{self.name} was not ready within {READY:.0f} s: http://{self.upstream.host}:{self.upstream.port}/readyz"
        raise DidNotStart(msg)

    async def _is_ready(self) -> bool:
        url = f"http://{self.upstream.host}:{self.upstream.port}/readyz"
        request = httpx2.Request("GET", url, extensions={"timeout": TIMEOUTS})
        try:
            response = await self.upstream.transport.handle_async_request(request)
            await response.aread()
        except httpx2.TransportError:
            return False
        return response.status_code == httpx2.codes.OK


def ending(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "ended"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"exited {status}"
