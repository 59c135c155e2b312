"""Puts the operations page together: an ASGI app of pages over a desk."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ticketkit.domain.errors import TicketkitError
from ticketkit.services.correlation import Correlation, correlated
from ticketkit_marketplace.ops import sessions
from ticketkit_marketplace.ops.pages import PAGES, ends
from ticketkit_marketplace.ops.plots import number
from ticketkit_marketplace.ops.sampling import Sampler
from ticketkit_marketplace.ops.visit import HOME, NoOperator, Page, Visit
from ticketkit_marketplace.ops.wording import duration, left, seconds
from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.assets import Assets
from ticketkit_marketplace.web.incoming import SignInFirst, request_id
from ticketkit_marketplace.web.rendering import environment
from ticketkit_marketplace.web.security import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from ticketkit_marketplace.ops.desk import Desk

log = logging.getLogger(__name__)

_PACKAGES: Final = ("ticketkit_marketplace.ops", "ticketkit_marketplace.web")
MOST_BYTES: Final = 64 * 1024
"""Of a request: the forms are small."""
REMEMBERED: Final = 1_000
"""Forms that were sent, so that a second click does nothing."""
_REDIRECT: Final = 303


class Ops:
    """The operations page. It answers while `running`.

    Args:
        desk: A marketplace as its operators have it.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sampler = Sampler(desk)
        self.assets = Assets(_PACKAGES[::-1], path=f"{HOME}/static")
        self.templates: Environment = environment(self.assets, _PACKAGES)
        self.templates.filters |= {"duration": duration, "left": left, "number": number, "seconds": seconds}
        routes: list[BaseRoute] = [Route(HOME + page.path, self._of(page), methods=page.methods) for page in PAGES]
        app = Starlette(
            routes=[Route("/", _home), Route("/healthz", _alive), *routes, self.assets.route()],
            exception_handlers={HTTPException: self._refused, Exception: self._failed},
            middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES)],
        )
        self._app = Guard(app, secure=desk.secure)
        self._one = anyio.Lock()
        self._sent: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ops]:
        """Look at the marketplace all the while."""
        async with anyio.create_task_group() as group:
            await group.start(self.sampler.run)
            yield self
            group.cancel_scope.cancel()

    def _of(self, page: Page) -> Any:
        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            with correlated(Correlation(request_id(request))):
                try:
                    visit.who = await sessions.who(self.desk, request, visit.api)
                    if not page.open:
                        _ = visit.me
                    return await (self._submit(page, visit) if request.method == "POST" else _show(page, visit))
                except (Refused, Away, SignInFirst, NoOperator, TicketkitError) as end:
                    return ends.page_of(visit, end)

        return answer

    async def _submit(self, page: Page, visit: Visit) -> Response:
        """One form after the other: operators are few, and a second click finds what became of the first."""
        assert page.submit is not None  # noqa: S101 - its methods say so
        form = await visit.form()
        sent = (visit.request.url.path, form.key)
        async with self._one:
            if (before := self._sent.get(sent)) is not None:
                return visit.go(before)
            response = await page.submit(visit)
            if response.status_code == _REDIRECT and not page.open:
                self._sent[sent] = response.headers["location"]
                if len(self._sent) > REMEMBERED:
                    self._sent.popitem(last=False)
            return response

    def _visit(self, request: Request) -> Visit:
        token = request.cookies.get(sessions.COOKIE)
        return Visit(request, self.desk.api.as_visitor(request, request_id(request), token=token), self)

    async def _refused(self, request: Request, error: Exception) -> Response:
        return ends.page_of(self._visit(request), error)

    async def _failed(self, request: Request, error: Exception) -> Response:
        return ends.page_of(self._visit(request), error)


async def _show(page: Page, visit: Visit) -> Response:
    assert page.show is not None  # noqa: S101 - its methods say so
    return await page.show(visit)


async def _home(_: Request) -> Response:
    return RedirectResponse(HOME)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive")
