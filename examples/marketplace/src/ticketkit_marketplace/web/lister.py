"""Lists sellers' files batch by batch through the API, in the background.

Every call has a key made of the file's id and its place in it, so that a listing that was broken off goes on where it
was, and what had been done already is not done again.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.http.shapes import time as written
from ticketkit.services.listings_csv import parse
from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.rendering import moment_of
from ticketkit_marketplace.web.uploads import State, Upload, Uploads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from anyio.abc import TaskGroup

    from ticketkit.domain.imports import Announcement, Offer
    from ticketkit.services.listings_csv import Catalogue
    from ticketkit_marketplace.web.api import Visitor
    from ticketkit_marketplace.web.billboard import Billboard

log = logging.getLogger(__name__)

BATCH: Final = 500
"""Tickets that are listed in one call; each batch is listed in whole or not at all."""
_TRIES: Final = 6
_PAUSE: Final = 0.5
"""Seconds between the first two tries; each pause is twice as long as the one before."""
_PAGE: Final = 200
_NOT_WITHDRAWN: Final = ("available", "locked", "sold")


@dataclass(slots=True)
class Lister:
    """Lists files.

    Args:
        uploads: Where they are.
        billboard: Told what is new.
    """

    uploads: Uploads
    billboard: Billboard
    _group: TaskGroup | None = field(default=None, init=False)
    _running: set[str] = field(default_factory=set, init=False)

    async def run(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        """List what is begun, for as long as the web client runs."""
        async with anyio.create_task_group() as group:
            self._group = group
            task_status.started()
            await anyio.sleep_forever()

    async def begin(self, upload: Upload, seller: Visitor, *, currency: str) -> None:
        """Begin to list a file, or go on; does nothing if that goes on already.

        Args:
            upload: Checked.
            seller: Whose it is, signed in.
            currency: Of rows that name none.
        """
        if self._group is None or upload.id in self._running or upload.state is State.LISTED:
            return
        self._running.add(upload.id)
        upload.state, upload.why = State.LISTING, ""
        await self.uploads.save(upload)
        self._group.start_soon(self._list, upload, seller, currency, name=f"listing {upload.id}")

    async def _list(self, upload: Upload, seller: Visitor, currency: str) -> None:
        upload.state = State.STOPPED
        try:
            await self._steps(upload, seller, currency)
            upload.state = State.LISTED
        except Refused as refused:
            upload.why = "Your session is over. Sign in again to go on." if refused.status == 401 else refused.detail  # noqa: PLR2004
        except Away:
            upload.why = "The box office does not answer just now. Go on in a moment."
        except Exception:
            log.exception("listing broke off", extra={"upload": upload.id})
            upload.why = "Something went wrong here, and it was noted."
        finally:
            self._running.discard(upload.id)
            with anyio.CancelScope(shield=True):
                await self.uploads.save(upload)
        self.billboard.changed()

    async def _steps(self, upload: Upload, seller: Visitor, currency: str) -> None:
        content = await self.uploads.content(upload)
        catalogue = await anyio.to_thread.run_sync(partial(parse, content, currency=currency))
        events = [
            await _patiently(partial(_announced, seller, announcement, f"{upload.id}-event-{index}"))
            for index, announcement in enumerate(catalogue.announcements)
        ]
        for start, batch in _batches(catalogue.offers, upload.done):
            body = {"tickets": [_ticket(offer, events[offer.event]) for offer in batch]}
            await _patiently(partial(seller.post, "/api/tickets/batch", body, key=f"{upload.id}-{start}"))
            upload.done = start + len(batch)
            await self._say(upload)
        for event in events:
            self.billboard.changed(event)

    async def _say(self, upload: Upload) -> None:
        state, upload.state = upload.state, State.LISTING
        await self.uploads.save(upload)
        upload.state = state


async def _announced(seller: Visitor, wanted: Announcement, key: str) -> str:
    """The id of a live event: of the one that there is, or of a new one."""
    if (known := await found(seller, wanted)) is not None:
        return known
    body = {
        "name": wanted.name,
        "venue": wanted.venue,
        "startsAt": written(wanted.starts_at),
        "zone": wanted.zone,
        "onSaleAt": None if wanted.on_sale_at is None else written(wanted.on_sale_at),
    }
    return str((await seller.post("/api/events", body, key=key))["id"])


async def found(seller: Visitor, wanted: Announcement) -> str | None:
    """The id of the live event of a name, venue and start; None if there is none."""
    cursor: str | None = None
    while True:
        part = await seller.part("/api/events", q=wanted.name[:100], limit=_PAGE, cursor=cursor)
        for event in part.items:
            if (event["name"], event["venue"]) == (wanted.name, wanted.venue) and (
                moment_of(event["startsAt"]) == wanted.starts_at
            ):
                return str(event["id"])
        if (cursor := part.next) is None:
            return None


async def listed_already(seller: Visitor, catalogue: Catalogue) -> list[Offer]:
    """Tickets of a file whose seats the seller lists already; looks only where a live event of it is known."""
    known = {index: await found(seller, wanted) for index, wanted in enumerate(catalogue.announcements)}
    if not any(known.values()):
        return []
    taken: set[tuple[str, str]] = set()
    cursor: str | None = None
    while True:
        part = await seller.part("/api/tickets/mine", limit=_PAGE, cursor=cursor)
        taken |= {
            (ticket["eventId"], ticket["seat"])
            for ticket in part.items
            if ticket["status"] in _NOT_WITHDRAWN and ticket["eventId"] and ticket["seat"]
        }
        if (cursor := part.next) is None:
            break
    return [offer for offer in catalogue.offers if (known[offer.event], offer.seat) in taken]


def _batches(offers: Iterable[Offer], done: int) -> Iterator[tuple[int, list[Offer]]]:
    rest = islice(offers, done, None)
    while batch := list(islice(rest, BATCH)):
        yield done, batch
        done += len(batch)


def _ticket(offer: Offer, event_id: str) -> dict[str, Any]:
    return {
        "title": offer.title,
        "price": str(offer.price.major),
        "currency": offer.price.currency,
        "eventId": event_id,
        "seat": offer.seat,
    }


async def _patiently(call: Any) -> Any:
    """Try again for a while where the API is away: the keys make that harmless."""
    for number in range(_TRIES):
        try:
            return await call()
        except Away as away:
            if number == _TRIES - 1:
                raise
            await anyio.sleep(min(away.retry_after or math.ldexp(_PAUSE, number), 10))
    return None
