"""A marketplace with its web client on memory backends and a virtual clock, and people with browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect
from web.browsing import Browser
from web.chromium import started
from web.house import House, opened

from ticketkit.domain.entities import LiveEvent, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.settings import Options

Visit: TypeAlias = Callable[..., Awaitable[Browser]]
Stage: TypeAlias = Callable[..., Awaitable[LiveEvent]]
ListTickets: TypeAlias = Callable[..., Awaitable[list[Ticket]]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Together]:
    market = Marketplace(clock=VirtualClock())
    together = Together(market, Options(uploads=tmp_path / "uploads"))
    async with together.running():
        yield together


@pytest.fixture
def market(site: Together) -> Marketplace:
    return site.market


@pytest.fixture
async def visit(site: Together) -> AsyncIterator[Visit]:
    """Makes a browser, signed in with a new account when it is given a name."""
    async with AsyncExitStack() as stack:

        async def client(name: str | None = None) -> Browser:
            transport = httpx2.ASGITransport(app=site)
            made = httpx2.AsyncClient(transport=transport, base_url="http://testserver")
            browser = Browser(await stack.enter_async_context(made), site.market.clock)
            if name is not None:
                signed_in = await site.market.auth.sign_up(f"{name}@example.com", "correct horse")
                browser.client.cookies.set("session", signed_in.token)
            return browser

        yield client


@pytest.fixture
async def nobody(visit: Visit) -> Browser:
    return await visit()


@pytest.fixture
async def seller(visit: Visit) -> Browser:
    return await visit("seller")


@pytest.fixture
async def buyer(visit: Visit) -> Browser:
    return await visit("buyer")


@pytest.fixture
def stage(market: Marketplace) -> Stage:
    """Announces a live event, a week from now in New York at 19:00 or so."""

    async def announce(
        name: str = "Hamilton", *, starts_in: timedelta = timedelta(days=7), **more: object
    ) -> LiveEvent:
        owner = (
            await market.auth.find("house@example.com")
            or (await market.auth.sign_up("house@example.com", "correct horse")).user
        )
        starts_at: datetime = market.clock.now() + starts_in
        options = {"venue": "Richard Rodgers Theatre", "zone": "America/New_York", **more}
        return await market.tickets.announce(owner.id, name=name, starts_at=starts_at, **options)  # type: ignore[arg-type]

    return announce


@pytest.fixture
def put_up(market: Marketplace) -> ListTickets:
    """Lists tickets of the house for a live event, at these prices."""

    async def tickets(event: LiveEvent, *prices: str, currency: str = "USD", seat: str = "Seat") -> list[Ticket]:
        listings = [
            Listing(title=event.name, price=Money.parse(price, currency), event_id=event.id, seat=f"{seat} {number}")
            for number, price in enumerate(prices, 1)
        ]
        return list(await market.tickets.list(event.owner_id, listings))

    return tickets


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A marketplace as `make run` runs it, with one show of 585 seats, for all tests that need a real one."""
    made = Process(tmp_path_factory.mktemp("data"), environment={}, arguments=("--show", "Grand Horizons"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")  # not longer: its tasks would share the loop with tests on the virtual clock
async def chromium() -> AsyncIterator[Chromium]:
    """A real browser; where there is none and none can be installed, the tests fail and say how."""
    async with started() as browser:
        yield browser


NewPage: TypeAlias = Callable[..., Awaitable[Page]]


PATIENCE = 20_000
"""Milliseconds that a browser has for anything: machines that test are busy."""
expect.set_options(timeout=PATIENCE)


@asynccontextmanager
async def windows(chromium: Chromium, base: str, *also: str) -> AsyncIterator[NewPage]:
    """Opens windows of browsers that know nothing; fails if a page says an error or asks another site.

    Args:
        chromium: The browser.
        base: Address of the pages.
        *also: Other sites that they may ask.
    """
    async with AsyncExitStack() as stack:
        wrong: list[str] = []

        async def window(**options: Any) -> Page:
            context = await chromium.new_context(base_url=base, **options)
            stack.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE)
            page: Page = await context.new_page()
            page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda sent: None if sent.url.startswith((base, *also)) else wrong.append(sent.url))
            return page

        yield window
        # That a page was not found, or a form not good, is an "error" for the console.
        assert not [line for line in wrong if "Failed to load resource" not in line]


@pytest.fixture
async def new_page(chromium: Chromium, services: Process) -> AsyncIterator[NewPage]:
    """Opens windows on the marketplace of `services`."""
    async with windows(chromium, f"http://{services.host}:{services.port}") as window:
        yield window


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A marketplace whose time is in hand; a parameter is its policy."""
    market = Marketplace(clock=VirtualClock(), policy=getattr(request, "param", Policy()))
    async with opened(Together(market, Options(uploads=tmp_path / "uploads"))) as made:
        yield made


@pytest.fixture
async def house_page(chromium: Chromium, house: House) -> AsyncIterator[NewPage]:
    """Opens windows on the marketplace of `house`."""
    async with windows(chromium, house.url) as window:
        yield window
