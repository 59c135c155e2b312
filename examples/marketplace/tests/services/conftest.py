"""Processes in miniature: ASGI apps on ports of their own, behind a gateway on another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from ticketkit.marketplace import Marketplace
from ticketkit.runtime.server import bound_socket
from ticketkit.services.catalogue import ServiceName
from ticketkit_marketplace.deployment.gateway import Gateway
from ticketkit_marketplace.deployment.serving import Serving
from ticketkit_marketplace.deployment.upstreams import Pool, Upstream

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def echo(name: str) -> App:
    """Answers with who it is and what it got."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        got = {
            "name": name,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [[key.decode(), value.decode()] for key, value in scope["headers"]],
            "body": len(body),
        }
        heads = [(b"content-type", b"application/json"), (b"x-made-by", name.encode()), (b"keep-alive", b"timeout=5")]
        await send({"type": "http.response.start", "status": 200, "headers": heads})
        await send({"type": "http.response.body", "body": json.dumps(got).encode()})

    return app


@dataclass
class Town:
    """A gateway, and what is behind it."""

    stack: AsyncExitStack
    api: App
    pools: dict[str, Pool] = field(default_factory=dict)
    serving: list[Serving] = field(default_factory=list)

    async def process(self, service: str, app: App, *, up: bool = True) -> tuple[Upstream, Serving]:
        """One more process of a service."""
        listener = bound_socket("127.0.0.1", 0)
        upstream = self.pool(service).add(Upstream(*listener.getsockname()[:2]))
        serving = Serving(app, listener, drain=1)
        await serving.start()
        self.serving.append(serving)
        self.pool(service).mark(upstream, up=up)
        return upstream, serving

    def pool(self, service: str) -> Pool:
        """The processes of a service, or of `web`."""
        return self.pools.setdefault(service, Pool(service))

    async def open(self, **options: Any) -> tuple[httpx2.AsyncClient, Gateway]:
        """A client in front of a gateway."""
        services = {name: self.pool(name.value) for name in ServiceName}
        gateway = Gateway(services, self.pool("web"), self.api, **{"patience": 5.0, **options})
        listener = bound_socket("127.0.0.1", 0)
        serving = Serving(gateway, listener, drain=1)
        await serving.start()
        self.serving.append(serving)
        url = "http://{}:{}".format(*listener.getsockname()[:2])
        client = httpx2.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=10)
        return await self.stack.enter_async_context(client), gateway


@pytest.fixture(scope="session")
def api() -> App:
    """Of all services, not running."""
    return Marketplace().asgi()


@pytest.fixture
async def town(api: App) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        made = Town(stack, api)
        yield made
        for pool in made.pools.values():
            await pool.close()
    async with anyio.create_task_group() as group:
        for serving in made.serving:
            group.start_soon(serving.stop)
