"""Live events: pause and resume their sales; cancel one and refund everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import anyio

from ticketkit.domain.entities import LiveEventStatus
from ticketkit_marketplace.ops.visit import HOME, Page, Visit
from ticketkit_marketplace.web.forms import Form

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.responses import Response

    from ticketkit.domain.entities import LiveEvent

PATH: Final = f"{HOME}/events"
ON_A_PAGE: Final = 50
PATIENCE: Final = 20.0
"""Seconds that a page waits for a cancellation."""
STATES: Final = {
    "open": ("On sale", "good"),
    "not_yet": ("Not on sale yet", "off"),
    "paused": ("Sales paused", "warn"),
    "started": ("Has started", "off"),
    "cancelled": ("Cancelled", "bad"),
}
"""How the sales of a live event stand, with the kind of the badge."""


async def events(visit: Visit) -> Response:
    """Live events, oldest first."""
    text = visit.query.get("q", "")[:100]
    page = await visit.desk.tickets.live_events(text=text, limit=ON_A_PAGE, cursor=visit.query.get("cursor") or None)
    query = {"q": text} if text else {}
    now = visit.desk.clock.now()
    return visit.page(
        "events.html",
        events=[(event, STATES[state(event, now)]) for event in page.items],
        text=text,
        first=f"{PATH}?{urlencode(query)}" if visit.query.get("cursor") else None,
        next=None if page.next is None else f"{PATH}?{urlencode({**query, 'cursor': page.next})}",
    )


async def event(visit: Visit) -> Response:
    """One live event, and what can be done with it."""
    one = await visit.desk.tickets.live_event(visit.id)
    how = state(one, visit.desk.clock.now())
    rest = await visit.desk.operations.cancellation(one.id) if how == "cancelled" else None
    return visit.page("event.html", event=one, state=how, label=STATES[how], rest=rest, form=Form())


async def pause(visit: Visit) -> Response:
    """Pause its sales."""
    return await _pause(visit, paused=True)


async def resume(visit: Visit) -> Response:
    """Resume its sales."""
    return await _pause(visit, paused=False)


async def _pause(visit: Visit, *, paused: bool) -> Response:
    await visit.form()
    one = await visit.desk.tickets.pause(visit.id, owner_id=None, paused=paused, actor=visit.me.id)
    visit.note("paused sales" if paused else "resumed sales", live_event_id=one.id, live_event=one.name)
    return visit.go(f"{PATH}/{one.id}", done="paused" if paused else "resumed")


async def ask_cancel(visit: Visit) -> Response:
    """What cancelling it would do, and whether it is to be done. Nothing is written."""
    return await _ask_cancel(visit, Form())


async def cancel(visit: Visit) -> Response:
    """Cancel it and refund everybody. What takes longer than a page may, the orders service goes on with by itself."""
    form = await visit.form()
    one = await visit.desk.tickets.live_event(visit.id)
    if form["name"].casefold() != one.name.casefold():
        form.errors["name"] = f"Type the name of the live event: {one.name}"
        return await _ask_cancel(visit, form)
    visit.note("cancels a live event", live_event_id=one.id, live_event=one.name)
    with anyio.move_on_after(PATIENCE):
        done = await visit.desk.operations.cancel(one.id, actor=visit.me.id)
        amounts = [str(amount) for amount in done.amounts]
        visit.note("cancelled a live event", live_event_id=one.id, refunds=done.to_refund, amounts=amounts)
    return visit.go(f"{PATH}/{one.id}", done="cancelled")


async def _ask_cancel(visit: Visit, form: Form) -> Response:
    found = await visit.desk.operations.cancellation(visit.id)
    if found.live_event.status is LiveEventStatus.CANCELLED:
        return visit.go(f"{PATH}/{visit.id}")
    return visit.page("cancel.html", status=422 if form.errors else 200, found=found, event=found.live_event, form=form)


def state(event: LiveEvent, now: datetime) -> str:
    """How its sales stand: a key of `STATES`."""
    if event.status is LiveEventStatus.CANCELLED:
        return "cancelled"
    if event.starts_at <= now:
        return "started"
    if event.paused:
        return "paused"
    return "not_yet" if event.on_sale_at is not None and event.on_sale_at > now else "open"


PAGES: Final = (
    Page(path="/events", show=events),
    Page(path="/events/{id}", show=event),
    Page(path="/events/{id}/pause", submit=pause),
    Page(path="/events/{id}/resume", submit=resume),
    Page(path="/events/{id}/cancel", show=ask_cancel, submit=cancel),
)
"""The pages of this subject."""
