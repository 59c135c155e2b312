"""The app on a real PostgreSQL, and people with browsers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from ticketkit import Listing, Money
from ticketkit_embedded.app import create_app
from ticketkit_embedded.house import House

Visit: TypeAlias = Callable[..., Awaitable["Browser"]]
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


@pytest.fixture(scope="module")  # not longer: its loop would run beside tests that start one of their own
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


@pytest.fixture(scope="module")  # not longer: its loop would run beside tests that start one of their own
async def app(postgresql_url: str, season_url: str) -> AsyncIterator[FastAPI]:
    """The app, started, on a database of its own; each test has its own people and its own shows."""
    async with created(postgresql_url, template=urlsplit(season_url).path.strip("/")) as url:
        app = create_app(url)
        async with app.router.lifespan_context(app):
            yield app


@pytest.fixture
def house(app: FastAPI) -> House:
    """What it is made of."""
    found: House = app.state.house
    return found


class Browser(httpx2.AsyncClient):
    """A browser; of a new member, when it has an address."""

    email = ""


@pytest.fixture
async def visit(app: FastAPI) -> AsyncIterator[Visit]:
    """Makes a browser; of a new member, when it is given a name."""
    async with AsyncExitStack() as stack:

        async def browser(name: str | None = None) -> Browser:
            transport = httpx2.ASGITransport(app=app)
            found = await stack.enter_async_context(Browser(transport=transport, base_url="http://lantern"))
            if name is not None:
                found.email = f"{name}{next(_NUMBERS)}@example.com"
                body = {"name": name, "email": found.email, "password": PASSWORD}
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


async def on_sale(house: House, title: str, price: str) -> list[str]:
    """Ids of 24 seats of a new show."""
    show = await house.market.tickets.announce(
        "the-lantern", name=title, venue="The Lantern", starts_at=house.market.clock.now() + timedelta(days=30)
    )
    money = Money.parse(price, "EUR")
    seats = [Listing(title=title, seat=f"A{number}", price=money, event_id=show.id) for number in range(1, 25)]
    return [ticket.id for ticket in await house.market.tickets.list("the-lantern", seats)]


@pytest.fixture
async def orchard(house: House) -> list[str]:
    """Seats of a show, at 24.00 EUR."""
    return await on_sale(house, "The Cherry Orchard", "24.00")


@pytest.fixture
async def endgame(house: House) -> list[str]:
    """Seats of another one, at 18.50 EUR."""
    return await on_sale(house, "Endgame", "18.50")


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
