"""A marketplace on a database file whose money goes to a simulator of Stripe, which tells it by webhooks over HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import anyio
import uvicorn

from ticketkit.domain.entities import Charge, Order, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.services.catalogue import Boundary
from ticketkit_marketplace.demo.invariants import Finding, Snapshot, check, every, snapshot
from ticketkit_marketplace.demo.till import books_of
from ticketkit_stripe.simulator import Simulator, Statement
from ticketkit_stripe.simulator.simulation import KEY, SECRET

PRICE = Money(4950, "USD")


def provider(stripe: Simulator, *, rate: int = 10_000) -> str:
    """The URL of the simulator; its limits are out of the way, or so many calls a second."""
    parameters = {"key": KEY, "webhook_secret": SECRET, "base": stripe.url, "rate": rate, "endpoint_rate": rate}
    return f"stripe:?{urlencode(parameters)}"


@dataclass
class Shop:
    """The marketplace and its provider."""

    market: Marketplace
    stripe: Simulator
    paid: set[str] = field(default_factory=set)

    async def tickets(self, number: int) -> list[Ticket]:
        """So many tickets of one seller."""
        listings = [Listing(title=f"Seat {seat}", price=PRICE) for seat in range(number)]
        return list(await self.market.tickets.import_all("seller", listings))

    async def statement(self) -> Statement:
        """What Stripe's own books say."""
        return await anyio.to_thread.run_sync(self.stripe.control.books)

    async def found(self) -> Snapshot:
        """All there is, by the database and by Stripe."""
        storages = {boundary: self.market.runtime.storage(boundary) for boundary in Boundary}
        return await snapshot(storages, books_of(await self.statement()), paid=self.paid)

    async def orders(self) -> dict[str, Order]:
        """All orders."""
        return await every(self.market.runtime.storage(Boundary.INVENTORY), Order)

    async def charges(self) -> dict[str, Charge]:
        """All charges."""
        return await every(self.market.runtime.storage(Boundary.PAYMENTS), Charge)

    async def in_between(self) -> list[str]:
        """Orders and charges that have not ended."""
        orders, charges = await self.orders(), await self.charges()
        found = [f"order {one.id} is {one.status}" for one in orders.values() if not one.status.final]
        found += [f"charge {one.id} is {one.status}" for one in charges.values() if not one.status.final]
        return found + [f"charge {one.id} owes a void" for one in charges.values() if one.owes_void]

    async def quiet(self, *, seconds: float) -> list[str]:
        """Wait until all has ended; what has not when the time is over."""
        left: list[str] = []
        with anyio.move_on_after(seconds):
            while left := await self.in_between():  # noqa: ASYNC110 - Stripe and the jobs make it so
                await anyio.sleep(0.1)
        await self.market.runtime.drain(5)
        return left

    async def wrong(self) -> list[str]:
        """What is not as it must be, by the invariants of the demonstration and by Stripe's own count."""
        found = await self.found()
        statement = await self.statement()
        broken = [f"{finding.name}: {finding.detail}" for finding in _broken(check(found))]
        broken += [f"{line.id} was captured {line.captures} times" for line in statement.intents if line.captures > 1]
        return broken + [str(violation) for violation in statement.violations]


def _broken(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.holds]


@asynccontextmanager
async def opened(folder: Path, stripe: Simulator, policy: Policy, *, rate: int = 10_000) -> AsyncIterator[Shop]:
    """A running marketplace that serves its API, and with it Stripe's webhooks, on a free port."""
    market = Marketplace(f"sqlite:///{folder / 'shop.db'}", payments=provider(stripe, rate=rate), policy=policy)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        config = uvicorn.Config(market.asgi(), log_level="error", lifespan="off", access_log=False, ws="none")
        server = uvicorn.Server(config)
        async with market, served(server, listener):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/payments/webhooks/stripe"
            await anyio.to_thread.run_sync(stripe.control.add_endpoint, url)
            yield Shop(market, stripe)


@asynccontextmanager
async def served(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    """Serve, and end in order also when a test fails: a server that is cancelled leaves its sockets open."""
    ended = anyio.Event()

    async def serve() -> None:
        with anyio.CancelScope(shield=True):
            await server.serve([listener])
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        try:
            yield
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await ended.wait()
