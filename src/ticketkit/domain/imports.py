"""The decision about a whole file of listings: its live events and its tickets, all or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ticketkit.domain import live_events, tickets
from ticketkit.domain.decision import Changes, Command, Need, State
from ticketkit.domain.entities import LiveEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ticketkit.domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A live event as a seller's file names it; name, venue and start tell it from others."""

    name: str
    venue: str
    starts_at: datetime
    zone: str = "UTC"
    on_sale_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A ticket in a seller's file.

    Attributes:
        event: Index of its live event among the announcements.
        line: Where it stands in the file, counted from 1.
    """

    event: int
    title: str
    price: Money
    seat: str | None = None
    line: int = 0


def list_all(
    state: State,
    command: Command,
    *,
    seller_id: str,
    announcements: Sequence[Announcement],
    known: Sequence[str | None],
    offers: Sequence[Offer],
) -> Changes | Need:
    """Announce the live events that are not known yet, and list all tickets.

    Args:
        state: Holds the known live events, shared.
        command: Brings a fresh id for each announcement, used or not, then one for each offer.
        seller_id: Who lists, and who owns what is announced.
        announcements: The live events.
        known: For each announcement the id of the live event that it is, or None to announce it.
        offers: The tickets.

    Returns:
        Its answer is the live events, in the order of the announcements; there may be too many tickets for one.

    Raises:
        InvalidInput: A live event or a ticket is out of bounds; `values["row"]` counts offers from 0.
        NotFound: A known live event does not exist.
    """
    if need := state.missing((), shared=(LiveEvent.key(id) for id in known if id is not None)):
        return need
    count = len(announcements)
    events: list[LiveEvent] = []
    announced: list[Changes] = []
    for fresh, found, wanted in zip(command.fresh[:count], known, announcements, strict=True):
        if found is not None:
            events.append(state.require(LiveEvent, found))
            continue
        changes = _announce(state, replace(command, fresh=(fresh,)), wanted, seller_id)
        announced.append(changes)
        events.extend(entity for entity in changes.put if isinstance(entity, LiveEvent))
    listings = [
        tickets.Listing(title=offer.title, price=offer.price, event_id=events[offer.event].id, seat=offer.seat)
        for offer in offers
    ]
    seen = State(state.now, {**state.entities, **{LiveEvent.key(event.id): event for event in events}})
    listed = tickets.list_tickets(
        seen, replace(command, fresh=command.fresh[count:]), seller_id=seller_id, listings=listings
    )
    if isinstance(listed, Need):
        return listed
    return Changes(
        put=(*(entity for changes in announced for entity in changes.put), *listed.put),
        facts=(*(fact for changes in announced for fact in changes.facts), *listed.facts),
        answer=tuple(events),
    )


def _announce(state: State, command: Command, wanted: Announcement, owner_id: str) -> Changes:
    return live_events.announce(
        state,
        command,
        owner_id=owner_id,
        name=wanted.name,
        venue=wanted.venue,
        starts_at=wanted.starts_at,
        zone=wanted.zone,
        on_sale_at=wanted.on_sale_at,
    )
