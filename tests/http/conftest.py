"""A marketplace on memory backends and a virtual clock, and people with browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from tests.http.contract import Contract

from ticketkit.http import openapi
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock

Client: TypeAlias = httpx2.AsyncClient
Json: TypeAlias = dict[str, Any]
Visit: TypeAlias = Callable[..., Awaitable[Client]]
Publish: TypeAlias = Callable[..., Awaitable[Json]]

PASSWORD = "correct horse"


def browsing(app: Starlette, contract: Contract, **options: Any) -> Client:
    """A browser whose every response is held against the document."""
    transport = httpx2.ASGITransport(app=app, **options)
    hooks = {"response": [contract.check]}
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver", event_hooks=hooks)


@pytest.fixture
def app(market: Marketplace) -> Starlette:
    return market.asgi()


@pytest.fixture(scope="session")
def document() -> Json:
    """The OpenAPI document of all services; it needs no running marketplace."""
    return openapi.document(Marketplace().asgi().state.operations)


@pytest.fixture
def contract(document: Json) -> Contract:
    return Contract(document)


@pytest.fixture
async def visit(app: Starlette, market: Marketplace, contract: Contract) -> AsyncIterator[Visit]:
    """Makes a browser, signed in with a new account when it is given a name."""
    async with AsyncExitStack() as stack:

        async def client(name: str | None = None, **options: Any) -> Client:
            browser = await stack.enter_async_context(browsing(app, contract, **options))
            if name is not None:
                signed_in = await market.auth.sign_up(f"{name}@example.com", PASSWORD)
                browser.cookies.set("session", signed_in.token)
            return browser

        yield client


@pytest.fixture(scope="module")
async def open_shop() -> AsyncIterator[Marketplace]:
    """A marketplace for all tests of a module: for those that it refuses, or that don't look at its lists."""
    async with Marketplace(clock=VirtualClock()) as running:
        yield running


@pytest.fixture(scope="module")
async def stranger(open_shop: Marketplace, document: Json) -> AsyncIterator[Client]:
    """Nobody, at the shop of the module."""
    async with browsing(open_shop.asgi(), Contract(document)) as browser:
        yield browser


@pytest.fixture(scope="module")
async def regular(open_shop: Marketplace, document: Json) -> AsyncIterator[Client]:
    """Somebody who is signed in at the shop of the module."""
    async with browsing(open_shop.asgi(), Contract(document)) as browser:
        signed_in = await open_shop.auth.sign_up("regular@example.com", PASSWORD)
        browser.cookies.set("session", signed_in.token)
        yield browser


@pytest.fixture
async def nobody(visit: Visit) -> Client:
    return await visit()


@pytest.fixture
async def seller(visit: Visit) -> Client:
    return await visit("seller")


@pytest.fixture
async def buyer(visit: Visit) -> Client:
    return await visit("buyer")


@pytest.fixture
async def rival(visit: Visit) -> Client:
    return await visit("rival")


@pytest.fixture
def publish(seller: Client) -> Publish:
    """Lists a ticket of the seller."""

    async def ticket(**fields: Any) -> Json:
        response = await seller.post("/api/tickets", json={"title": "A seat", "price": 19.99, **fields})
        assert response.status_code == 201, response.text
        found: Json = response.json()
        return found

    return ticket


@pytest.fixture
def patiently(market: Marketplace) -> Callable[[Awaitable[httpx2.Response]], Awaitable[httpx2.Response]]:
    """Waits for an answer that takes its time, while the virtual time goes by."""

    async def wait(request: Awaitable[httpx2.Response]) -> httpx2.Response:
        found: list[httpx2.Response] = []

        async def ask() -> None:
            found.append(await request)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            for _ in range(600):
                await market.clock.settle()
                if found:
                    break
                await market.clock.advance(seconds=0.5)
            else:
                group.cancel_scope.cancel()
        return found[0]

    return wait


def field_of(response: httpx2.Response) -> str:
    """The field that a refusal names first."""
    return str(response.json()["errors"][0].get("field"))
