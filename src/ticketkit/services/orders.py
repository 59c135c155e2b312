"""orders: locks tickets for buyers, and decides what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ticketkit.backends.storage import Answer
from ticketkit.domain import orders, settlement, tickets
from ticketkit.domain.decision import Changes, Command, Keys, Need, State
from ticketkit.domain.entities import CancelReason, ChargeStatus, Line, LiveEvent, Order, OrderStatus, Ticket
from ticketkit.domain.errors import NotFound, OrderClosed
from ticketkit.domain.money import Money
from ticketkit.domain.policy import OnDecline, OnRefund, Policy
from ticketkit.domain.settlement import ChargeNews
from ticketkit.events.catalogue import ChargeState, OrderExpirationDue
from ticketkit.plugins.rules import FactsOutOfDate
from ticketkit.services.passes import Passes, PassKeys

if TYPE_CHECKING:
    from ticketkit.backends.storage import Page, Storage
    from ticketkit.events.envelope import Event
    from ticketkit.plugins import Plugins, Rule
    from ticketkit.services.commands import Commands

CONSUMER: Final = "orders"
SWEEP: Final = 500
TRIES: Final = 5
"""How often an order is decided whose rules find their facts out of date."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order with the tickets that it is about."""

    order: Order
    tickets: tuple[Ticket, ...]


Statements: TypeAlias = Sequence[object] | Callable[[Placed], Sequence[object]]
"""Statements of the app, or what makes them of the order that is placed."""


class Orders:
    """Places, changes, cancels and shows orders; hears of charges and of expiry.

    Args:
        storage: Of the inventory boundary.
        commands: Makes commands.
        plugins: Their policies and rules.
        policy: The default.
        passes: Makes and reads what is shown at the door.
    """

    def __init__(
        self, storage: Storage, commands: Commands, *, plugins: Plugins, policy: Policy, passes: Passes | None = None
    ) -> None:
        self._storage, self._commands = storage, commands
        self._plugins, self._policy = plugins, policy
        self._passes = passes or Passes(PassKeys.fresh())

    async def place(
        self,
        buyer_id: str,
        ticket_ids: Sequence[str],
        *,
        command_key: str | None = None,
        also: Statements = (),
        within: object | None = None,
    ) -> Placed:
        """Lock tickets for a buyer, all or none; see `ticketkit.domain.orders.place`.

        Args:
            buyer_id: For whom.
            ticket_ids: Each once.
            command_key: The same key has one effect and one answer.
            also: Statements of the app for the same commit, of the storage's kind (SQLAlchemy's, with `ticketkit-sql`);
                or a pure function that makes them of what is placed, so that they can name the order. It runs inside
                the decision, perhaps several times, and before the order has a version.
            within: A connection in a transaction of the app, which the order joins: it is placed when the app commits.

        Raises:
            CapabilityNotSupported: `also` or `within`, and the storage has not the capability `own_tables`.
        """
        policy = await self._resolve(ticket_ids)
        lines = self._pricing(buyer_id, policy)
        command = self._commands.ask("orders.place", actor=buyer_id, key=command_key, request=list(ticket_ids), fresh=1)
        keys = Keys.of(*(Ticket.key(id) for id in ticket_ids))
        tries = TRIES if within is None else 1  # an error leaves the app's transaction to be undone
        while True:
            judges = [(rule, await rule.gather(buyer_id, ticket_ids)) for rule in self._plugins.rules()]

            def decision(state: State, judges: Sequence[tuple[Rule, Any]] = judges) -> Changes | Need:
                changes = orders.place(
                    state, command, buyer_id=buyer_id, ticket_ids=ticket_ids, policy=policy, lines=lines
                )
                if isinstance(changes, Need):
                    return changes
                _judge(state, ticket_ids, judges)
                return replace(changes, also=_statements(also, changes)) if also else changes

            tries -= 1
            try:
                answer = await self._storage.decide(keys, decision, command, within=within)
            except FactsOutOfDate:
                if not tries:
                    raise
            else:
                return Placed(answer.one(Order), answer.every(Ticket))

    async def keep(
        self, buyer_id: str, order_id: str, ticket_ids: Sequence[str], *, command_key: str | None = None
    ) -> Placed:
        """Drop all tickets but these; see `ticketkit.domain.orders.keep`."""
        command = self._commands.ask("orders.keep", actor=buyer_id, key=command_key, request=[order_id, *ticket_ids])
        answer = await self._storage.decide(
            Keys.of(Order.key(order_id)),
            lambda state: orders.keep(state, order_id, buyer_id=buyer_id, ticket_ids=ticket_ids),
            command,
        )
        return Placed(answer.one(Order), answer.every(Ticket))

    async def cancel(self, buyer_id: str, order_id: str) -> Order:
        """Cancel an order as its buyer; see `ticketkit.domain.orders.cancel`."""
        command = self._commands.ask("orders.cancel", actor=buyer_id)
        answer = await self._storage.decide(
            Keys.of(Order.key(order_id)),
            lambda state: orders.cancel(state, order_id, buyer_id=buyer_id),
            command,
        )
        return answer.one(Order)

    async def prolong(self, buyer_id: str, order_id: str, *, command_key: str | None = None) -> Placed:
        """Give a buyer more time; see `ticketkit.domain.orders.prolong`."""
        command = self._commands.ask("orders.prolong", actor=buyer_id, key=command_key, request=[order_id])
        answer = await self._storage.decide(
            Keys.of(Order.key(order_id)),
            lambda state: orders.prolong(state, order_id, buyer_id=buyer_id),
            command,
        )
        return (await self._with_tickets([answer.one(Order)]))[0]

    async def call_off(self, order_id: str, *, actor: str | None, reason: CancelReason) -> Order:
        """Cancel an order that nobody pays yet, as an operator; see `ticketkit.domain.orders.call_off`."""
        command = self._commands.ask("orders.call_off", actor=actor)
        answer = await self._storage.decide(
            Keys.of(Order.key(order_id)), lambda state: orders.call_off(state, order_id, reason=reason), command
        )
        return answer.one(Order)

    async def passes(self, buyer_id: str, order_id: str) -> dict[str, str]:
        """The passes of a paid order, by ticket id: what its buyer shows at the door.

        Raises:
            NotFound: There is no such order of this buyer.
            OrderClosed: It is not paid, or was given back.
        """
        order = (await self.get(buyer_id, order_id)).order
        if order.status is not OrderStatus.COMPLETED or order.released:
            msg = "Only a paid order has passes."
            code = "order_refunded" if order.released else "order_not_completed"
            raise OrderClosed(msg, code=code, order_id=order_id, status=order.status.value)
        return {id: self._passes.mint(id, order_id) for id in order.ticket_ids}

    async def admit(self, by: str | None, text: str) -> Ticket:
        """Let the holder of a pass in, once; see `ticketkit.domain.tickets.admit`.

        Args:
            by: Who stands at the door; None for an operator.
            text: The pass.

        Raises:
            InvalidInput: It is no pass of this marketplace.
        """
        shown = self._passes.read(text)
        command = self._commands.ask("orders.admit", actor=by)
        answer = await self._storage.decide(
            Keys.of(Ticket.key(shown.ticket_id)),
            lambda state: tickets.admit(state, shown.ticket_id, order_id=shown.order_id, by=by),
            command,
        )
        return answer.one(Ticket)

    async def get(self, buyer_id: str, order_id: str) -> Placed:
        """A buyer's own order.

        Raises:
            NotFound: There is no such order of this buyer.
        """
        found = (await self._storage.get([Order.key(order_id)])).get(Order.key(order_id))
        if not isinstance(found, Order) or found.buyer_id != buyer_id:
            msg = f"There is no order {order_id}."
            raise NotFound(msg, code="order_not_found", order_id=order_id)
        return (await self._with_tickets([found]))[0]

    async def mine(
        self, buyer_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Placed], str | None]:
        """A page of a buyer's orders with their tickets, newest first, and the next cursor."""
        page: Page[Order] = await self._storage.find_orders(buyer_id, limit=limit, cursor=cursor)
        return await self._with_tickets(page.items), page.next

    async def handle_charge(self, event: Event[ChargeState]) -> None:
        """React to `charge.*`; see `ticketkit.domain.settlement.charge_heard`."""
        data = event.data
        news = ChargeNews(
            id=data.id,
            order_id=data.order_id,
            version=data.version,
            status=ChargeStatus(data.status),
            amount=Money(data.amount.minor, data.amount.currency),
            declined=data.declined,
            given_back=data.refunded.minor if data.refunded else 0,
        )
        await self._storage.decide(
            Keys.of(Order.key(data.order_id)),
            lambda state: settlement.charge_heard(state, news),
            self._commands.handle(CONSUMER, event.envelope),
        )

    async def handle_expiration(self, event: Event[OrderExpirationDue]) -> None:
        """React to `order.expiration_due`: a signal; whether the order has expired is decided here."""
        order_id = event.data.id
        command = self._commands.handle(CONSUMER, event.envelope)
        await self._storage.decide(Keys.of(Order.key(order_id)), lambda state: orders.expire(state, order_id), command)

    async def sweep(self) -> int:
        """Cancel all orders whose lock is past its time, by orders' own index: the truth about expiry."""
        due = await self._storage.due_orders(SWEEP)
        for order_id in due:
            command = self._commands.ask("orders.sweep", actor=None)
            await self._expire(order_id, command)
        return len(due)

    async def _expire(self, order_id: str, command: Command) -> None:
        await self._storage.decide(Keys.of(Order.key(order_id)), lambda state: orders.expire(state, order_id), command)

    def _pricing(self, buyer_id: str, policy: Policy) -> orders.Pricing | Sequence[Line]:
        if not self._plugins.has_prices:
            return ()

        def pricing(state: State, tickets: Sequence[Ticket]) -> Sequence[Line]:
            ids = {ticket.event_id for ticket in tickets if ticket.event_id is not None}
            return self._plugins.prices(
                buyer_id=buyer_id,
                tickets=tuple(tickets),
                live_events={id: state.require(LiveEvent, id) for id in ids},
                policy=policy,
            )

        return pricing

    async def _resolve(self, ticket_ids: Sequence[str]) -> Policy:
        if not self._plugins.has_policies:
            return self._policy
        found = await self._storage.get([Ticket.key(id) for id in ticket_ids])
        event_ids = {ticket.event_id for ticket in found.values() if isinstance(ticket, Ticket)}
        events: dict[str, Any] = {
            key.id: event
            for key, event in (await self._storage.get([LiveEvent.key(id) for id in event_ids if id])).items()
        }
        return strictest(
            [self._plugins.policy(events.get(id) if id else None, self._policy) for id in event_ids] or [self._policy]
        )

    async def _with_tickets(self, found: Sequence[Order]) -> list[Placed]:
        tickets = await self._storage.get(Ticket.key(id) for order in found for id in order.ticket_ids)
        return [
            Placed(order, tuple(t for id in order.ticket_ids if isinstance(t := tickets.get(Ticket.key(id)), Ticket)))
            for order in found
        ]


def _judge(state: State, ticket_ids: Sequence[str], judges: Sequence[tuple[Rule, Any]]) -> None:
    wanted = tuple(state.require(Ticket, id) for id in ticket_ids) if judges else ()
    for rule, facts in judges:
        rule.judge(state, wanted, facts)


def _statements(also: Statements, changes: Changes) -> tuple[object, ...]:
    if not callable(also):
        return tuple(also)
    answer = Answer(changes.answer)
    return tuple(also(Placed(answer.one(Order), answer.every(Ticket))))


def strictest(policies: Sequence[Policy]) -> Policy:
    """One policy for an order with tickets of several live events: the strictest of each rule."""
    first = policies[0]
    if len(policies) == 1:
        return first
    return replace(
        first,
        hold=min(policy.hold for policy in policies),
        payment_grace=min(policy.payment_grace for policy in policies),
        payment_window=min(policy.payment_window for policy in policies),
        extension=min(policy.extension for policy in policies),
        extensions=min(policy.extensions for policy in policies),
        longest_hold=min(policy.longest_hold for policy in policies),
        tickets_per_order=min(policy.tickets_per_order for policy in policies),
        tickets_on_hold=min(policy.tickets_on_hold for policy in policies),
        own_tickets=all(policy.own_tickets for policy in policies),
        on_decline=OnDecline.CANCEL
        if any(policy.on_decline is OnDecline.CANCEL for policy in policies)
        else OnDecline.KEEP,
        on_refund=OnRefund.KEEP if any(policy.on_refund is OnRefund.KEEP for policy in policies) else OnRefund.RELEASE,
    )
