"""Serves an ASGI app beside other tasks, and leaves signals to whoever runs them all."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from starlette.types import ASGIApp


class Serving:
    """A server in this event loop.

    Args:
        app: Without a lifespan.
        listener: Bound and listening: who connects before `start` waits.
        drain: Seconds that open requests have to finish at the end.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, *, drain: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            log_level="error",
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,  # what a client says about itself is not believed
            timeout_graceful_shutdown=max(1, round(drain)),
            backlog=2048,
        )
        self._server, self._listener = _Server(config), listener
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await anyio.sleep(0.01)

    async def stop(self) -> None:
        """Take no more requests, and finish those that are open."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._listener.close()

    def hurry(self) -> None:
        """Wait for no request any more."""
        self._server.force_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
