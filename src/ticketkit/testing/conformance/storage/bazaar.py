"""What sellers, buyers and relays do, on any storage; and small decisions that only the kit needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ticketkit.domain import live_events, orders, tickets
from ticketkit.domain.decision import Changes, Command, Fact, Keys, State
from ticketkit.domain.entities import Entity, Holds, LiveEvent, Order, Ticket, key_of
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ticketkit.backends.storage import Answer, Claimed, Storage
    from ticketkit.events.envelope import Envelope

LEASE: Final = timedelta(minutes=1)
_MANY: Final = 1000


def command(**values: Any) -> Command:
    """A new command, with four fresh ids."""
    return Command(**{"id": new_id(), "fresh": tuple(new_id() for _ in range(4)), **values})


def write(*entities: Entity, facts: Sequence[Fact] = (), also: Sequence[Any] = ()) -> Any:
    """A decision that writes these, whatever was there."""

    def decision(_state: State) -> Changes:
        return Changes(put=entities, facts=tuple(facts), answer=entities, also=tuple(also))

    return decision


def count_up(*ids: str) -> Any:
    """A decision that counts each of these counters up by one. They are `Holds`; all are held."""

    def decision(state: State) -> Changes:
        counted = tuple(counted_up(state.get(Holds, id), id) for id in ids)
        return Changes(put=counted, answer=counted)

    return decision


def counted_up(found: Holds | None, id: str) -> Holds:
    """A counter, one higher."""
    return Holds(id=id, orders=(("kit", (found.count if found else 0) + 1),), version=found.version if found else 0)


class Bazaar:
    """A market on a storage.

    Args:
        storage: Open.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    async def announce(self, name: str = "Hamilton", **values: Any) -> LiveEvent:
        """Announce a live event that is far away."""
        given = command()
        starts_at = await self.storage.now() + timedelta(days=365)
        values = {"venue": "Hall", "starts_at": starts_at, **values}
        decision = partial(live_events.announce, command=given, owner_id="seller", name=name, **values)
        return (await self.storage.decide(Keys(), decision, given)).one(LiveEvent)

    async def offer(self, number: int = 1, **values: Any) -> tuple[Ticket, ...]:
        """List tickets of one seller at one price."""
        given = command(fresh=tuple(new_id() for _ in range(number)))
        seller_id = values.pop("seller_id", "seller")
        event_id = values.get("event_id")
        listings = [tickets.Listing(**{"title": "Seat", "price": Money(1000, "USD"), **values}) for _ in range(number)]
        decision = partial(tickets.list_tickets, command=given, seller_id=seller_id, listings=listings)
        reads = Keys.of(shared=[LiveEvent.key(event_id)] if event_id else ())
        return (await self.storage.decide(reads, decision, given)).every(Ticket)

    async def place(
        self, buyer_id: str, *ticket_ids: str, given: Command | None = None, policy: Policy | None = None
    ) -> Order:
        """Order tickets, all or none."""
        return (await self.placed(buyer_id, *ticket_ids, given=given, policy=policy)).one(Order)

    async def placed(
        self, buyer_id: str, *ticket_ids: str, given: Command | None = None, policy: Policy | None = None
    ) -> Answer:
        """Order tickets; the whole answer."""
        given = given or command()
        decision = partial(
            orders.place, command=given, buyer_id=buyer_id, ticket_ids=ticket_ids, policy=policy or Policy()
        )
        return await self.storage.decide(Keys.of(*map(Ticket.key, ticket_ids)), decision, given)

    async def cancel(self, order: Order, *, given: Command | None = None) -> Order:
        """Cancel an order as its buyer."""
        decision = partial(orders.cancel, order_id=order.id, buyer_id=order.buyer_id)
        return (await self.storage.decide(Keys.of(Order.key(order.id)), decision, given or command())).one(Order)

    async def put(self, *entities: Entity, given: Command | None = None, **values: Any) -> Answer:
        """Write entities, whatever was there."""
        return await self.storage.decide(
            Keys.of(*map(key_of, entities)), write(*entities, **values), given or command()
        )

    async def count(self, *ids: str, given: Command | None = None) -> Answer:
        """Count each of these counters up by one, in one decision."""
        return await self.storage.decide(Keys.of(*map(Holds.key, ids)), count_up(*ids), given or command())

    async def counts(self, *ids: str) -> list[int]:
        """Where these counters are."""
        found = await self.storage.get(map(Holds.key, ids))
        return [entity.count if isinstance(entity := found.get(Holds.key(id)), Holds) else 0 for id in ids]

    async def ticket(self, id: str) -> Ticket:
        """A ticket as it is now."""
        found = (await self.storage.get([Ticket.key(id)]))[Ticket.key(id)]
        assert isinstance(found, Ticket)
        return found

    async def of_orders(self, ticket_ids: Iterable[str]) -> list[str | None]:
        """Which order each of these tickets belongs to."""
        keys = [Ticket.key(id) for id in ticket_ids]
        found = await self.storage.get(keys)
        return [getattr(found[key], "order_id", None) for key in keys]

    async def claim(self, limit: int = _MANY, lease: timedelta = LEASE) -> list[Claimed]:
        """Claim events, as a relay does."""
        return await self.storage.claim_events(limit, lease)

    async def publish(self) -> list[Envelope]:
        """Claim and publish all events that are free, as a relay does; oldest first."""
        published: list[Envelope] = []
        while claims := await self.claim():
            await self.storage.mark_published(claims)
            published += [claim.event for claim in claims]
        return published

    async def tell(self, number: int = 1) -> list[str]:
        """Write so many tickets, each with an event of its own commit, one after the other; the ids of the events.

        Nothing else may wait in the outbox: the events are claimed for a moment.
        """
        return [(await self.offer())[0].id for _ in range(number)]


def renamed(ticket: Ticket, title: str) -> Changes:
    """Changes that give a ticket another title, and tell of it."""
    new = replace(ticket, title=title)
    return Changes(put=(new,), facts=(Fact("ticket.updated", key_of(new)),), answer=(new,))
