"""Decisions about live events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from ticketkit.domain.decision import Changes, Command, Fact, State
from ticketkit.domain.entities import LiveEvent, LiveEventStatus, key_of
from ticketkit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from ticketkit.domain.texts import bounded, checked_extra, checked_zone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def announce(
    state: State,
    command: Command,
    *,
    owner_id: str,
    name: str,
    venue: str,
    starts_at: datetime,
    zone: str = "UTC",
    on_sale_at: datetime | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Changes:
    """Announce a live event; its id is the command's first fresh one.

    Raises:
        InvalidInput: A text is out of bounds, the zone unknown, a time without offset, or on sale after the start.
    """
    starts_at = _utc(starts_at, "starts_at")
    on_sale_at = None if on_sale_at is None else _utc(on_sale_at, "on_sale_at")
    if on_sale_at is not None and on_sale_at >= starts_at:
        msg = "A live event goes on sale before it starts."
        raise InvalidInput(msg, code="on_sale_after_start", field="on_sale_at")
    event = LiveEvent(
        id=command.fresh[0],
        name=bounded(name, "name"),
        venue=bounded(venue, "venue"),
        starts_at=starts_at,
        zone=checked_zone(zone),
        on_sale_at=on_sale_at,
        owner_id=owner_id,
        created_at=state.now,
        extra=checked_extra(extra),
    )
    return Changes(put=(event,), facts=(Fact("live_event.created", key_of(event)),), answer=(event,))


def call_off(state: State, event_id: str, *, owner_id: str | None) -> Changes:
    """Cancel a live event: nothing of it can be ordered from now on.

    Args:
        state: Holds the live event.
        event_id: Which one.
        owner_id: Who asks; None for an operator.

    Raises:
        NotFound: There is none.
        Forbidden: It is somebody else's.
        Conflict: It is cancelled already.
    """
    event = state.require(LiveEvent, event_id, error=NotFound)
    if owner_id is not None and event.owner_id != owner_id:
        msg = "Only who announced a live event can cancel it."
        raise Forbidden(msg, code="not_the_owner", live_event_id=event_id)
    if event.status is LiveEventStatus.CANCELLED:
        msg = "The live event is cancelled already."
        raise Conflict(msg, code="already_cancelled", live_event_id=event_id)
    event = replace(event, status=LiveEventStatus.CANCELLED)
    return Changes(put=(event,), facts=(Fact("live_event.cancelled", key_of(event)),), answer=(event,))


def pause(state: State, event_id: str, *, owner_id: str | None, paused: bool = True) -> Changes:
    """Pause the sales of a live event, or resume them: nothing of it can be ordered meanwhile.

    What was ordered before can be paid. Void when it is so already.

    Args:
        state: Holds the live event.
        event_id: Which one.
        owner_id: Who asks; None for an operator.
        paused: False to resume.

    Raises:
        NotFound: There is none.
        Forbidden: It is somebody else's.
        Conflict: It is cancelled.
    """
    event = state.require(LiveEvent, event_id, error=NotFound)
    if owner_id is not None and event.owner_id != owner_id:
        msg = "Only who announced a live event can pause its sales."
        raise Forbidden(msg, code="not_the_owner", live_event_id=event_id)
    if event.status is LiveEventStatus.CANCELLED:
        msg = "The live event is cancelled."
        raise Conflict(msg, code="live_event_cancelled", live_event_id=event_id)
    if event.paused is paused:
        return Changes(answer=(event,))
    event = replace(event, paused=paused)
    return Changes(put=(event,), facts=(Fact("live_event.updated", key_of(event)),), answer=(event,))


def _utc(time: datetime, field: str) -> datetime:
    if time.utcoffset() is None:
        msg = "A time needs an offset, such as 2026-12-31T20:00:00Z."
        raise InvalidInput(msg, code="time_without_offset", field=field)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        msg = "The time is before the year 1 or after 9999 in UTC."
        raise InvalidInput(msg, code="time_out_of_range", field=field) from None
