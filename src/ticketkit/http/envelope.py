"""The one middleware: what every request and every response has, whatever answers it.

Correlation, refusal of cross-site posts, security headers, access log, numbers, and the answer to unexpected errors; in
one ASGI app, since each layer costs every request.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticketkit.http.endpoint import TRAIL, Trail
from ticketkit.http.problems import Problem, internal_error
from ticketkit.ids import new_id
from ticketkit.services.correlation import Correlation, correlated
from ticketkit.services.tracing import Tracing, running

log = logging.getLogger("ticketkit.http")
access = logging.getLogger("ticketkit.access")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,200})?")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_PORTS: Final = {"http": ":80", "https": ":443"}

SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
"""Headers of every response that does not set them itself."""
HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
"""Of every response where cookies are `Secure`."""

UNTRACED: Final = (r"/(healthz|readyz|metrics)$",)
"""Regular expressions of URLs that are asked for all day long."""

Observe = Callable[[str, str, int, float], None]


class Envelope:
    """The middleware.

    Args:
        app: What answers.
        secure: Tell browsers to keep to HTTPS.
        cross_site: Beginnings of paths that other sites may post to.
        observe: Told route, method, status and seconds of each request.
        tracing: A span of each request, where spans go anywhere.
    """

    def __init__(
        self, app: ASGIApp, *, secure: bool, cross_site: Sequence[str], observe: Observe, tracing: Tracing
    ) -> None:
        self._app, self._tracing = app, tracing
        self._security = (*SECURITY, HSTS) if secure else SECURITY
        self._cross_site = tuple(cross_site)
        self._observe = observe
        self._traced = OpenTelemetryMiddleware(self._answer, excluded_urls=UNTRACED, tracer_provider=tracing.provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._tracing.on:
            await self._traced(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = _sane(headers.get(b"x-request-id"), _REQUEST_ID) or new_id()
        trace = running() or _sane(headers.get(b"traceparent"), _TRACEPARENT)
        with correlated(Correlation(request_id, None, trace)):
            await self._run(scope, receive, send, headers, request_id)

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[bytes, bytes], request_id: str
    ) -> None:
        began = perf_counter()
        trail = scope[TRAIL] = Trail()
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._headers(message["headers"], request_id)}
            await send(message)

        try:
            if self._is_foreign(scope, headers):
                trail.code = "cross_site"
                problem = Problem(403, "cross_site", "Other sites may not do this in your name.")
                await problem(scope, receive, sent)
            else:
                await self._app(scope, receive, sent)
        except Exception:
            log.exception("unexpected error", extra={"correlation_id": request_id, "route": trail.route})
            if status:
                raise
            trail.code = "internal_error"
            await internal_error(request_id)(scope, receive, sent)
        finally:
            self._note(scope, trail, status, perf_counter() - began, request_id)

    def _headers(self, given: Sequence[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
        names = {name for name, _ in given}
        return [
            *given,
            *(header for header in self._security if header[0] not in names),
            (b"x-request-id", request_id.encode()),
        ]

    def _is_foreign(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        if scope["method"] in _SAFE or not cross_site(headers, scope.get("scheme", "http")):
            return False
        return not (self._cross_site and get_route_path(scope).startswith(self._cross_site))

    def _note(self, scope: Scope, trail: Trail, status: int, seconds: float, request_id: str) -> None:
        method = scope["method"]
        self._observe(trail.route or getattr(scope.get("route"), "path", ""), method, status, seconds)
        if not access.isEnabledFor(logging.INFO):
            return
        access.info(
            "%s %s %d",
            method,
            scope["path"],
            status,
            extra={
                "method": method,
                "path": scope["path"],
                "route": trail.route,
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
                "correlation_id": request_id,
                "actor": trail.actor,
                "code": trail.code,
            },
        )


def cross_site(headers: dict[bytes, bytes], scheme: str) -> bool:
    """Whether a browser sent this for another site (Fetch Metadata, else Origin); programs send neither header.

    Args:
        headers: Names in lower case.
        scheme: Of the request, for default ports.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site in (b"same-origin", b"none") or (site is None and origin is None):
        return False
    return origin is None or not _same_host(origin, headers.get(b"host", b""), scheme)


def _same_host(origin: bytes, host: bytes, scheme: str) -> bool:
    parts = urlsplit(origin.decode("latin-1").lower())
    theirs = parts.netloc.removesuffix(_PORTS.get(parts.scheme, ""))
    ours = host.decode("latin-1").lower()
    return bool(theirs) and theirs in (ours, ours.removesuffix(_PORTS.get(parts.scheme, _PORTS.get(scheme, ""))))


def _sane(value: bytes | None, pattern: re.Pattern[str]) -> str | None:
    text = value.decode("latin-1") if value else ""
    return text if pattern.fullmatch(text) else None
