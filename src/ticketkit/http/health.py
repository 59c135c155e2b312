"""Routes for whoever runs it: is it alive, is it ready, how much does it do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from ticketkit.backends.errors import Unavailable
from ticketkit.http import shapes
from ticketkit.http.bodies import Json
from ticketkit.http.metrics import Metrics
from ticketkit.http.operation import Answer, Call, Operation
from ticketkit.http.problems import Problem
from ticketkit.http.shop import Shop
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.catalogue import ServiceName

TAG: Final = "operations"


async def alive(_: Call[None, None]) -> Response:
    """Whether the process lives."""
    return Json({"status": "alive"})


async def ready(call: Call[None, None]) -> Response:
    """Whether it serves."""
    missing = await call.shop.ready()
    if not missing:
        return Json({"status": "ready"})
    errors = [{"message": sentence, "field": name} for name, sentence in missing.items()]
    detail = f"Not ready: {', '.join(missing)}."
    return Problem(503, "not_ready", detail, errors=errors, headers={"retry-after": "1"})


def _to_repair(shop: Shop) -> dict[str, int]:
    if ServiceName.PAYMENTS not in shop.services:
        return {}
    try:
        return {shop.payments.provider.name: len(shop.payments.to_repair)}
    except NotRunning:
        return {}


async def _lag(shop: Shop) -> Mapping[str, int]:
    try:
        return await shop.lag()
    except NotRunning:
        return {}


def operations(metrics: Metrics) -> tuple[Operation, ...]:
    """The table of these routes."""

    async def numbers(call: Call[None, None]) -> Response:
        try:
            totals = await call.shop.totals()
        except (NotRunning, Unavailable):
            totals = {}  # the numbers of requests are wanted just then
        content = metrics.exposition(
            totals, call.shop.clock.now(), to_repair=_to_repair(call.shop), lag=await _lag(call.shop)
        )
        return Response(content, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})

    return (
        Operation(
            method="GET",
            path="/healthz",
            tag=TAG,
            summary="Whether the process lives",
            handler=alive,
            answers={200: Answer(what="It does.", shape=shapes.Health)},
        ),
        Operation(
            method="GET",
            path="/readyz",
            tag=TAG,
            summary="Whether it serves",
            description="A refusal names what is missing.",
            handler=ready,
            answers={200: Answer(what="It does.", shape=shapes.Health)},
            errors={503: ("not_ready",)},
        ),
        Operation(
            method="GET",
            path="/metrics",
            tag=TAG,
            summary="Numbers for Prometheus",
            handler=numbers,
            answers={200: Answer(what="Prometheus' text format.", media_type="text/plain")},
        ),
    )
