"""A marketplace whose payments are a process of its own, which dies at a commit and is started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio.to_thread import run_sync
from money.mortal import SCHEME
from money.shop import PRICE, provider

from ticketkit.backends.spec import Context
from ticketkit.backends.storage import Storage
from ticketkit.domain.entities import Charge, Order, OrderCopy, Ticket
from ticketkit.domain.tickets import Listing
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.runtime.config import ALL, Config
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit_marketplace.demo.invariants import check, every, snapshot, stale
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.till import books_of
from ticketkit_marketplace.demo.wire import Gone, Response, Wire
from ticketkit_sql.storage import open_storage
from ticketkit_stripe.simulator import Simulator, Statement

T = TypeVar("T")

PATIENCE: Final = 100.0
"""Seconds until all has ended: what a dead process had in its hands is due after 30."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When the process dies.

    Attributes:
        at: The checkpoint, see `CHECKPOINTS`.
        times: At which reaching of it, from when it is armed.
    """

    at: str
    times: int


@dataclass
class Apart:
    """All but payments runs here; payments is reached by HTTP and by the bus.

    Attributes:
        payments: Its storage, which this process only reads.
        died: Whether the process has died.
    """

    market: Marketplace
    stripe: Simulator
    payments: Storage
    wire: Wire
    armed: Path
    died: bool = False

    def arm(self) -> None:
        """Commits count from now on."""
        self.armed.touch()

    async def sign_up(self, name: str) -> tuple[str, str]:
        """Somebody's id and cookie."""
        signed = await self.market.auth.sign_up(f"{name}@example.com", "front row, please")
        return signed.user.id, f"session={signed.token}"

    async def ask(self, path: str, body: dict[str, Any], cookie: str) -> Response:
        """As a browser that insists: the same request with the same key, until it is answered."""
        key = new_id()

        async def answered() -> Response | None:
            with suppress(Gone):
                answer = await self.wire.request("POST", path, body, cookie=cookie, key=key)
                return None if answer.status in (404, 503) else answer  # it has not heard of the order yet
            return None

        return await until(answered)

    async def order(self, order: Order) -> Order:
        """As it is now."""
        found = (await self.market.runtime.storage(Boundary.INVENTORY).get([Order.key(order.id)]))[Order.key(order.id)]
        assert isinstance(found, Order)
        return found

    async def heard(self, order: Order) -> OrderCopy | None:
        """What payments knows of it."""
        found = (await self.payments.get([OrderCopy.key(order.id)])).get(OrderCopy.key(order.id))
        return found if isinstance(found, OrderCopy) else None

    async def tickets(self) -> dict[str, Ticket]:
        """All tickets."""
        return await every(self.market.runtime.storage(Boundary.INVENTORY), Ticket)

    async def listed(self, seller_id: str) -> Ticket:
        """One more ticket of somebody."""
        (ticket,) = await self.market.tickets.list(seller_id, [Listing(title="Seat", price=PRICE)])
        return ticket

    async def statement(self) -> Statement:
        """What Stripe's own books say, of this marketplace and of others."""
        return await run_sync(self.stripe.control.books)

    async def quiet(self) -> None:
        """Wait until payments owes nobody anything, and both sides have heard all."""

        async def ended() -> bool:
            charges = (await every(self.payments, Charge)).values()
            over = all(charge.status.final and not charge.owes_void and charge.due_at is None for charge in charges)
            waiting = (await self.payments.totals()).unpublished or await self.payments.unapplied_webhooks(1)
            orders = await every(self.market.runtime.storage(Boundary.INVENTORY), Order)
            return over and not waiting and not stale(orders, await every(self.payments, OrderCopy))

        await until(ended)
        assert await self.market.runtime.drain(10)

    async def wrong(self) -> list[str]:
        """What is not as it must be, by the demonstration's invariants."""
        inventory = self.market.runtime.storage(Boundary.INVENTORY)
        storages = {Boundary.INVENTORY: inventory, Boundary.ACCOUNTS: inventory, Boundary.PAYMENTS: self.payments}
        mine = await every(self.payments, Charge)
        books = books_of(await self.statement())
        books = replace(books, charges=tuple(one for one in books.charges if one.charge_id in mine))
        return [f"{one.name}: {one.detail}" for one in check(await snapshot(storages, books)) if not one.holds]


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """Look until there is something, for `PATIENCE` at most."""
    with anyio.fail_after(PATIENCE):
        while not (found := await look()):  # noqa: ASYNC110 - other processes make it so
            await anyio.sleep(0.05)
    return found


@asynccontextmanager
async def opened(folder: Path, stripe: Simulator, death: Death, *, webhooks: bool = True) -> AsyncIterator[Apart]:
    """Run it; whenever payments has died it is started again, as an operator's `ticketkit serve payments`."""
    file = folder / "payments.db"
    urls = {
        "TICKETKIT_STORAGE_URL": f"sqlite:///{folder / 'shop.db'}",
        "TICKETKIT_BUS_URL": f"sqlite:///{folder / 'bus.db'}",
    }
    settings = urls | {"TICKETKIT_PAYMENTS": provider(stripe), "PYTHONPATH": str(Path(__file__).parents[1])}
    armed = folder / "armed"
    first = Process(
        folder,
        environment=settings | {"TICKETKIT_PAYMENTS_STORAGE_URL": f"{SCHEME}:///{file}"},
        program=("money.mortal",),
        arguments=(death.at, str(death.times), str(armed)),
        name="first",
    )
    second = Process(
        folder,
        environment=settings | {"TICKETKIT_PAYMENTS_STORAGE_URL": f"sqlite:///{file}"},
        program=("ticketkit", "serve", "payments"),
        name="second",
        port=first.port,
    )
    config = Config(
        storage=urls["TICKETKIT_STORAGE_URL"],
        accounts=urls["TICKETKIT_STORAGE_URL"],
        timers=urls["TICKETKIT_STORAGE_URL"],
        bus=urls["TICKETKIT_BUS_URL"],
        services=ALL - {ServiceName.PAYMENTS},
    )
    market = Marketplace(config=config)
    wire = Wire(first.host, first.port, connections=8)
    endpoint = None
    try:
        async with market:
            await run_sync(first.start)
            if webhooks:
                url = f"http://{first.host}:{first.port}/api/payments/webhooks/stripe"
                endpoint = await run_sync(stripe.control.add_endpoint, url)
            async with open_storage(f"sqlite:///{file}", Context()) as storage, anyio.create_task_group() as group:
                apart = Apart(market, stripe, storage, wire, armed)
                group.start_soon(_revive, apart, first, second)
                yield apart
                group.cancel_scope.cancel()
    finally:
        wire.close()
        first.kill()
        second.kill()
        if endpoint is not None:
            stripe.control.remove_endpoint(endpoint)


async def _revive(apart: Apart, first: Process, second: Process) -> None:
    while first._alive().poll() is None:  # noqa: ASYNC110 - nobody tells
        await anyio.sleep(0.05)
    apart.died = True
    await run_sync(second.start)
