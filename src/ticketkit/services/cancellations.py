"""Cancelling a live event: what is undone in the inventory, and how payments comes to give everybody's money back.

1. The live event is cancelled in one commit. From then on nothing of it can be listed, ordered, or pinned by a charge.
2. Its tickets lead to its orders. Each order is decided in a commit of its own (`ticketkit.domain.orders.void`): an
   open one is cancelled, a paid one loses the tickets, and says so with `order.updated`; its tickets are withdrawn.
3. An order that was pinned by a charge before 1 is left to its payment: the commit that completes it voids it, too.
4. Tickets for sale are withdrawn, some hundred a commit.
5. Payments hears of each order, and begins its refund in the commit that keeps the news (`refunds.order_heard`). News
   are kept once, and a charge counts what it gives back: no refund is lost, none comes twice, none is too much.
6. What is done is no longer found: a walk that broke off, anywhere, is taken up by another one. Every process of orders
   walks through what it does not know to be over: when it hears of a cancelled live event, at its start, once a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.storage import TicketQuery, TicketSort
from ticketkit.domain import orders, tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.drafting import without
from ticketkit.domain.entities import LiveEvent, Order, OrderStatus, Ticket, TicketStatus
from ticketkit.domain.money import Money, total

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence

    from ticketkit.backends.storage import Storage
    from ticketkit.services.commands import Commands

Step: TypeAlias = Callable[[int, int], None]
"""Told how much is done, and of how much."""

PAGE: Final = 1_000
"""Tickets of one page."""
BATCH: Final = 250
"""Tickets withdrawn in one commit, and orders read at once."""
AT_ONCE: Final = 64
"""Orders decided at once."""
ON_THE_MARKET: Final = (TicketStatus.SOLD, TicketStatus.LOCKED, TicketStatus.AVAILABLE)
"""In this order nothing slips through: of a cancelled live event no ticket is sold or locked any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What cancelling a live event does, or did.

    Attributes:
        live_event: As it is.
        for_sale: Tickets that nobody has ordered: they are withdrawn.
        open_orders: Orders that nobody pays yet: they are cancelled, and nobody is charged.
        being_paid: Orders whose payment decides in a moment: what is taken for them is given back.
        to_refund: Paid orders.
        amounts: What they cost, fees and taxes with it, one sum a currency. What was given back before is in it, and is
            not given back again.
    """

    live_event: LiveEvent
    for_sale: int = 0
    open_orders: int = 0
    being_paid: int = 0
    to_refund: int = 0
    amounts: tuple[Money, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, but what payments does."""
        return not (self.for_sale or self.open_orders or self.being_paid or self.to_refund)


class _Count:
    """Counts what a cancellation does."""

    def __init__(self, event: LiveEvent) -> None:
        self.event = event
        self.for_sale = 0
        self._orders: Counter[OrderStatus] = Counter()
        self._amounts: dict[str, list[Money]] = {}

    def add(self, order: Order, status: OrderStatus) -> None:
        """Count an order as it was before; `status` is what became of it."""
        self._orders[status] += 1
        if status is OrderStatus.COMPLETED:
            currency = order.total.currency
            left = sum(line.amount.minor for line in without(order, {self.event.id}))
            self._amounts.setdefault(currency, []).append(Money(order.total.minor - left, currency))

    def result(self) -> Cancellation:
        """What was counted."""
        return Cancellation(
            live_event=self.event,
            for_sale=self.for_sale,
            open_orders=self._orders[OrderStatus.CREATED] + self._orders[OrderStatus.CANCELLED],
            being_paid=self._orders[OrderStatus.AWAITING_PAYMENT],
            to_refund=self._orders[OrderStatus.COMPLETED],
            amounts=tuple(total(amounts) for _, amounts in sorted(self._amounts.items())),
        )


class Cancelling:
    """Looks for what is left of a live event on the market, and undoes it.

    Args:
        storage: Of the inventory boundary.
        commands: Makes commands.
    """

    def __init__(self, storage: Storage, commands: Commands) -> None:
        self._storage, self._commands = storage, commands

    async def survey(self, event: LiveEvent) -> Cancellation:
        """What there is to do; writes nothing."""
        count = _Count(event)
        async for found in self._orders(event.id):
            for order in found:
                count.add(order, order.status)
        async for page in self._tickets(event.id, TicketStatus.AVAILABLE):
            count.for_sale += len(page)
        return count.result()

    async def undo(
        self, event: LiveEvent, *, actor: str | None, on_step: Step = lambda _done, _of: None
    ) -> Cancellation:
        """Void the orders of a cancelled live event, then withdraw what is for sale.

        Returns:
            What was done, and how many orders are being paid still.

        Raises:
            Unavailable, OutcomeUnknown: The storage can't be reached; what was done stays done.
        """
        count, done, of = _Count(event), 0, 0

        async def one(order: Order) -> None:
            nonlocal done
            count.add(order, (await self._void(order, actor)).status)
            done += 1
            on_step(done, of)

        async for found in self._orders(event.id):
            of += len(found)
            await _together(partial(one, order) for order in found)
        async for page in self._tickets(event.id, TicketStatus.AVAILABLE):
            of += len(page)
            for batch in _batches([ticket.id for ticket in page]):
                count.for_sale += await self._withdraw(batch, actor)
                done += len(batch)
                on_step(done, of)
        return count.result()

    async def over(self, event: LiveEvent) -> bool:
        """Whether nothing of a cancelled live event is on the market any more; then it stays so."""
        for status in ON_THE_MARKET:
            query = TicketQuery(event_id=event.id, status=status, sort=TicketSort.OLDEST, limit=1)
            if (await self._storage.find_tickets(query)).items:
                return False
        return True

    async def _tickets(self, event_id: str, status: TicketStatus) -> AsyncIterator[tuple[Ticket, ...]]:
        cursor = None
        while True:
            query = TicketQuery(event_id=event_id, status=status, sort=TicketSort.OLDEST, limit=PAGE, cursor=cursor)
            page = await self._storage.find_tickets(query)
            yield page.items
            if (cursor := page.next) is None:
                return

    async def _orders(self, event_id: str) -> AsyncIterator[list[Order]]:
        """The orders that have tickets of a live event, some at a time, each once."""
        seen: set[str] = set()
        for status in (TicketStatus.LOCKED, TicketStatus.SOLD):
            async for page in self._tickets(event_id, status):
                new = dict.fromkeys(one.order_id for one in page if one.order_id and one.order_id not in seen)
                seen.update(new)
                for ids in _batches(list(new)):
                    found = await self._storage.get(map(Order.key, ids))
                    yield [one for one in found.values() if isinstance(one, Order) and _has_tickets(one)]

    async def _void(self, order: Order, actor: str | None) -> Order:
        command = self._commands.ask("operations.void", actor=actor)
        answer = await self._storage.decide(
            Keys.of(Order.key(order.id)), lambda state: orders.void(state, order.id), command
        )
        return answer.one(Order)

    async def _withdraw(self, ticket_ids: Sequence[str], actor: str | None) -> int:
        command = self._commands.ask("operations.take_off", actor=actor)
        answer = await self._storage.decide(
            Keys.of(*map(Ticket.key, ticket_ids)), lambda state: tickets.take_off(state, ticket_ids), command
        )
        return len(answer.every(Ticket))


def _has_tickets(order: Order) -> bool:
    return order.status is not OrderStatus.CANCELLED and not order.released


def _batches(ids: list[str]) -> Iterator[list[str]]:
    return (ids[begin : begin + BATCH] for begin in range(0, len(ids), BATCH))


async def _together(work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do all, some at once; the first error is raised when the others are done."""
    limiter = anyio.CapacityLimiter(AT_ONCE)
    errors: list[Exception] = []

    async def one(work: Callable[[], Awaitable[None]]) -> None:
        async with limiter:
            try:
                if not errors:
                    await work()
            except (Unavailable, OutcomeUnknown) as error:  # here: a task group would wrap it
                errors.append(error)

    async with anyio.create_task_group() as group:
        for each in work:
            group.start_soon(one, each)
    if errors:
        raise errors[0]
