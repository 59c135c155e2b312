"""The app on a database of its own in a real PostgreSQL, and people with browsers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from ticketkit_embedded.app import create_app
from ticketkit_embedded.house import House

Browser: TypeAlias = httpx2.AsyncClient
Visit: TypeAlias = Callable[..., Awaitable[Browser]]
Json: TypeAlias = dict[str, Any]

PASSWORD = "correct horse battery"
_NUMBERS = count()


@asynccontextmanager
async def created(server_url: str, *, template: str = "template1") -> AsyncIterator[str]:
    """A database that is gone at the end: its URL."""
    name = f"lantern_{os.getpid()}_{next(_NUMBERS)}"
    server = await asyncpg.connect(server_url)
    await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.fixture(scope="session")
async def season_url(postgresql_url: str) -> AsyncIterator[str]:
    """A database in which the app has started once: to make all tables for each test would take longer than most."""
    async with created(postgresql_url) as url:
        app = create_app(url)
        async with app.router.lifespan_context(app):
            pass
        yield url


@pytest.fixture
async def database_url(postgresql_url: str, season_url: str) -> AsyncIterator[str]:
    """A database with the season on sale, which nobody has used."""
    async with created(postgresql_url, template=urlsplit(season_url).path.strip("/")) as url:
        yield url


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The app, started."""
    app = create_app(database_url)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def house(app: FastAPI) -> House:
    """What it is made of."""
    found: House = app.state.house
    return found


@pytest.fixture
async def visit(app: FastAPI) -> AsyncIterator[Visit]:
    """Makes a browser; of a new member, when it is given a name."""
    async with AsyncExitStack() as stack:

        async def browser(name: str | None = None) -> Browser:
            transport = httpx2.ASGITransport(app=app)
            found = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://lantern"))
            if name is not None:
                body = {"name": name, "email": f"{name}@example.com", "password": PASSWORD}
                joined = await found.post("/join", json=body)
                assert joined.status_code == 201, joined.text
            return found

        yield browser


@pytest.fixture
async def ada(visit: Visit) -> Browser:
    """A member."""
    return await visit("ada")


@pytest.fixture
async def bob(visit: Visit) -> Browser:
    """Another one."""
    return await visit("bob")


@pytest.fixture
async def seats(visit: Visit) -> dict[str, list[str]]:
    """Ids of the free seats of each show, by its title."""
    nobody = await visit()
    shows = (await nobody.get("/shows")).json()
    return {
        show["title"]: [seat["id"] for seat in (await nobody.get(f"/shows/{show['id']}/seats")).json()]
        for show in shows
    }


@pytest.fixture
def orchard(seats: dict[str, list[str]]) -> list[str]:
    """Free seats of one show, at 24.00 EUR."""
    return seats["The Cherry Orchard"]


@pytest.fixture
def endgame(seats: dict[str, list[str]]) -> list[str]:
    """Free seats of the other show, at 18.50 EUR."""
    return seats["Endgame"]


@pytest.fixture
def book() -> Callable[..., Awaitable[Json]]:
    """Books seats, and pays them unless told otherwise."""

    async def book(browser: Browser, *seats: str, paid: bool = False, **choice: Any) -> Json:
        booked = await browser.post("/bookings", json={"seats": seats, **choice})
        assert booked.status_code == 201, booked.text
        found: Json = booked.json()
        if paid:
            done = await browser.post(f"/bookings/{found['id']}/pay", json={"token": "tok_visa"})
            assert done.json()["status"] == "completed", done.text
        return found

    return book
