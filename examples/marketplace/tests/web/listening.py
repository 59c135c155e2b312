"""Reads a stream of server-sent events of an app in this process, as a browser does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.types import ASGIApp, Message


class Reader:
    """An open stream, or the answer that there is none."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = anyio.Event()
        self.gone = anyio.Event()
        self.slow: anyio.Event | None = None
        self.chunks = 0
        self._asked = False
        self._answered = anyio.Event()
        self._arrived = anyio.Event()
        self._text = ""

    async def run(self, app: ASGIApp, address: str, headers: dict[str, str], client: str, method: str) -> None:
        parts = urlsplit(address)
        sent = [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers.items())]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": sent,
            "client": (client, 1),
            "server": ("testserver", 80),
        }
        await app(scope, self._receive, self._take)
        self.ended.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._answered.set()
            return
        if self.slow is not None:
            await self.slow.wait()
        if message.get("body"):
            self.chunks += 1
            self._text += message["body"].decode()
            self._arrived.set()

    async def answered(self) -> None:
        """Wait for the headers, and what comes at once with a stream."""
        with anyio.fail_after(10):
            await self._answered.wait()
            if self.status == 200:
                assert (await self.block()).startswith("retry: ")

    async def block(self) -> str:
        """The next block, as it is."""
        with anyio.fail_after(10):
            while "\n\n" not in self._text:
                self._arrived = anyio.Event()
                await self._arrived.wait()
        found, _, self._text = self._text.partition("\n\n")
        return found

    async def event(self) -> tuple[str, dict[str, Any]]:
        """Name and data of the next event; comments are passed over."""
        while (found := await self.block()).startswith(":"):
            pass
        lines = dict(line.split(": ", 1) for line in found.splitlines())
        assert set(lines) == {"id", "event", "data"}
        self.last_id = lines["id"]
        return lines["event"], json.loads(lines["data"])


@asynccontextmanager
async def reading(
    app: ASGIApp, address: str, *, client: str = "127.0.0.1", method: str = "GET", **headers: str
) -> AsyncIterator[Reader]:
    """Open a stream, and leave it at the end."""
    reader = Reader()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with anyio.create_task_group() as group:
        group.start_soon(reader.run, app, address, named, client, method)
        await reader.answered()
        yield reader
        reader.gone.set()
