"""Lists a seller's file: in whole or not at all, and once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain import imports
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import LiveEvent, LiveEventStatus, Ticket, TicketStatus
from ticketkit.services.listings_csv import MOST_PROBLEMS, BadListings, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit.backends.storage import Answer, Storage
    from ticketkit.domain.imports import Announcement
    from ticketkit.services.commands import Commands
    from ticketkit.services.listings_csv import Catalogue

_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a file.

    Attributes:
        live_events: Those that it names, in its order.
        announced: How many of them are new.
        tickets: How many were listed; 0 when the file had been imported before.
        already: Whether it had been.
    """

    live_events: tuple[LiveEvent, ...]
    announced: int
    tickets: int
    already: bool


async def import_catalogue(storage: Storage, commands: Commands, *, seller_id: str, catalogue: Catalogue) -> Imported:
    """Announce the live events of a file and list its tickets, in one transaction.

    A live event of the same name, venue and start is taken as it is, whoever announced it. A file that was imported
    before adds nothing: it is known by its digest (as long as commands are on record), and by its seats. Two different
    files of one seller that name the same seats are told apart unless they are imported in the same moment.

    Raises:
        BadListings: Some of the seats are listed by this seller already, or a live event is cancelled.
        OutcomeUnknown, Unavailable: As of `Storage.decide`.
    """
    announcements = catalogue.announcements
    command = commands.ask(
        "tickets.import",
        actor=seller_id,
        key=catalogue.digest,
        fresh=len(announcements) + len(catalogue.offers),
    )
    if (done := await storage.outcome(command.id)) is not None:
        return _already(done.every(LiveEvent))
    found = [await _live_event(storage, wanted) for wanted in announcements]
    known = [event for event in found if event is not None]
    if await _listed_before(storage, seller_id, catalogue, found) and len(known) == len(found):
        return _already(known)
    ids = [None if event is None else event.id for event in found]
    answer: Answer = await storage.decide(
        Keys.of(shared=(LiveEvent.key(event.id) for event in known)),
        partial(
            imports.list_all,
            command=command,
            seller_id=seller_id,
            announcements=announcements,
            known=ids,
            offers=catalogue.offers,
        ),
        command,
    )
    if answer.replayed:
        return _already(answer.every(LiveEvent))
    return Imported(
        live_events=answer.every(LiveEvent),
        announced=ids.count(None),
        tickets=len(catalogue.offers),
        already=False,
    )


def _already(events: Sequence[LiveEvent]) -> Imported:
    return Imported(live_events=tuple(events), announced=0, tickets=0, already=True)


async def _live_event(storage: Storage, wanted: Announcement) -> LiveEvent | None:
    cursor = None
    while True:
        page = await storage.find_live_events(text=wanted.name, limit=_PAGE, cursor=cursor)
        for event in page.items:
            if (event.name, event.venue, event.starts_at) == (wanted.name, wanted.venue, wanted.starts_at):
                return event
        if (cursor := page.next) is None:
            return None


async def _listed_before(
    storage: Storage, seller_id: str, catalogue: Catalogue, found: Sequence[LiveEvent | None]
) -> bool:
    """Whether this seller has listed all tickets of the file before.

    Raises:
        BadListings: Some, but not all; or a live event is cancelled.
    """
    problems = [
        Problem(_first_line(catalogue, index), "event", "This live event is cancelled.")
        for index, event in enumerate(found)
        if event is not None and event.status is LiveEventStatus.CANCELLED
    ]
    listed = [Counter[tuple[str, str | None]]() for _ in found]
    for index, event in enumerate(found):
        if event is not None:
            async for ticket in _tickets(storage, seller_id, event.id):
                # Without a seat there is only the title to know a ticket by, and so many of it.
                listed[index]["" if ticket.seat else ticket.title, ticket.seat] += 1
    again = []
    for offer in catalogue.offers:
        name = ("" if offer.seat else offer.title, offer.seat)
        if listed[offer.event][name] > 0:
            listed[offer.event][name] -= 1
            again.append(offer)
    if len(again) == len(catalogue.offers) and not problems:
        return True
    problems += [
        Problem(offer.line, "seat", f"You list {offer.seat!r} of this live event already.")
        for offer in again
        if offer.seat is not None
    ]
    if problems:
        raise BadListings(problems[:MOST_PROBLEMS], len(problems))
    return False


def _first_line(catalogue: Catalogue, index: int) -> int:
    return next(offer.line for offer in catalogue.offers if offer.event == index)


async def _tickets(storage: Storage, seller_id: str, event_id: str) -> AsyncIterator[Ticket]:
    """The tickets of a seller for a live event that are not withdrawn, sold ones included."""
    query = TicketQuery(seller_id=seller_id, event_id=event_id, limit=_PAGE)
    while True:
        page = await storage.find_tickets(query)
        for ticket in page.items:
            if ticket.status is not TicketStatus.WITHDRAWN:
                yield ticket
        if page.next is None:
            return
        query = TicketQuery(seller_id=seller_id, event_id=event_id, limit=_PAGE, cursor=page.next)
