"""tickets: live events and the tickets that sellers list for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ticketkit.domain import live_events, tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import LiveEvent, Order, Ticket, TicketStatus
from ticketkit.domain.errors import InvalidInput, NotFound
from ticketkit.services.importing import Imported, import_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from ticketkit.backends.storage import Page, Storage, TicketQuery
    from ticketkit.domain.money import Money
    from ticketkit.domain.tickets import Listing
    from ticketkit.services.commands import Commands
    from ticketkit.services.listings_csv import Catalogue

BATCH = 1_000
"""Most tickets in one batch."""


class Tickets:
    """Lists, edits, withdraws and finds tickets; announces live events.

    Args:
        storage: Of the inventory boundary.
        commands: Makes commands.
    """

    def __init__(self, storage: Storage, commands: Commands) -> None:
        self._storage, self._commands = storage, commands

    async def announce(
        self,
        owner_id: str,
        *,
        name: str,
        venue: str,
        starts_at: datetime,
        zone: str = "UTC",
        on_sale_at: datetime | None = None,
        extra: Mapping[str, Any] | None = None,
        command_key: str | None = None,
    ) -> LiveEvent:
        """Announce a live event; see `ticketkit.domain.live_events.announce`."""
        request = [name, venue, starts_at, zone, on_sale_at, extra]
        command = self._commands.ask("tickets.announce", actor=owner_id, key=command_key, request=request, fresh=1)
        answer = await self._storage.decide(
            Keys(),
            lambda state: live_events.announce(
                state,
                command,
                owner_id=owner_id,
                name=name,
                venue=venue,
                starts_at=starts_at,
                zone=zone,
                on_sale_at=on_sale_at,
                extra=extra,
            ),
            command,
        )
        return answer.one(LiveEvent)

    async def call_off(self, event_id: str, *, owner_id: str | None) -> LiveEvent:
        """Cancel a live event; see `ticketkit.domain.live_events.call_off`."""
        command = self._commands.ask("tickets.call_off", actor=owner_id)
        answer = await self._storage.decide(
            Keys.of(LiveEvent.key(event_id)),
            lambda state: live_events.call_off(state, event_id, owner_id=owner_id),
            command,
        )
        return answer.one(LiveEvent)

    async def pause(
        self, event_id: str, *, owner_id: str | None, paused: bool = True, actor: str | None = None
    ) -> LiveEvent:
        """Pause the sales of a live event, or resume them; see `ticketkit.domain.live_events.pause`.

        Args:
            event_id: Which one.
            owner_id: Who asks; None for an operator.
            paused: False to resume.
            actor: Which operator asks.
        """
        command = self._commands.ask("tickets.pause", actor=owner_id if actor is None else actor)
        answer = await self._storage.decide(
            Keys.of(LiveEvent.key(event_id)),
            lambda state: live_events.pause(state, event_id, owner_id=owner_id, paused=paused),
            command,
        )
        return answer.one(LiveEvent)

    async def live_event(self, event_id: str) -> LiveEvent:
        """A live event.

        Raises:
            NotFound: There is none.
        """
        found = (await self._storage.get([LiveEvent.key(event_id)])).get(LiveEvent.key(event_id))
        if not isinstance(found, LiveEvent):
            msg = f"There is no live event {event_id}."
            raise NotFound(msg, code="live_event_not_found", live_event_id=event_id)
        return found

    async def live_events(self, *, text: str = "", limit: int = 50, cursor: str | None = None) -> Page[LiveEvent]:
        """A page of live events."""
        return await self._storage.find_live_events(text=text, limit=limit, cursor=cursor)

    async def list(
        self, seller_id: str, listings: Sequence[Listing], *, command_key: str | None = None
    ) -> tuple[Ticket, ...]:
        """List 1 to 1,000 tickets, all or none.

        Raises:
            InvalidInput: None or too many, or a listing is out of bounds (`values["row"]`, from 0).
            NotFound: A live event does not exist.
        """
        if not 1 <= len(listings) <= BATCH:
            msg = f"A batch has 1 to {BATCH} tickets."
            raise InvalidInput(msg, code="batch_size", field="tickets", most=BATCH)
        return await self.import_all(seller_id, listings, command_key=command_key)

    async def import_all(
        self, seller_id: str, listings: Sequence[Listing], *, command_key: str | None = None
    ) -> tuple[Ticket, ...]:
        """`list` without a bound: one transaction, however long it takes."""
        request = [asdict(listing) for listing in listings] if command_key is not None else None
        command = self._commands.ask(
            "tickets.list", actor=seller_id, key=command_key, request=request, fresh=len(listings)
        )
        shared = {LiveEvent.key(listing.event_id) for listing in listings if listing.event_id is not None}
        answer = await self._storage.decide(
            Keys.of(shared=shared),
            lambda state: tickets.list_tickets(state, command, seller_id=seller_id, listings=listings),
            command,
        )
        return answer.every(Ticket)

    async def import_catalogue(self, seller_id: str, catalogue: Catalogue) -> Imported:
        """List a seller's file; see `ticketkit.services.importing.import_catalogue`."""
        return await import_catalogue(self._storage, self._commands, seller_id=seller_id, catalogue=catalogue)

    async def edit(
        self, seller_id: str, ticket_id: str, *, title: str, price: Money, command_key: str | None = None
    ) -> Ticket:
        """Change title and price; see `ticketkit.domain.tickets.edit`."""
        command = self._commands.ask(
            "tickets.edit", actor=seller_id, key=command_key, request=[ticket_id, title, str(price)]
        )
        answer = await self._storage.decide(
            Keys.of(Ticket.key(ticket_id)),
            lambda state: tickets.edit(state, ticket_id, seller_id=seller_id, title=title, price=price),
            command,
        )
        return answer.one(Ticket)

    async def withdraw(self, seller_id: str, ticket_id: str) -> Ticket:
        """Take a ticket off the market; see `ticketkit.domain.tickets.withdraw`."""
        command = self._commands.ask("tickets.withdraw", actor=seller_id)
        answer = await self._storage.decide(
            Keys.of(Ticket.key(ticket_id)),
            lambda state: tickets.withdraw(state, ticket_id, seller_id=seller_id),
            command,
        )
        return answer.one(Ticket)

    async def get(self, ticket_id: str) -> Ticket:
        """A ticket.

        Raises:
            NotFound: There is none.
        """
        found = (await self._storage.get([Ticket.key(ticket_id)])).get(Ticket.key(ticket_id))
        if not isinstance(found, Ticket):
            msg = f"There is no ticket {ticket_id}."
            raise NotFound(msg, code="ticket_not_found", ticket_id=ticket_id)
        return found

    async def locked_until(self, tickets: Iterable[Ticket]) -> dict[str, datetime]:
        """Until when those of the tickets that are locked are so, by ticket id."""
        locking = {ticket.id: ticket.order_id for ticket in tickets if ticket.status is TicketStatus.LOCKED}
        orders = await self._storage.get({Order.key(id) for id in locking.values() if id is not None})
        ends = {order.id: order.expires_at for order in orders.values() if isinstance(order, Order)}
        return {id: ends[order_id] for id, order_id in locking.items() if order_id in ends}

    async def find(self, query: TicketQuery) -> Page[Ticket]:
        """A page of tickets."""
        return await self._storage.find_tickets(query)
