"""The client of ticketkit's HTTP API: in this process or at a URL, in the name of one visitor at a time.

Api ── as_visitor(…) ──> Visitor ── get, page, post, put, delete ──> JSON, or Refused, or Away
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
from opentelemetry import propagate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp

COOKIE: Final = "session"
"""Name of the session's cookie; all that is passed on of a visitor's cookies."""
_PASSED_ON: Final = ("user-agent",)
_GET: Final = "GET"
_AWAY: Final = frozenset({502, 503, 504})


class Refused(Exception):
    """The API said no.

    Args:
        status: Of the answer.
        problem: Its problem details (RFC 9457).
        retry_after: Seconds, if it says when to try again.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: int | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code", "refused"))
        self.detail = str(problem.get("detail", "This was refused."))
        self.errors: list[Mapping[str, str]] = list(problem.get("errors", ()))
        self.values: Mapping[str, Any] = problem
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code}: {self.detail}")


class Away(Exception):
    """The API does not answer, or can't now.

    Args:
        certain: Whether it is certain that nothing has happened.
        retry_after: Seconds, if it is known when to try again.
    """

    def __init__(self, *, certain: bool, retry_after: int | None = None) -> None:
        self.certain, self.retry_after = certain, retry_after
        super().__init__("The API is away.")


@dataclass(frozen=True, slots=True)
class Part:
    """A page of a list.

    Attributes:
        items: In the order of the list.
        next: Cursor of the next page; None on the last one.
    """

    items: list[Any]
    next: str | None


class InProcess(httpx2.AsyncBaseTransport):
    """Calls an ASGI app of this process. Each request comes from the address in its `client` extension."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Any = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request; an error of the app is a 500, as over a network."""
        client = request.extensions.get("client") or ("127.0.0.1", 0)
        transport = httpx2.ASGITransport(self._app, raise_app_exceptions=False, client=client)
        return await transport.handle_async_request(request)


class Api:
    """ticketkit's HTTP API. Use `as_visitor`, or `nobody` for what everybody may see.

    Args:
        client: With the base URL of the API.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.nobody = Visitor(client)

    @classmethod
    @asynccontextmanager
    async def within(cls, app: ASGIApp) -> AsyncIterator[Api]:
        """The API of an app in this process."""
        transport = InProcess(app)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://api", timeout=None, cookies=_forgetful()
        ) as client:
            yield cls(client)

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, *, patience: float) -> AsyncIterator[Api]:
        """The API at a URL.

        Args:
            url: Without `/api`.
            patience: Seconds after which an answer is given up.
        """
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx2.AsyncClient(
            base_url=url, timeout=patience, limits=limits, trust_env=False, cookies=_forgetful()
        ) as client:
            yield cls(client)

    def as_visitor(self, connection: HTTPConnection, request_id: str, *, token: str | None = None) -> Visitor:
        """In the name of who sent a request: their session, address and trace.

        Args:
            connection: The request.
            request_id: Its id.
            token: Of the session, where that is not in the usual cookie.
        """
        headers = {name: connection.headers[name] for name in _PASSED_ON if name in connection.headers}
        headers["x-request-id"] = request_id
        propagate.inject(headers)  # the trace: of this page's span, or as it came in
        if connection.client is not None:
            headers["x-forwarded-for"] = connection.client.host
            headers["x-forwarded-proto"] = connection.url.scheme
        if (token := token or connection.cookies.get(COOKIE)) is not None:
            headers["cookie"] = f"{COOKIE}={token}"
        client = None if connection.client is None else tuple(connection.client)
        return Visitor(self.client, headers, client)


@dataclass(slots=True)
class Visitor:
    """Calls the API for one visitor.

    Attributes:
        cookies: `Set-Cookie` headers that the API answered with, to be passed on.
    """

    _client: httpx2.AsyncClient
    _headers: Mapping[str, str] = field(default_factory=dict)
    _address: tuple[Any, ...] | None = None
    cookies: list[str] = field(default_factory=list)

    @property
    def has_session(self) -> bool:
        """Whether the visitor has a session's cookie, good or not."""
        return "cookie" in self._headers

    async def get(self, path: str, **query: Any) -> Any:
        """What is there, as JSON; numbers with a decimal point are `Decimal`.

        Args:
            path: Such as `/api/events`.
            **query: Parameters; those that are None or empty are left out.

        Raises:
            Refused, Away: See there.
        """
        return _json(await self._send(_GET, path, query=query))

    async def part(self, path: str, **query: Any) -> Part:
        """A page of a list.

        Raises:
            Refused, Away: See there.
        """
        response = await self._send(_GET, path, query=query)
        return Part(_json(response), _next(response))

    async def post(self, path: str, body: Mapping[str, Any], *, key: str | None = None) -> Any:
        """Do something.

        Args:
            path: Such as `/api/orders`.
            body: JSON.
            key: Idempotency-Key: sent twice, it is done once.

        Raises:
            Refused, Away: See there.
        """
        return _json(await self._send("POST", path, body=body, key=key))

    async def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Replace something.

        Raises:
            Refused, Away: See there.
        """
        return _json(await self._send("PUT", path, body=body))

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change a part of something.

        Raises:
            Refused, Away: See there.
        """
        return _json(await self._send("PATCH", path, body=body))

    async def delete(self, path: str) -> None:
        """Remove something.

        Raises:
            Refused, Away: See there.
        """
        await self._send("DELETE", path)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> httpx2.Response:
        headers = dict(self._headers)
        if body is not None:
            headers["content-type"] = "application/json"
        if key is not None:
            headers["idempotency-key"] = key
        request = self._client.build_request(
            method,
            path,
            params={name: str(value) for name, value in (query or {}).items() if value not in (None, "")},
            content=None if body is None else json.dumps(body, default=str).encode(),
            headers=headers,
            extensions={"client": self._address},
        )
        try:
            response = await self._client.send(request)
        except httpx2.TransportError as error:
            unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            raise Away(certain=unsent or method == _GET) from error
        self.cookies += response.headers.get_list("set-cookie")
        if response.is_success:
            return response
        raise _refusal(method, response)


def _forgetful() -> CookieJar:
    """A jar that keeps nothing: the client speaks for everybody, so one visitor's session must not stay in it."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


def _refusal(method: str, response: httpx2.Response) -> Refused | Away:
    try:
        problem = _json(response)
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    seconds = response.headers.get("retry-after", "")
    retry_after = int(seconds) if seconds.isdigit() else None
    code = problem.get("code")
    if response.status_code in _AWAY:
        # Without a code it was a gateway that answered, and it can't know.
        certain = method == _GET or code not in (None, "outcome_unknown")
        return Away(certain=certain, retry_after=retry_after)
    return Refused(response.status_code, problem, retry_after)


def _json(response: httpx2.Response) -> Any:
    return json.loads(response.content, parse_float=Decimal) if response.content else None


def _next(response: httpx2.Response) -> str | None:
    link = response.links.get("next")
    if link is None:
        return None
    return parse_qs(urlsplit(link["url"]).query).get("cursor", [None])[0]
