"""What child processes do with a storage, for the kit."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio

from ticketkit.domain.decision import Changes, Fact, Keys, State
from ticketkit.domain.entities import Entity, Holds, LiveEvent, Ticket, key_of
from ticketkit.domain.errors import TicketUnavailable
from ticketkit.domain.money import Money
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, counted_up
from ticketkit.testing.conformance.storage.together import sorted_out, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit.backends.storage import Answer, Storage
    from ticketkit.domain.decision import Command

    Say = Callable[[Any], None]


def effect(name: str) -> tuple[Keys, Any, Command]:
    """A decision with every sort of effect: two entities, an event, a record that is the mark of an event.

    Args:
        name: Of its two counters, its ticket (`ticket-NAME`) and its command.
    """

    def decision(state: State) -> Changes:
        counted = tuple(counted_up(state.get(Holds, id), id) for id in (f"{name}-a", f"{name}-b"))
        old = state.get(Ticket, f"ticket-{name}")
        ticket = old or Ticket(
            id=f"ticket-{name}", title=name, price=Money(1, "USD"), seller_id="kit", created_at=state.now
        )
        put: tuple[Entity, ...] = (*counted, ticket)
        return Changes(put=put, facts=(Fact("ticket.created", key_of(ticket)),), answer=put)

    reads = Keys.of(Holds.key(f"{name}-a"), Holds.key(f"{name}-b"), Ticket.key(f"ticket-{name}"))
    return reads, decision, command(id=f"kit:{name}", consumer="kit", event_id=name)


async def take_effect(storage: Storage, name: str) -> Answer:
    """Carry out `effect`."""
    return await storage.decide(*effect(name))


async def do_one(storage: Storage, say: Say, name: str) -> None:
    """Carry out one effect, and say when it is answered."""
    await take_effect(storage, name)
    say(name)


async def do_many(storage: Storage, say: Say, name: str, most: int) -> None:
    """Carry out effects, a few at once, and say each that is answered."""

    async def one(number: int) -> None:
        await take_effect(storage, f"{name}-{number}")
        say(number)

    say("begun")
    for first in range(0, most, 4):
        async with anyio.create_task_group() as group:
            for number in range(first, first + 4):
                group.start_soon(one, number)


async def buy_all(storage: Storage, say: Say, ticket_ids: list[str], who: str) -> None:
    """Try to buy every ticket, all at once, and say which orders came of it."""
    bazaar = Bazaar(storage)
    say("begun")
    calls = [bazaar.place(f"{who}-{number}", id) for number, id in enumerate(ticket_ids)]
    won, _ = sorted_out(await together(calls), TicketUnavailable)
    say([[order.ticket_ids[0], order.id] for order in won])


async def hold(storage: Storage, say: Say, name: str, seconds: float, shared: str | None = None) -> None:
    """Hold a counter inside of a decision for a while, then count it up and tell of a ticket.

    Says `held` inside, and `[seen version of what is shared]` when it is committed.
    """
    first = threading.Event()
    seen: list[int] = []

    def decision(state: State) -> Changes:
        if shared is not None:
            seen.append(state.require(LiveEvent, shared).version)
        if not first.is_set():
            first.set()
            say("held")
            time.sleep(seconds)
        ticket = Ticket(id=f"late-{name}", title=name, price=Money(1, "USD"), seller_id="kit", created_at=state.now)
        counter = counted_up(state.get(Holds, name), name)
        return Changes(put=(counter, ticket), facts=(Fact("ticket.created", key_of(ticket)),), answer=(counter,))

    reads = Keys.of(
        Holds.key(name), Ticket.key(f"late-{name}"), shared=[LiveEvent.key(shared)] if shared is not None else ()
    )
    await storage.decide(reads, decision, command())
    say(seen[-1:])


async def claim(storage: Storage, say: Say, number: int, seconds: float) -> None:
    """Claim events for so many seconds, say which, and never mark them."""
    claims = await Bazaar(storage).claim(number, lease=timedelta(seconds=seconds))
    say([claim.event.id for claim in claims])
    await anyio.sleep(60)
