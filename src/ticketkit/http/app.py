"""Puts the API together."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from ticketkit.http import docs, health, orders, payments, tickets, users
from ticketkit.http.endpoint import Endpoint
from ticketkit.http.envelope import Envelope
from ticketkit.http.metrics import Metrics
from ticketkit.http.openapi import document
from ticketkit.http.operation import MEBIBYTE, Answer, Call, Operation
from ticketkit.http.paging import path_of
from ticketkit.http.problems import Problem, problem_of
from ticketkit.http.shop import Shop
from ticketkit.http.throttle import Throttle
from ticketkit.services.catalogue import ServiceName

PLUGIN_BODY: Final = 10 * MEBIBYTE
"""Most bytes of a body for a route of a plugin."""
OPENAPI: Final = "/openapi.json"
DOCS: Final = "/docs"

TABLE: Final = (*users.OPERATIONS, *tickets.OPERATIONS, *orders.OPERATIONS, *payments.OPERATIONS)
"""The routes of all services."""


def build(shop: Shop, services: Collection[ServiceName] | None = None) -> Starlette:
    """The HTTP API of some services, to be served or mounted.

    It needs no lifespan of its own. Its routes answer once the shop has started.

    Args:
        shop: The marketplace.
        services: Those whose routes it has; default: all that run here.
    """
    names = shop.services if services is None else frozenset(services)
    metrics = Metrics()
    operations = [operation for operation in TABLE if operation.tag in names]
    operations += health.operations(metrics)
    operations += _documentation(operations)
    app = Starlette(
        routes=[*_routes(shop, operations), *_plugin_routes(shop)],
        exception_handlers={HTTPException: _refused},
        middleware=[
            Middleware(
                Envelope,
                secure=shop.config.secure_cookies,
                cross_site=[operation.path.partition("{")[0] for operation in operations if operation.cross_site],
                observe=metrics.observe,
                tracing=shop.tracing,
            )
        ],
    )
    app.router.redirect_slashes = False
    app.state.operations = tuple(operations)
    return app


def _routes(shop: Shop, operations: Iterable[Operation]) -> list[BaseRoute]:
    throttle = Throttle()
    by_path: dict[str, list[Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, []).append(operation)
    # What has no parameter comes first: /api/tickets/mine is no id.
    paths = sorted(by_path, key=lambda path: path.count("{"))
    return [Route(path, Endpoint(shop, throttle, by_path[path])) for path in paths]


def _plugin_routes(shop: Shop) -> list[BaseRoute]:
    routes = shop.plugins.routes()
    if not routes:
        return []
    return [Mount("", routes=routes, middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=PLUGIN_BODY)])]


async def _refused(_: Request, error: Exception) -> Response:
    # A lost path or method of the router itself; what an endpoint refuses, it tells itself.
    problem = problem_of(error)
    if problem is None or problem.code == "route_not_found":
        return Problem(404, "route_not_found", "There is nothing here.")
    return problem


def _documentation(served: list[Operation]) -> tuple[Operation, ...]:
    @lru_cache(maxsize=8)
    def told(root: str) -> bytes:
        return json.dumps(document([*served, *mine], root=root), ensure_ascii=False).encode()

    async def openapi(call: Call[None, None]) -> Response:
        return Response(told(path_of(call.request, "")), media_type="application/json")

    async def read(call: Call[None, None]) -> Response:
        root = path_of(call.request, "")
        page = docs.page(json.loads(told(root)), source=root + OPENAPI)
        return HTMLResponse(page, headers={"content-security-policy": docs.POLICY})

    mine = (
        Operation(
            method="GET",
            path=OPENAPI,
            tag=health.TAG,
            summary="This API as an OpenAPI 3.1 document",
            handler=openapi,
            answers={200: Answer(what="The document.", shape=dict[str, object])},
        ),
        Operation(
            method="GET",
            path=DOCS,
            tag=health.TAG,
            summary="This API for people",
            handler=read,
            answers={200: Answer(what="A page.", media_type="text/html")},
        ),
    )
    return mine
