"""The web client as a process of its own, in front of services that run elsewhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.marketplace import Marketplace
from ticketkit.runtime import server
from ticketkit.runtime.exporting import exporting
from ticketkit_marketplace.web.api import Api
from ticketkit_marketplace.web.app import Web
from ticketkit_marketplace.web.live import alone
from ticketkit_marketplace.web.settings import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.web.live import Source
    from ticketkit_marketplace.web.settings import WebSettings


_HEALTH: Final = {"/healthz": {"status": "alive"}, "/readyz": {"status": "ready"}}
"""What whoever runs it asks for. It is ready without the services: it has a page for when they are away."""


class Process:
    """The web client over an API at a URL; it answers while its lifespan runs.

    Args:
        settings: Shared with the services.
        web: Of the web client.

    Raises:
        Misconfigured: The URL of the API is not set, or there is no such bus.
    """

    def __init__(self, settings: Settings, web: WebSettings) -> None:
        if web.api_url is None:
            msg = "Where are the services? Say --api URL, or set TICKETKIT_WEB_API_URL."
            raise Misconfigured(msg)
        self._url, self._patience = str(web.api_url).rstrip("/"), web.api_timeout
        self._options = Options.of(settings, web)
        self._source = _source(settings.bus_url.get_secret_value())
        self._web: Web | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if self._web is None:
            msg = "The web client is not running."
            raise RuntimeError(msg)
        if scope["type"] == "http" and scope["path"] in _HEALTH:
            await JSONResponse(_HEALTH[scope["path"]])(scope, receive, send)
            return
        await self._web(scope, receive, send)

    def end_streams(self) -> None:
        """End the answers that would go on by themselves: the process stops."""
        if self._web is not None:
            self._web.end_streams()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Keep connections to the API."""
        async with (
            Api.at(self._url, patience=self._patience) as api,
            Web(api, self._options, source=self._source).running() as web,
        ):
            await web.site.warm_up()
            self._web = web
            yield
        self._web = None


def run(settings: Settings, web: WebSettings, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        Misconfigured: The address can't be had, the URL of the API is not set, or there is no such bus.
    """
    process = Process(settings, web)
    listener = server.bound_socket(host, port)
    with exporting(settings, "ticketkit-web"):
        server.serve(
            process,
            process.lifespan(),
            listener,
            announce=lambda: say(f"The web client is on {server.address(listener)}"),
            drain=settings.drain,
            stopping=process.end_streams,
            trusted_proxies=settings.trusted_proxies,
        )


def _source(bus: str) -> Source | None:
    """What is heard of the services: all of it on a bus that processes share, nothing on one inside of theirs."""
    market = Marketplace(bus=bus, services=())
    shared = Capability.MULTI_PROCESS in market.plugins.backend(BackendKind.BUS, bus).capabilities
    return alone(market) if shared else None
