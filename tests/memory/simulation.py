"""A town of buyers and sellers on the virtual clock, where things go wrong; a seed makes the same hours again."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
from tests.services.books import check, every
from tests.services.stage import Stage

from ticketkit.backends.payments import ProviderStatus
from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import CancelReason, Charge, ChargeStatus, Order, OrderStatus
from ticketkit.domain.errors import DomainError, TicketkitError
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline, OnRefund, Policy
from ticketkit.domain.tickets import Listing
from ticketkit.events.catalogue import OrderCancelled, TicketReleased, TicketSold
from ticketkit.marketplace import Marketplace
from ticketkit.memory.faults import Operation
from ticketkit.runtime.config import TRADE, Config
from ticketkit.services.catalogue import Boundary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.events.envelope import Event

TOKENS = {
    "tok_visa": 12,
    "tok_chargeDeclined": 2,
    "tok_chargeDeclinedInsufficientFunds": 1,
    "tok_threeDSecure": 4,
    "tok_pending": 3,
    "tok_taken": 2,
    "tok_taken_threeDSecure": 1,
    "tok_taken_pending": 1,
}


@dataclass
class Told:
    """What clients were told; whatever happens, it has to be true in the end."""

    paid: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    sales: dict[str, dict[int, str | None]] = field(default_factory=lambda: defaultdict(dict))
    """Of each ticket, by its version: the order that it was sold to, or None when it was for sale again."""
    early: list[str] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    trace: Any = field(default_factory=hashlib.sha256)

    def note(self, *words: object) -> None:
        self.trace.update(" ".join(map(str, words)).encode() + b"\n")

    def sold_to(self) -> dict[str, set[str]]:
        """Which orders each ticket was sold to, each after the one before had given it back."""
        found: dict[str, set[str]] = {}
        for id, sales in self.sales.items():
            told = [sales[version] for version in sorted(sales)]
            assert all((one is None) != (next_one is None) for one, next_one in pairwise(told)), f"{id} is sold twice"
            found[id] = {order_id for order_id in told if order_id is not None}
        return found

    def refused(self, error: TicketkitError) -> None:
        code = error.code if isinstance(error, DomainError) else type(error).__name__
        self.refusals[code] = self.refusals.get(code, 0) + 1
        self.note("refused", code)


class Town:
    """Runs for some hours, then heals, then everything has to agree.

    Args:
        seed: The same seed, the same hours.
        hours: Of trouble.
        buyers: How many.
    """

    def __init__(self, seed: int, *, hours: float = 2, buyers: int = 8) -> None:
        self.seed, self.hours, self.buyers = seed, hours, buyers
        self.chance = random.Random(seed)
        self.ids = random.Random(seed + 1)
        self.stage = Stage(self.new_id)
        self.clock, self.provider = self.stage.clock, self.stage.provider
        self.told = Told()
        self.between = "stage:bus" if seed % 2 else "memory:"
        self.apart = seed % 3 == 0
        self.policy = Policy(
            on_decline=OnDecline.KEEP if seed % 5 == 0 else OnDecline.CANCEL,
            on_refund=OnRefund.KEEP if seed % 3 == 0 else OnRefund.RELEASE,
        )
        self.market: Marketplace | None = None
        self.crash = anyio.Event()
        self.crashes = 0

    def new_id(self) -> str:
        """A UUIDv7 of the virtual time."""
        time = int(self.clock.now().timestamp() * 1000)
        return str(
            UUID(int=time << 80 | 0x7 << 76 | self.ids.getrandbits(12) << 64 | 0b10 << 62 | self.ids.getrandbits(62))
        )

    async def run(self) -> Told:
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_open)
            await self.clock.settle()
            await self._list(60)
            async with anyio.create_task_group() as people:
                for number in range(self.buyers):
                    people.start_soon(self._forever, self._buy, f"buyer {number}", 90)
                people.start_soon(self._forever, self._sell, "seller", 600)
                people.start_soon(self._forever, self._trouble, "trouble", 240)
                await self.clock.advance(hours=self.hours)
                people.cancel_scope.cancel()
            await self._heal()
            await self._verify()
            group.cancel_scope.cancel()
        return self.told

    # --- the marketplace, opened again after each crash ---------------------------------------------------------------

    async def _keep_open(self) -> None:
        while True:
            market = self._make()
            async with market:
                self.market = market
                await self.crash.wait()
                self.market = None
            self.crash = anyio.Event()
            self.crashes += 1

    def _make(self) -> Marketplace:
        config = Config(
            storage="stage:inventory",
            payment_storage="stage:payments" if self.apart else "stage:inventory",
            bus=self.between,
            timers="stage:timers" if self.chance.random() < 0.7 else "memory:",
            provider="stage:",
            services=TRADE,
            policy=self.policy,
            drain=0,
            clock=self.clock,
            new_id=self.new_id,
        )
        market = Marketplace(config=config, plugins=[self.stage])

        @market.on(OrderCancelled, consumer="watch")
        async def expired(event: Event[OrderCancelled]) -> None:
            if event.data.reason is CancelReason.EXPIRED and event.envelope.time < event.data.expires_at:
                self.told.early.append(event.data.id)

        @market.on(TicketSold, consumer="sales")
        async def sold(event: Event[TicketSold]) -> None:
            self.told.sales[event.data.id][event.data.version] = str(event.data.order_id)

        @market.on(TicketReleased, consumer="released")
        async def released(event: Event[TicketReleased]) -> None:
            self.told.sales[event.data.id][event.data.version] = None

        return market

    @property
    def open(self) -> Marketplace:
        if self.market is None:
            raise TicketkitError
        return self.market

    # --- people -------------------------------------------------------------------------------------------------------

    async def _forever(self, act: Callable[[str], Awaitable[None]], name: str, every_seconds: float) -> None:
        while True:
            await self.clock.sleep(self.chance.expovariate(1 / every_seconds))
            try:
                await act(name)
            except TicketkitError as error:
                self.told.refused(error)

    async def _sell(self, name: str) -> None:
        await self._list(self.chance.randint(1, 10))

    async def _list(self, number: int) -> None:
        listings = [Listing(title="A seat", price=Money(self.chance.randint(100, 9999), "USD")) for _ in range(number)]
        await self.open.tickets.list("seller", listings)

    async def _buy(self, name: str) -> None:
        chance, market = self.chance, self.open
        # Everybody wants the same cheap ones.
        tickets = (await market.tickets.find(TicketQuery(limit=12))).items
        wanted = [ticket.id for ticket in chance.sample(tickets, min(len(tickets), chance.randint(1, 3)))]
        order = (await market.orders.place(name, wanted, command_key=chance.choice([None, self.new_id()]))).order
        self.told.note(self.clock.now(), name, "ordered", order.id)
        await self.clock.sleep(chance.choice([0, 1, 30, 600, 880, 899, 900, 930]))
        act = chance.choices(["pay", "walk away", "cancel", "drop"], [10, 3, 2, 2])[0]
        if act == "cancel":
            await self.open.orders.cancel(name, order.id)
        elif act == "drop":
            await self.open.orders.keep(name, order.id, order.ticket_ids[:1])
        if act in ("pay", "drop"):
            await self._pay(name, order)

    async def _pay(self, name: str, order: Order) -> None:
        chance = self.chance
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            token = chance.choices(list(TOKENS), list(TOKENS.values()))[0]
            tabs = chance.choice([1, 1, 1, 2])
            key = chance.choice([None, self.new_id()])
            async with anyio.create_task_group() as group:
                for _ in range(tabs):
                    group.start_soon(self._tab, name, order, token, key)
                if chance.random() < 0.1:
                    await self.clock.sleep(chance.random() * 5)
                    group.start_soon(self._change_mind, name, order)
            await self.clock.sleep(chance.choice([0, 5, 60]))

    async def _change_mind(self, name: str, order: Order) -> None:
        try:
            await self.open.orders.cancel(name, order.id)
        except TicketkitError as error:
            self.told.refused(error)

    async def _tab(self, name: str, order: Order, token: str, key: str | None) -> None:
        try:
            charge = await self.open.payments.pay(name, order.id, token=token, command_key=key)
            self.told.note(self.clock.now(), name, "paid", charge.id, charge.status.value, charge.code)
            if charge.status is ChargeStatus.COMPLETED:
                self.told.paid.add(order.id)
                await self._give_back(charge)
            elif charge.declined:
                self.told.declined.add(charge.id)
            elif charge.reference is not None:
                await self._act(charge)
        except TicketkitError as error:
            self.told.refused(error)

    async def _act(self, charge: Charge) -> None:
        await self.clock.sleep(self.chance.choice([1, 20, 200, 400, 1200]))
        approved = self.chance.random() < 0.7
        if self.chance.random() < 0.8:
            await self.provider.resolve(str(charge.reference), authorized=approved)

    async def _give_back(self, charge: Charge) -> None:
        if self.chance.random() < 0.1:
            minor = self.chance.randint(1, charge.amount.minor)
            part = self.chance.choice([None, Money(minor, "USD")])
            for _ in range(self.chance.choice([1, 2])):
                await self.open.payments.refund(charge.id, actor="seller", amount=part)

    # --- trouble ------------------------------------------------------------------------------------------------------

    async def _trouble(self, name: str) -> None:
        chance, faults = self.chance, self.provider.faults
        what = chance.choice(["away", "slow", "lost", "declined", "webhooks", "backend", "answer", "crash"])
        self.told.note(self.clock.now(), "trouble", what)
        for_seconds = chance.choice([1, 10, 60, 300])
        match what:
            case "away":
                faults.unavailable()
                await self.clock.sleep(for_seconds)
                faults.available()
            case "slow":
                faults.slow(chance.choice([0.5, 4, 20]))
                await self.clock.sleep(for_seconds)
                faults.slow(0)
            case "lost":
                faults.time_out_after_effect(chance.choice(list(Operation)), times=chance.randint(1, 3))
            case "declined":
                faults.decline(chance.choice([Operation.PREPARE, Operation.AUTHORIZE, Operation.CAPTURE]))
            case "webhooks":
                faults.webhooks(chance.choice(["once", "twice", "late", "never"]), seconds=chance.choice([5, 500]))
            case "backend":
                backends = [*self.stage.storages.values(), *self.stage.buses.values()]
                backend = chance.choice(backends)
                backend.goes()
                await self.clock.sleep(for_seconds)
                backend.comes_back()
            case "answer":
                storage = chance.choice(list(self.stage.storages.values()))
                storage.lose_at = storage.commits + chance.randint(1, 5)
            case "crash":
                self.crash.set()

    async def _heal(self) -> None:
        faults = self.provider.faults
        faults.available()
        faults.slow(0)
        faults._lost.clear()
        faults._refused.clear()
        for backend in [*self.stage.storages.values(), *self.stage.buses.values()]:
            backend.comes_back()
        await self.clock.advance(minutes=45)

    async def _verify(self) -> None:
        market = self.open
        inventory, payments = (market.runtime.storage(b) for b in (Boundary.INVENTORY, Boundary.PAYMENTS))
        books = self.provider.books()
        await check(inventory, payments, books)
        orders, charges = await every(inventory, Order), await every(payments, Charge)
        assert self.told.early == [], "a lock ended before its time"
        for order_id in self.told.paid:
            assert orders[order_id].status is OrderStatus.COMPLETED, "who was told that it is paid has it"
        captured = {booked.charge_id for booked in books.charges if booked.status is ProviderStatus.CAPTURED}
        assert not captured & self.told.declined, "who was told that it is declined was not charged"
        assert all(order.status.final for order in orders.values())
        sold: dict[str, set[str]] = defaultdict(set)
        for order in orders.values():
            if order.status is OrderStatus.COMPLETED:
                for id in order.ticket_ids:
                    sold[id].add(order.id)
        assert self.told.sold_to() == sold, "each sale was told"
        for bus in self.stage.buses.values():
            assert await bus.inner.dead_letters(10) == []
        self.told.note(len(orders), len(charges), len(captured), self.crashes)
