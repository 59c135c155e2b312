"""The outbox: events that wait to be published, were published, or could not be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ticketkit.backends.storage import Claimed, DeadEvent, EventState, KeptEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime, timedelta

    from ticketkit.events.envelope import Envelope


@dataclass(slots=True)
class _Row:
    event: Envelope
    attempts: int = 0
    token: str | None = None
    free_at: datetime | None = None  # end of the lease, or time of the next try
    error: str = ""
    ended_at: datetime | None = None


class Outbox:
    """Rows by event id, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Row] = {}
        self._published: dict[str, _Row] = {}
        self._dead: dict[str, _Row] = {}
        self._tokens = itertools.count(1)

    @property
    def waiting(self) -> int:
        """Number of rows still to be published."""
        return len(self._waiting)

    @property
    def dead(self) -> int:
        """Number of dead letters."""
        return len(self._dead)

    @property
    def oldest(self) -> datetime | None:
        """Time of the oldest event still to be published."""
        return min((row.event.time for row in self._waiting.values()), default=None)

    def append(self, events: Iterable[Envelope]) -> None:
        """Add events of a commit."""
        self._waiting.update((event.id, _Row(event)) for event in events)

    def claim(self, limit: int, lease: timedelta, now: datetime) -> list[Claimed]:
        """Take rows that nobody holds and that don't wait for their next try."""
        free = (row for row in self._waiting.values() if row.free_at is None or row.free_at <= now)
        return [self._lease(row, now + lease) for row in itertools.islice(free, limit)]

    def free_at(self, now: datetime) -> datetime | None:
        """When there is something to claim: now, later, or (None) not before the next commit."""
        first: datetime | None = None
        for row in self._waiting.values():
            if row.free_at is None:
                return now
            first = row.free_at if first is None else min(first, row.free_at)
        return first

    def publish(self, claim: Claimed, now: datetime) -> None:
        """Note that an event is on the bus, unless the lease was taken over."""
        row = self._held(claim)
        if row is not None:
            row.ended_at = now
            self._published[claim.event.id] = self._waiting.pop(claim.event.id)

    def fail(self, claim: Claimed, now: datetime, *, error: str, retry_at: datetime | None, counted: bool) -> None:
        """Give a row back, or move it to the dead letters, unless the lease was taken over."""
        row = self._held(claim)
        if row is None:
            return
        row.token, row.free_at, row.error = None, retry_at, error
        row.attempts += counted
        if retry_at is None:
            row.ended_at = now
            self._dead[row.event.id] = self._waiting.pop(row.event.id)

    def dead_events(self, limit: int) -> list[DeadEvent]:
        """Dead letters, oldest first."""
        rows = sorted(self._dead.values(), key=lambda row: (row.event.time, row.event.id))
        return [DeadEvent(row.event, row.attempts, row.error) for row in rows[:limit]]

    def waiting_events(self, limit: int) -> list[KeptEvent]:
        """Events still to be published, oldest first."""
        rows = sorted(self._waiting.values(), key=lambda row: (row.event.time, row.event.id))
        return [KeptEvent(row.event, EventState.WAITING, row.attempts, row.error) for row in rows[:limit]]

    def about(self, subjects: Collection[str], *, since: datetime | None, limit: int) -> list[KeptEvent]:
        """Events about these aggregates, in the order of their commits."""
        found = [kept for kept in self._all() if kept.event.subject in subjects]
        found = [kept for kept in found if since is None or kept.event.time >= since]
        return sorted(found, key=lambda kept: (kept.event.time, kept.event.id))[:limit]

    def _all(self) -> Iterator[KeptEvent]:
        rows = {
            EventState.WAITING: self._waiting,
            EventState.PUBLISHED: self._published,
            EventState.DEAD: self._dead,
        }
        for state, there in rows.items():
            for row in there.values():
                yield KeptEvent(row.event, state, row.attempts, row.error, row.ended_at)

    def replay(self, event_id: str) -> bool:
        """Publish a dead or published event again."""
        row = self._dead.pop(event_id, None) or self._published.pop(event_id, None)
        if row is not None:
            self._waiting[event_id] = _Row(row.event)
        return row is not None

    def drop(self, event_id: str) -> bool:
        """Delete a dead letter."""
        return self._dead.pop(event_id, None) is not None

    def purge(self, before: datetime) -> int:
        """Forget published events older than this."""
        old = [id for id, row in self._published.items() if row.event.time < before]
        for id in old:
            del self._published[id]
        return len(old)

    def _lease(self, row: _Row, until: datetime) -> Claimed:
        row.token, row.free_at = str(next(self._tokens)), until
        return Claimed(row.event, row.attempts, row.token)

    def _held(self, claim: Claimed) -> _Row | None:
        row = self._waiting.get(claim.event.id)
        return row if row is not None and row.token == claim.token else None
