"""One address for the API and the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class OneAddress:
    """Sends each request to the API or to the web client, as a gateway would: by the first part of the path.

    Args:
        api: Has the paths of its routes, and all others below their first parts: `/api`, `/docs`, `/metrics`.
        web: Has the rest.
    """

    def __init__(self, api: Starlette, web: ASGIApp) -> None:
        self._api, self._web = api, web
        self._firsts = frozenset(_first(path) for path in _paths(api.routes)) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        to_api = scope["type"] == "http" and _first(scope["path"]) in self._firsts
        await (self._api if to_api else self._web)(scope, receive, send)


def _paths(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount) and not route.path:
            yield from _paths(route.routes)
        else:
            yield getattr(route, "path", "")


def _first(path: str) -> str:
    return path[1:].partition("/")[0]
