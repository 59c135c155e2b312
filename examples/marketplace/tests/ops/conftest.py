"""A marketplace with its operations page on memory backends and a virtual clock, and people with browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import httpx2
import pytest
from web.browsing import Browser, Shown

from ticketkit.domain.entities import LiveEvent, Order, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.events.catalogue import OrderCancelled
from ticketkit.events.envelope import Event
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.config import Config
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.settings import Options

PORT = 8001
PASSWORD = "correct horse"
Visit: TypeAlias = Callable[..., Awaitable[Browser]]


@dataclass
class Receipts:
    """A consumer of the app that fails for as long as it is broken."""

    broken: bool = False
    handled: list[str] = field(default_factory=list)

    async def handle(self, event: Event[OrderCancelled]) -> None:
        if self.broken:
            msg = "the printer is on fire"
            raise ValueError(msg)
        self.handled.append(event.data.id)


@pytest.fixture
def receipts() -> Receipts:
    return Receipts()


@pytest.fixture
async def site(tmp_path: Path, receipts: Receipts) -> AsyncIterator[Together]:
    market = Marketplace(config=Config(clock=VirtualClock(), token_lifetime=timedelta(minutes=10)))
    market.on(OrderCancelled, consumer="receipts")(receipts.handle)
    together = Together(market, Options(uploads=tmp_path / "uploads"), ops_port=PORT)
    async with together.running():
        yield together


@pytest.fixture
def market(site: Together) -> Marketplace:
    return site.market


@pytest.fixture
async def visit(site: Together) -> AsyncIterator[Visit]:
    """Makes a browser at the operations page (or at another port), signed in there when it is given a name."""
    async with AsyncExitStack() as stack:

        async def client(name: str | None = None, *, roles: tuple[str, ...] = (), port: int = PORT) -> Browser:
            transport = httpx2.ASGITransport(app=site)
            made = httpx2.AsyncClient(transport=transport, base_url=f"http://testserver:{port}")
            browser = Browser(await stack.enter_async_context(made), site.market.clock)
            if name is not None:
                signed_in = await site.market.auth.sign_up(f"{name}@example.com", PASSWORD, roles=roles)
                browser.client.cookies.set("ops_session", signed_in.token, path="/ops", domain="testserver.local")
            return browser

        yield client


@pytest.fixture
async def nobody(visit: Visit) -> Browser:
    return await visit()


@pytest.fixture
async def operator(visit: Visit) -> Browser:
    return await visit("olga", roles=("operator",))


@pytest.fixture
async def show(market: Marketplace) -> LiveEvent:
    """A live event in a week."""
    return await market.tickets.announce(
        "house", name="Hamilton", venue="Richard Rodgers Theatre", starts_at=market.clock.now() + timedelta(days=7)
    )


@pytest.fixture
async def tickets(market: Marketplace, show: LiveEvent) -> list[Ticket]:
    """Its three tickets, at 100, 200 and 300 dollars."""
    listings = [
        Listing(title=show.name, price=Money.parse(100 * number, "USD"), event_id=show.id, seat=f"Seat {number}")
        for number in (1, 2, 3)
    ]
    return list(await market.tickets.list("house", listings))


@pytest.fixture
async def order(market: Marketplace, tickets: list[Ticket]) -> Order:
    """An order for the first two of them."""
    return (await market.orders.place("ada", [tickets[0].id, tickets[1].id])).order


async def looked(browser: Browser, path: str = "/ops") -> Shown:
    """A page, once the sampler has looked again."""
    await browser.clock.advance(seconds=1)
    return await browser.open(path)
