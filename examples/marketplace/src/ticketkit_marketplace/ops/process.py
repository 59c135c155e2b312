"""The operations page as a process of its own, beside services that run elsewhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ticketkit.runtime import server
from ticketkit.runtime.runtime import NotRunning
from ticketkit_marketplace.ops.app import Ops
from ticketkit_marketplace.ops.desk import Desk
from ticketkit_marketplace.ops.visit import HOME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.ops.settings import OpsSettings


class Process:
    """The operations page over the backends of the settings; it answers while its lifespan runs.

    Args:
        settings: Shared with the services.
        ops: Of the operations page.
    """

    def __init__(self, settings: Settings, ops: OpsSettings) -> None:
        self._settings, self._given = settings, ops
        self._ops: Ops | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if self._ops is None:
            msg = "The operations page is not running."
            raise NotRunning(msg)
        await self._ops(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Keep the backends open, and look at them.

        Raises:
            Misconfigured, Unavailable: See `Desk.beside`.
        """
        async with Desk.beside(self._settings, self._given) as desk, Ops(desk).running() as ops:
            self._ops = ops
            yield
        self._ops = None


def run(settings: Settings, ops: OpsSettings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        Misconfigured: The address can't be had, the URL of the API is not set, or a backend can't be shared.
        Unavailable: A backend can't be reached.
    """
    process = Process(settings, ops)
    listener = server.bound_socket(host, port)
    server.serve(
        process,
        process.lifespan(),
        listener,
        announce=lambda: say(f"The operations page is on {server.address(listener)}{HOME}"),
        drain=settings.drain,
        trusted_proxies=settings.trusted_proxies,
    )
