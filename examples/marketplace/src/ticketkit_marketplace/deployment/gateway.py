"""One address for the services and the web client: sends each request to the process whose path it has.

What deployments do with a proxy such as Caddy, for one machine and without installing anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from ticketkit.http import owner_of, service_paths
from ticketkit.http.bodies import Json
from ticketkit.http.problems import Problem
from ticketkit_marketplace.deployment.passing import Passing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ticketkit.services.catalogue import ServiceName
    from ticketkit_marketplace.deployment.upstreams import Pool

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a request; the services and the web client have smaller limits of their own."""
PATIENCE: Final = 10.0
"""Seconds that a request waits for a process that starts again."""
_API: Final = "/api"
_TOLD_HERE: Final = frozenset({"/docs", "/openapi.json"})
_OPERATORS: Final = frozenset({"/metrics"})


class Gateway:
    """An ASGI app.

    Args:
        services: The processes of each service that has routes.
        web: Those of the web client, which has all other paths; None where only services are reached.
        api: Answers for the documentation of the API as a whole, and for paths below `/api` that no service has.
        patience: Seconds that a request waits while no process is ready.
        trusted: Whether `X-Forwarded-*` of requests is believed.
        most_bytes: Of the body of a request.
    """

    def __init__(
        self,
        services: Mapping[ServiceName, Pool],
        web: Pool | None,
        api: ASGIApp,
        *,
        patience: float = PATIENCE,
        trusted: bool = False,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._services, self._web, self._api = services, web, api
        self._patience, self._trusted = patience, trusted
        self._paths = service_paths()
        self._closing = anyio.Event()
        self._app = RequestBodyLimitMiddleware(self._answer, max_body_size=most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            msg = f"The gateway passes on HTTP, not {scope['type']}."
            raise RuntimeError(msg)
        await self._app(scope, receive, send)

    def close(self) -> None:
        """End streams of events, which would go on for ever; browsers come back by themselves."""
        self._closing.set()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == "/healthz":
            await Json({"status": "alive"})(scope, receive, send)
        elif path == "/readyz":
            await self._ready(scope, receive, send)
        elif path in _OPERATORS:
            await Problem(404, "route_not_found", "Each process tells its own numbers.")(scope, receive, send)
        elif (owner := owner_of(path, self._paths)) is not None:
            await self._passed(self._services[owner], scope, receive, send)
        elif self._web is None or path in _TOLD_HERE or path == _API or path.startswith(f"{_API}/"):
            await self._api(scope, receive, send)
        else:
            await self._passed(self._web, scope, receive, send)

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        pools = [*self._services.values(), *((self._web,) if self._web else ())]
        missing = [pool.name for pool in pools if not pool.up]
        if not missing:
            await Json({"status": "ready"})(scope, receive, send)
            return
        errors = [{"message": "No process of it is ready.", "field": name} for name in missing]
        detail = f"Not ready: {', '.join(missing)}."
        await Problem(503, "not_ready", detail, errors=errors, headers={"retry-after": "1"})(scope, receive, send)

    async def _passed(self, pool: Pool, scope: Scope, receive: Receive, send: Send) -> None:
        passing = Passing(pool, scope, receive, send, self._closing)
        await passing.run(patience=self._patience, trusted=self._trusted)
