"""A server that answers as a test tells it to, word for word; and applications, served."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import anyio
import pytest
import uvicorn
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from starlette.applications import Starlette


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    fields: dict[str, str]

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass
class Wire:
    """What a test tells a server to answer, and what it was asked.

    Attributes:
        answers: What comes next, for a method and a path: a JSON value with 200; a status and a JSON value, and
            headers; `garbage` that is no JSON; or no answer, but to `hang up`, to `hang` or to `trickle`. The last one
            stays.
    """

    url: str = ""
    answers: dict[str, deque[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, what: str, *answers: Any) -> None:
        self.answers[what] = deque(answers)

    def of(self, what: str) -> list[Asked]:
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == what]

    def intent(self, status: str = "requires_capture", **values: Any) -> dict[str, Any]:
        """A PaymentIntent of 50 dollars, as Stripe writes it."""
        return {
            "id": "pi_1",
            "object": "payment_intent",
            "amount": 5000,
            "amount_received": 5000 if status == "succeeded" else 0,
            "currency": "usd",
            "client_secret": "pi_1_secret_2",
            "status": status,
            "last_payment_error": None,
            "next_action": None,
            "latest_charge": None,
            "metadata": {"ticketkit_charge_id": "c-1", "ticketkit_order_id": "o-1"},
            **values,
        }

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            read = BufferedByteReceiveStream(stream)
            with suppress(
                anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError
            ):
                while await self._exchange(stream, read):
                    pass

    async def _exchange(self, stream: SocketStream, read: BufferedByteReceiveStream) -> bool:
        head = (await read.receive_until(b"\r\n\r\n", 65_536)).decode()
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await read.receive_exactly(int(headers.get("content-length", "0")))
        path, _, query = target.partition("?")
        self.asked.append(Asked(method, path, headers, dict(parse_qsl(body.decode() or query))))
        match self._next(f"{method} {path}"):
            case "hang up":
                return False
            case "hang":
                await anyio.sleep_forever()
            case "trickle":
                await stream.send(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n")
                while True:
                    await stream.send(b" ")
                    await anyio.sleep(0.05)
            case "garbage":
                await stream.send(_written(200, b"<html>", {}))
            case (int(status), value):
                await stream.send(_written(status, json.dumps(value).encode(), {}))
            case (int(status), value, dict(more)):
                await stream.send(_written(status, json.dumps(value).encode(), more))
            case value:
                await stream.send(_written(200, json.dumps(value).encode(), {}))
        return True

    def _next(self, what: str) -> Any:
        if what not in self.answers:
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": what}}
        left = self.answers[what]
        return left.popleft() if len(left) > 1 else left[0]


def _written(status: int, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is no Django
        wire.url = f"http://127.0.0.1:{port}"
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, wire.serve)
            yield wire
            group.cancel_scope.cancel()


@asynccontextmanager
async def _served(app: Starlette) -> AsyncIterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listening])
            yield listening.getsockname()[1]
            server.should_exit = True


@pytest.fixture
def served() -> Any:
    """Serves an application on the loopback; gives its port."""
    return _served
