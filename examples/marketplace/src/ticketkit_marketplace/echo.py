"""A route that answers JSON with the same JSON: what the server costs without a marketplace in it. For `bench` only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from starlette.requests import Request

PATH = "/echo"


class Echo:
    """Adds the route to a marketplace."""

    def ticketkit_routes(self) -> list[BaseRoute]:
        """The hook."""
        return [Route(PATH, _echo, methods=["POST"])]


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json(), status_code=201)
