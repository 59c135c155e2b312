"""The app: its own routes, and ticketkit's HTTP API beside them under `/shop`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response

from ticketkit.domain.errors import TicketkitError
from ticketkit.http.problems import problem_of
from ticketkit_embedded.house import House
from ticketkit_embedded.routes import router

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def create_app(url: str, *, payments: str = "fake") -> FastAPI:
    """Make the app; nothing is opened before it starts.

    Args:
        url: `postgresql://…`, of the app's tables and ticketkit's.
        payments: ticketkit's payment provider.
    """
    house = House(url, payments=payments)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with house.open():
            yield

    app = FastAPI(title="The Lantern", lifespan=lifespan)
    app.state.house = house
    app.include_router(router)
    app.mount("/shop", house.market.asgi())
    app.add_exception_handler(TicketkitError, _refused)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    """Tell a refusal of ticketkit as its own API does; what is nobody's refusal is an error of the app."""
    problem = problem_of(error)
    if problem is None:
        raise error
    return problem
