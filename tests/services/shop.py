"""A marketplace on a virtual clock, and the people in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from ticketkit.domain.entities import Charge, Order, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.services.catalogue import Boundary

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ticketkit.backends.payments import ProviderCharge
    from ticketkit.backends.storage import Storage
    from ticketkit.domain.entities import Refund
    from ticketkit.marketplace import Marketplace
    from ticketkit.memory import FakePayments, VirtualClock

T = TypeVar("T")


async def patiently(clock: VirtualClock, work: Awaitable[T], *, step: float = 0.25, within: float = 120) -> T:
    """What a call answers or raises, while the virtual time goes by."""
    answers: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        try:
            answers.append(await work)
        except Exception as error:  # noqa: BLE001 - raised below, outside of the task group
            errors.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await clock.settle()
        waited = 0.0
        while not answers and not errors:
            assert waited < within, f"there was no answer within {within} s"
            await clock.advance(seconds=step)
            waited += step
    if errors:
        raise errors[0]
    return answers[0]


class Shop:
    """A running marketplace whose people are patient."""

    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self.clock: VirtualClock = market.clock

    @property
    def provider(self) -> FakePayments:
        return cast("FakePayments", self.market.runtime.backends.provider)

    @property
    def inventory(self) -> Storage:
        return self.market.runtime.storage(Boundary.INVENTORY)

    @property
    def payments(self) -> Storage:
        return self.market.runtime.storage(Boundary.PAYMENTS)

    async def tickets(
        self, *prices: str, seller: str = "seller", event_id: str | None = None, currency: str = "USD"
    ) -> tuple[Ticket, ...]:
        listings = [
            Listing(title="A seat", price=Money.parse(price, currency), event_id=event_id)
            for price in prices or ("25",)
        ]
        return await self.market.tickets.list(seller, listings)

    async def order(self, *prices: str, buyer: str = "buyer") -> Order:
        """An order of new tickets, of which payments has heard."""
        tickets = await self.tickets(*prices)
        placed = await self.market.orders.place(buyer, [ticket.id for ticket in tickets])
        await self.clock.settle()
        return placed.order

    async def pay(self, order: Order, token: str | None = "tok_visa", **options: Any) -> Charge:  # noqa: S107 a test token
        """Pay as the buyer of an order does; options: `key`, `buyer`."""
        buyer, key = options.get("buyer", order.buyer_id), options.get("key")
        return await patiently(
            self.clock, self.market.payments.pay(buyer, order.id, token=token, command_key=key), within=60
        )

    async def refund(self, charge: Charge, amount: str | None = None, *, key: str | None = None) -> Refund:
        money = None if amount is None else Money.parse(amount, charge.amount.currency)
        return await patiently(
            self.clock, self.market.payments.refund(charge.id, actor="seller", amount=money, command_key=key)
        )

    async def order_now(self, order: Order) -> Order:
        return (await self.market.orders.get(order.buyer_id, order.id)).order

    async def charge_now(self, charge: Charge) -> Charge:
        return (await self.market.payments.get(charge.buyer_id, charge.id))[0]

    async def charges(self, order: Order) -> list[Charge]:
        """All charges of an order, oldest first."""
        found = (await self.payments.scan("charge")).items
        return [charge for charge in found if isinstance(charge, Charge) and charge.order_id == order.id]

    async def tickets_now(self, order: Order) -> list[Ticket]:
        found = await self.inventory.get(Ticket.key(id) for id in order.ticket_ids)
        return [ticket for ticket in found.values() if isinstance(ticket, Ticket)]

    def booked(self, charge: Charge) -> ProviderCharge:
        """What the provider's books say of a charge; it is there once."""
        [found] = [booked for booked in self.provider.books().charges if booked.charge_id == charge.id]
        return found
