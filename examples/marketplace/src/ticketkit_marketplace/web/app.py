"""Puts the web client together: an ASGI app of pages over the API."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.routing import BaseRoute, Route

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.incoming import SignInFirst, request_id
from ticketkit_marketplace.web.pages import PAGES, ends
from ticketkit_marketplace.web.security import Guard
from ticketkit_marketplace.web.site import Site
from ticketkit_marketplace.web.streams import live
from ticketkit_marketplace.web.topics import PATH
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from ticketkit_marketplace.web.api import Api
    from ticketkit_marketplace.web.live import Source
    from ticketkit_marketplace.web.settings import Options

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a request that does not say its length; one that does is refused with a page from `forms.MOST_BODY` on."""


class Web:
    """The web client. It answers while `running`.

    Args:
        api: ticketkit's API.
        options: What was set.
        clock: Of the services, where they are in this process.
        source: What open pages are told of; None: nothing, and they look again by themselves.
    """

    def __init__(self, api: Api, options: Options, *, clock: Clock | None = None, source: Source | None = None) -> None:
        self.site = Site(api, options, clock or SystemClock(), source=source)
        routes: list[BaseRoute] = [Route(page.path, self._of(page), methods=_BOTH) for page in PAGES]
        app = Starlette(
            routes=[*routes, Route(PATH, self._live), self.site.assets.route()],
            exception_handlers={HTTPException: self._refused, Exception: self._failed},
            middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES)],
        )
        self._app = OpenTelemetryMiddleware(Guard(app, secure=options.secure), excluded_urls="/static/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Web]:
        """What goes on besides answering."""
        async with self.site.running():
            yield self

    def end_streams(self) -> None:
        """End the answers that would go on by themselves: the process stops."""
        self.site.hub.close()

    async def _live(self, request: Request) -> Response:
        return await live(self._visit(request))

    def _of(self, page: Page) -> Any:
        async def answer(request: Request) -> Response:
            visit = self._visit(request)
            try:
                await visit.identify()
                if page.signed_in:
                    visit.check_signed_in()
                return await page.handler(request.method)(visit)
            except (Refused, Away, SignInFirst) as end:
                return ends.page_of(visit, end)
            finally:
                await request.close()  # uploads are temporary files

        return answer

    def _visit(self, request: Request) -> Visit:
        return Visit(request, self.site.api.as_visitor(request, request_id(request)), self.site)

    async def _refused(self, request: Request, error: Exception) -> Response:
        visit = self._visit(request)
        with suppress(Refused, Away):  # whoever it is, there is a page to be shown
            await visit.identify()
        return ends.page_of(visit, error)

    async def _failed(self, request: Request, error: Exception) -> Response:
        return ends.page_of(self._visit(request), error)


_BOTH: Final = ["GET", "POST"]
