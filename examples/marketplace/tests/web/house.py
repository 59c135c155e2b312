"""A marketplace on a virtual clock, with its pages where a real browser finds them: time and the bank are in hand."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
import uvicorn
from playwright.async_api import BrowserContext
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ticketkit.backends.payments import ProviderCharge
from ticketkit.domain.entities import LiveEvent, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments, VirtualClock
from ticketkit_marketplace.running import Together

PASSWORD = "correct horse"
OWNER = "house@example.com"
BANK = 12.0
"""Seconds after which a payment that the bank does not decide is answered; and then some."""


class Held:
    """Passes all on, but lets the answers to forms wait while it is shut: what was asked for is done by then.

    Attributes:
        waiting: So many answers wait.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: anyio.Event | None = None
        self.waiting = 0

    def shut(self) -> None:
        """From now on, answers wait."""
        self._open, self.waiting = anyio.Event(), 0

    def open(self) -> None:
        """All that wait go on, and no more do."""
        if self._open is not None:
            self._open.set()
        self._open = None

    async def held(self, number: int) -> None:
        """Wait until so many answers wait."""
        with anyio.fail_after(10):
            while self.waiting < number:  # noqa: ASYNC110 - the browser makes it so
                await anyio.sleep(0.01)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def later(message: Message) -> None:
            if message["type"] == "http.response.start" and (gate := self._open) is not None:
                self.waiting += 1
                await gate.wait()
            await send(message)

        await self._app(scope, receive, later if scope.get("method") == "POST" else send)


@dataclass(frozen=True)
class House:
    """All of it, from the stage to the door.

    Attributes:
        site: Services and pages.
        url: Where a browser finds them.
        answers: What is on its way to browsers.
    """

    site: Together
    url: str
    answers: Held

    @property
    def market(self) -> Marketplace:
        return self.site.market

    @property
    def clock(self) -> VirtualClock:
        assert isinstance(self.market.clock, VirtualClock)
        return self.market.clock

    @property
    def bank(self) -> FakePayments:
        provider = self.market.payments.provider
        assert isinstance(provider, FakePayments)
        return provider

    def booked(self) -> list[ProviderCharge]:
        """What the bank has in its books, oldest first."""
        return list(self.bank.books().charges)

    def captured(self) -> list[int]:
        """What was really taken, minor units."""
        return [charge.captured for charge in self.booked() if charge.captured]

    async def announce(self, name: str, **more: Any) -> LiveEvent:
        """A live event of the house, a week from now."""
        owner = await self.market.auth.find(OWNER) or (await self.market.auth.sign_up(OWNER, PASSWORD)).user
        starts_at = self.market.clock.now() + timedelta(days=7)
        place: dict[str, Any] = {"venue": "Richard Rodgers Theatre", "zone": "America/New_York", **more}
        return await self.market.tickets.announce(owner.id, name=name, starts_at=starts_at, **place)

    async def put_up(self, event: LiveEvent, *prices: str) -> list[Ticket]:
        """Tickets for it at these prices, in US dollars."""
        listings = [
            Listing(title=event.name, price=Money.parse(price, "USD"), event_id=event.id, seat=f"Orchestra K {place}")
            for place, price in enumerate(prices, 101)
        ]
        return list(await self.market.tickets.list(event.owner_id, listings))

    async def reprice(self, ticket: Ticket, price: str) -> None:
        """Its seller wants another price."""
        await self.market.tickets.edit(ticket.seller_id, ticket.id, title=ticket.title, price=Money.parse(price, "USD"))

    async def let_in(self, context: BrowserContext, name: str) -> str:
        """Sign somebody in, with a new account if they have none; returns their id."""
        email = f"{name}@example.com"
        known = await self.market.auth.find(email)
        signed_in = await (self.market.auth.sign_in if known else self.market.auth.sign_up)(email, PASSWORD)
        await context.add_cookies([{"name": "session", "value": signed_in.token, "url": self.url, "httpOnly": True}])
        return signed_in.user.id

    async def keep_waiting(self) -> None:
        """The bank has a payment and does not decide: let the time pass that its answer is waited for."""
        with anyio.fail_after(10):
            while not self.booked() or self.booked()[-1].status != "pending":  # noqa: ASYNC110 - the browser makes it so
                await anyio.sleep(0.01)
        await self.clock.advance(seconds=BANK)

    async def decide(self) -> None:
        """The bank agrees to the newest payment."""
        await self.bank.resolve(self.booked()[-1].reference)
        await self.clock.advance(seconds=1)


@asynccontextmanager
async def opened(site: Together) -> AsyncIterator[House]:
    """Let browsers in.

    Args:
        site: Runs meanwhile.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        answers = Held(site)
        config = uvicorn.Config(answers, log_level="error", lifespan="off", access_log=False, ws="none")
        server = uvicorn.Server(config)
        async with site.running(), anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            yield House(site, f"http://127.0.0.1:{listener.getsockname()[1]}", answers)
            server.should_exit = server.force_exit = True
