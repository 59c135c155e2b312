"""One request on its way to a process and the answer back, both as they come."""

from __future__ import annotations

import html
import logging
from typing import TYPE_CHECKING, Final

import anyio
import httpx2
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse

from ticketkit.http.problems import Problem
from ticketkit_marketplace.deployment import headers
from ticketkit_marketplace.deployment.upstreams import TIMEOUTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from ticketkit_marketplace.deployment.upstreams import Pool, Upstream

log = logging.getLogger(__name__)

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Errors before the first byte."""
_STREAM: Final = b"text/event-stream"
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title><h1>{title}</h1><p>{detail}</p></html>"
)


class _Gone(Exception):
    """The client went away in the middle of its request."""


class Passing:
    """Passes one request on.

    Where nothing was sent yet, another process of the service is tried, and one that starts again is waited for. What
    changes nothing (GET) is asked once more when a process dies before it answers. Nothing else is ever sent twice: it
    is said that its outcome is unknown, and the client's Idempotency-Key makes it safe to ask again.

    Args:
        pool: The processes.
        closing: Set when streams of events have to end.
    """

    def __init__(self, pool: Pool, scope: Scope, receive: Receive, send: Send, closing: anyio.Event) -> None:
        self._pool, self._scope, self._receive, self._send = pool, scope, receive, send
        self._closing = closing
        self._has_body = any(name in _LENGTHS for name, _ in scope["headers"])
        self._read = anyio.Event()
        self._failure: Exception | None = None

    async def run(self, *, patience: float, trusted: bool) -> None:
        """Do it.

        Args:
            patience: Seconds to wait for a process that is ready.
            trusted: Whether `X-Forwarded-*` of the request is believed.

        Raises:
            HTTPException: The body is too large.
        """
        given = headers.of_request(self._scope, trusted=trusted)
        if not self._has_body:
            self._read.set()
        async with anyio.create_task_group() as group:
            group.start_soon(self._until_gone, group.cancel_scope)
            try:
                await self._exchange(given, anyio.current_time() + patience)
            except Exception as error:  # noqa: BLE001 - raised again below, where no group wraps it
                self._failure = error
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _exchange(self, given: list[headers.Header], deadline: float) -> None:
        tried: list[Upstream] = []
        again = self._scope["method"] in _SAFE and not self._has_body
        while (upstream := await self._ready(tried, deadline)) is not None:
            upstream.busy += 1
            try:
                response = await upstream.transport.handle_async_request(self._request(upstream, given))
                await self._answer(response)
            except _UNSENT:
                tried.append(upstream)
                continue
            except _Gone:
                return
            except httpx2.InvalidURL:
                await self._refuse(400, "bad_request", "This address can't be read.")
            except httpx2.TransportError as error:
                if again:
                    again = False
                    tried.append(upstream)
                    continue
                await self._broken(error)
            finally:
                upstream.busy -= 1
            return
        await self._refuse(503, "unavailable", "This can't be done now. Nothing has happened; try again in a moment.")

    async def _ready(self, tried: list[Upstream], deadline: float) -> Upstream | None:
        with anyio.move_on_at(deadline):
            return await self._pool.next(but=tried)
        return None

    def _request(self, upstream: Upstream, given: list[headers.Header]) -> httpx2.Request:
        query = self._scope["query_string"]
        target = self._scope["raw_path"] + (b"?" + query if query else b"")
        return httpx2.Request(
            self._scope["method"],
            httpx2.URL(scheme="http", host=upstream.host, port=upstream.port, raw_path=target),
            headers=given,
            content=self._body() if self._has_body else None,
            extensions={"timeout": TIMEOUTS},
        )

    async def _body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            if chunk := message.get("body", b""):
                yield chunk
            more = message.get("more_body", False)
        self._read.set()

    async def _answer(self, response: httpx2.Response) -> None:
        kept = headers.of_answer(response.headers.raw)
        endless = any(name == b"content-type" and value.startswith(_STREAM) for name, value in kept)
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": kept})
        try:
            # One that broke off is left unfinished, or the client would take it for whole; but of a stream of events it
            # has all that there was, and comes back for more.
            whole = await (self._until_closing(response) if endless else self._stream(response))
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
        if whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, response: httpx2.Response) -> bool:
        """Pass the body on; False when it broke off."""
        try:
            async for chunk in response.aiter_raw():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx2.TransportError as error:
            log.warning("an answer of %s broke off: %s", self._pool.name, str(error) or type(error).__name__)
            return False
        return True

    async def _until_closing(self, response: httpx2.Response) -> bool:
        """Pass a stream of events on, until it ends or the gateway closes."""
        async with anyio.create_task_group() as group:

            async def stream() -> None:
                await self._stream(response)
                group.cancel_scope.cancel()

            group.start_soon(stream)
            await self._closing.wait()
            group.cancel_scope.cancel()
        return True

    async def _until_gone(self, scope: anyio.CancelScope) -> None:
        """Give up when the client went away; what a process is doing for it, it finishes."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _broken(self, error: httpx2.TransportError) -> None:
        log.warning("%s did not answer: %s", self._pool.name, str(error) or type(error).__name__)
        status = 504 if isinstance(error, httpx2.TimeoutException) else 502
        if self._scope["method"] in _SAFE:
            await self._refuse(status, "unavailable", "This can't be shown now. Try again in a moment.")
        else:
            await self._refuse(status, "outcome_unknown", "It may have happened, or not: look before you try again.")

    async def _refuse(self, status: int, code: str, detail: str) -> None:
        retry = {"retry-after": "1", "cache-control": "no-store"}
        asked = Headers(scope=self._scope).get("accept", "")
        answer: Response = Problem(status, code, detail, headers=retry)
        if "text/html" in asked:  # a person in front of a page
            title = "Back in a moment" if status == httpx2.codes.SERVICE_UNAVAILABLE else "Something broke off"
            page = _PAGE.format(title=title, detail=html.escape(detail))
            answer = HTMLResponse(page, status, headers={**retry, "content-security-policy": "default-src 'none'"})
        await answer(self._scope, self._receive, self._send)
