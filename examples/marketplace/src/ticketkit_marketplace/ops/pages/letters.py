"""Dead letters: events that could not be published or handled; tried again or deleted by people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ticketkit.domain.errors import NotFound
from ticketkit_marketplace.ops.visit import HOME, Page, Visit
from ticketkit_marketplace.web.forms import Form

if TYPE_CHECKING:
    from starlette.responses import Response

    from ticketkit.events.envelope import Envelope
    from ticketkit_marketplace.ops.desk import Desk

PATH: Final = f"{HOME}/dead-letters"
MOST: Final = 200
"""Of one outbox, and of the bus, that are shown."""
BUS: Final = "bus"
"""Where letters of consumers are; those of outboxes are at the name of their storage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter.

    Attributes:
        place: Name of a storage, or `BUS`.
        whose: Consumer that could not handle it; None when it could not be published.
    """

    id: str
    place: str
    whose: str | None
    event: Envelope
    attempts: int
    error: str

    @property
    def query(self) -> str:
        """Names it in an address."""
        return urlencode({"in": self.place, "id": self.id})

    @property
    def body(self) -> str:
        """The event's body, to be read."""
        return json.dumps(json.loads(self.event.data), indent=2, ensure_ascii=False)


async def every(desk: Desk) -> list[Letter]:
    """All dead letters, oldest first in each place."""
    found = [
        Letter(id=one.event.id, place=name, whose=None, event=one.event, attempts=one.attempts, error=one.error)
        for name, storage in desk.storages.items()
        for one in await storage.dead_events(MOST)
    ]
    found += [
        Letter(id=one.id, place=BUS, whose=one.group, event=one.event, attempts=one.attempts, error=one.error)
        for one in await desk.bus.dead_letters(MOST)
    ]
    return found


async def letters(visit: Visit) -> Response:
    """All dead letters."""
    return visit.page("letters.html", letters=await every(visit.desk))


async def letter(visit: Visit) -> Response:
    """One, whole."""
    return visit.page("letter.html", letter=await _named(visit))


async def ask_replay(visit: Visit) -> Response:
    """Whether one is to be tried again."""
    return visit.page("letter_sure.html", letter=await _named(visit), form=Form(), drop=False)


async def ask_drop(visit: Visit) -> Response:
    """Whether one is to be deleted."""
    return visit.page("letter_sure.html", letter=await _named(visit), form=Form(), drop=True)


async def replay(visit: Visit) -> Response:
    """Publish or handle one again."""
    return await _end(visit, drop=False)


async def drop(visit: Visit) -> Response:
    """Delete one."""
    return await _end(visit, drop=True)


async def _end(visit: Visit, *, drop: bool) -> Response:
    await visit.form()
    place, id = visit.query.get("in", ""), visit.query.get("id", "")
    # Looked up first: an outbox also publishes anew what is no dead letter, and the log is to say what it was.
    found = next((one for one in await every(visit.desk) if (one.place, one.id) == (place, id)), None)
    if found is None or not await _ended(visit.desk, found, drop=drop):
        return visit.go(PATH, done="gone")
    about: dict[str, Any] = {"letter": found.id, "place": place, "event_type": found.event.type}
    visit.note("dropped a dead letter" if drop else "replayed a dead letter", subject=found.event.subject, **about)
    return visit.go(PATH, done="dropped" if drop else "replayed")


async def _ended(desk: Desk, letter: Letter, *, drop: bool) -> bool:
    if letter.place == BUS:
        return await (desk.bus.drop_dead_letter if drop else desk.bus.replay_dead_letter)(letter.id)
    storage = desk.storages[letter.place]
    return await (storage.drop_event if drop else storage.replay_event)(letter.id)


async def _named(visit: Visit) -> Letter:
    place, id = visit.query.get("in", ""), visit.query.get("id", "")
    for one in await every(visit.desk):
        if (one.place, one.id) == (place, id):
            return one
    msg = "That dead letter is not there any more: it was replayed or dropped."
    raise NotFound(msg, code="dead_letter_not_found")


PAGES: Final = (
    Page(path="/dead-letters", show=letters),
    Page(path="/dead-letters/letter", show=letter),
    Page(path="/dead-letters/replay", show=ask_replay, submit=replay),
    Page(path="/dead-letters/drop", show=ask_drop, submit=drop),
)
"""The pages of this subject."""
