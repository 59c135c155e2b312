"""A small HTTP/1.1 client for JSON over kept connections: it must not be what is measured.

It shares the machine with the server, and a request costs it a tenth of what a general client takes.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class Gone(Exception):
    """The server went away before it answered: whether it did what was asked is unknown."""


@dataclass(slots=True)
class Response:
    """An answer.

    Attributes:
        seconds: From the first byte sent to the last byte received.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a refusal."""
        return str(self.json().get("code", "")) if self.body else ""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; also the parser's listener."""

    def __init__(self) -> None:
        self.open = True
        self._transport: asyncio.Transport
        self._parser: Any = None
        self._response = Response()
        self._body: list[bytes] = []
        self._waiter: asyncio.Future[Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Gone())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        response = self._response
        response.status = self._parser.get_status_code()
        response.body = b"".join(self._body)
        if not self._parser.should_keep_alive():
            self._transport.close()
            self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(response)

    async def send(self, request: bytes) -> Response:
        self._parser = httptools.HttpResponseParser(self)
        self._response, self._body = Response(), []
        self._waiter = asyncio.get_running_loop().create_future()
        began = perf_counter()
        self._transport.write(request)
        response = await self._waiter
        response.seconds = perf_counter() - began
        return response

    def close(self) -> None:
        self.open = False
        self._transport.abort()


class Wire:
    """A bounded pool of connections to one server, or to several that share the paths between them.

    Args:
        host: Of all servers.
        port: Of the server, or of each by the beginning of its paths.
        connections: Most at once; who comes when all are in use waits, and that is not in `Response.seconds`.
    """

    def __init__(self, host: str, port: int | Mapping[str, int], *, connections: int = 64) -> None:
        self.host = host
        self._ports = {"/": port} if isinstance(port, int) else dict(port)
        self._free: dict[int, list[_Connection]] = {port: [] for port in self._ports.values()}
        self._slots = asyncio.Semaphore(connections)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        cookie: str | None = None,
        key: str | None = None,
    ) -> Response:
        """Ask once.

        Args:
            method: HTTP method.
            path: With the query.
            body: Sent as JSON unless None.
            cookie: Session.
            key: Idempotency-Key.

        Raises:
            Gone: The server can't be reached, or went away.
        """
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        port = next(port for start, port in self._ports.items() if path.startswith(start))
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{port}"]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        lines += [] if cookie is None else [f"cookie: {cookie}"]
        lines += [] if key is None else [f"idempotency-key: {key}"]
        async with self._connection(port) as connection:
            return await connection.send("\r\n".join([*lines, "", ""]).encode() + content)

    @asynccontextmanager
    async def _connection(self, port: int) -> AsyncIterator[_Connection]:
        async with self._slots:
            connection = self._kept(port) or await self._connect(port)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            if connection.open:
                self._free[port].append(connection)

    def _kept(self, port: int) -> _Connection | None:
        free = self._free[port]
        while free:
            connection = free.pop()
            if connection.open:
                return connection
        return None

    async def _connect(self, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(_Connection, self.host, port)
        except OSError as error:
            raise Gone from error
        return connection

    def local(self, link: str) -> str:
        """Path and query of the next page, from its `Link` header."""
        found = urlsplit(link.partition("<")[2].partition(">")[0])
        return f"{found.path}?{found.query}"

    def close(self) -> None:
        """Close all connections that are not in use."""
        for free in self._free.values():
            for connection in free:
                connection.close()
            free.clear()
