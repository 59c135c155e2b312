"""The outbox: claimed with a lease, published, then marked. Each function is a job of the writer.

A row waits while `free_at` is set: it may be claimed from that time on. A claim sets a token and moves `free_at` to the
lease's end, so a relay that died is overtaken, and one that was overtaken holds an old token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import any_, delete, literal, select, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY

from ticketkit.backends.storage import Claimed, DeadEvent, EventState, KeptEvent
from ticketkit.events.envelope import Envelope
from ticketkit_sql.reads import TABLES
from ticketkit_sql.rows import micros, time_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Column, ColumnElement, Connection

_BOX: Final = TABLES["outbox"].c
_ENVELOPE: Final = (
    _BOX.id,
    _BOX.type,
    _BOX.source,
    _BOX.subject,
    _BOX.time,
    _BOX.aggregateversion,
    _BOX.correlationid,
    _BOX.causationid,
    _BOX.actor,
    _BOX.traceparent,
    _BOX.data,
)
_KEPT: Final = (*_ENVELOPE, _BOX.attempts, _BOX.error, _BOX.published_at, _BOX.dead_at, _BOX.seq)


def waiting(connection: Connection, now: datetime) -> bool:
    """Whether an event can be claimed."""
    free = select(_BOX.seq).where(_BOX.free_at <= micros(now)).limit(1)
    return connection.execute(free).first() is not None


def claim(connection: Connection, now: datetime, *, limit: int, lease: timedelta, token: str) -> list[Claimed]:
    """Take events that wait, oldest first."""
    free = select(*_ENVELOPE, _BOX.attempts, _BOX.seq).where(_BOX.free_at <= micros(now))
    # What another relay is about to take is passed over, where the database has locks of rows.
    mine_now = free.order_by(_BOX.free_at, _BOX.seq).limit(limit).with_for_update(skip_locked=True)
    rows = connection.execute(mine_now).all()
    if rows:
        mine = update(TABLES["outbox"]).where(_among(connection, _BOX.seq, [row.seq for row in rows]))
        connection.execute(mine.values(token=token, free_at=micros(now + lease)))
    return [Claimed(_envelope(row), row.attempts, token) for row in rows]


def mark_published(connection: Connection, now: datetime, claims: Sequence[Claimed]) -> None:
    """Note that events are on the bus; void for claims whose lease was taken over."""
    by_token: dict[str, list[str]] = {}
    for claimed in claims:
        by_token.setdefault(claimed.token, []).append(claimed.event.id)
    for token, ids in by_token.items():
        mine = update(TABLES["outbox"]).where(_among(connection, _BOX.id, ids), _BOX.token == token)
        connection.execute(mine.values(token=None, free_at=None, published_at=micros(now)))


def mark_failed(
    connection: Connection, now: datetime, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool
) -> None:
    """Give a claim back, or move its event to the dead letters."""
    values: dict[str, Any] = {"token": None, "error": error, "attempts": _BOX.attempts + int(counted)}
    if retry_in is None:
        values |= {"free_at": None, "dead_at": micros(now)}
    else:
        values |= {"free_at": micros(now + retry_in)}
    mine = _BOX.id == claim.event.id, _BOX.token == claim.token
    connection.execute(update(TABLES["outbox"]).where(*mine).values(**values))


def dead(connection: Connection, limit: int) -> list[DeadEvent]:
    """Dead letters, oldest first."""
    found = select(*_ENVELOPE, _BOX.attempts, _BOX.error).where(_BOX.dead_at.is_not(None))
    rows = connection.execute(found.order_by(_BOX.seq).limit(limit))
    return [DeadEvent(_envelope(row), row.attempts, row.error or "") for row in rows]


def unpublished(connection: Connection, limit: int) -> list[KeptEvent]:
    """Events still to be published, in the order of their commits."""
    found = select(*_KEPT).where(_BOX.free_at >= 0)
    return [_kept(row) for row in connection.execute(found.order_by(_BOX.seq + 0).limit(limit))]


def about(connection: Connection, *, subjects: Sequence[str], since: datetime | None, limit: int) -> list[KeptEvent]:
    """Events about these aggregates, in the order of their commits."""
    about_them = _among(connection, _BOX.subject, subjects)
    late = [] if since is None else [_BOX.time >= micros(since)]
    # One arm for each of the indexes; all in one statement, for an event moves from one to another.
    states = _BOX.published_at.is_not(None), _BOX.free_at >= 0, _BOX.dead_at.is_not(None)
    arms = union_all(*(select(*_KEPT).where(about_them, state, *late) for state in states)).subquery()
    # By something that is no column: SQLite would rather read the whole table, which is in this order.
    return [_kept(row) for row in connection.execute(select(arms).order_by(arms.c.seq + 0).limit(limit))]


def _kept(row: Any) -> KeptEvent:
    state = EventState.WAITING
    if row.published_at is not None or row.dead_at is not None:
        state = EventState.PUBLISHED if row.dead_at is None else EventState.DEAD
    ended = row.published_at or row.dead_at
    return KeptEvent(_envelope(row), state, row.attempts, row.error or "", None if ended is None else time_of(ended))


def replay(connection: Connection, now: datetime, event_id: str) -> bool:
    """Publish a dead or published event again."""
    over = update(TABLES["outbox"]).where(_BOX.id == event_id, _BOX.free_at.is_(None))
    again = over.values(free_at=micros(now), published_at=None, dead_at=None, error=None, attempts=0)
    return connection.execute(again).rowcount > 0


def drop(connection: Connection, _now: datetime, event_id: str) -> bool:
    """Delete a dead letter."""
    gone = delete(TABLES["outbox"]).where(_BOX.id == event_id, _BOX.dead_at.is_not(None))
    return connection.execute(gone).rowcount > 0


def purge(
    connection: Connection, _now: datetime, *, events: datetime, commands: datetime, marks: datetime, limit: int
) -> int:
    """Delete some of what was kept long enough.

    Returns:
        How many rows; fewer than `limit` when no more is left.
    """
    kept = TABLES["commands"].c
    old: list[tuple[Column[Any], ColumnElement[bool]]] = [
        (_BOX.seq, _BOX.published_at < micros(events)),
        (kept.id, (kept.at < micros(commands)) & kept.consumer.is_(None)),
        (kept.id, (kept.at < micros(marks)) & kept.consumer.is_not(None)),
    ]
    count = 0
    for key, condition in old:
        some = select(key).where(condition).limit(limit - count).with_for_update(skip_locked=True)
        count += connection.execute(delete(key.table).where(key.in_(some.scalar_subquery()))).rowcount
    return count


def _envelope(row: Any) -> Envelope:
    return Envelope(
        id=row.id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=time_of(row.time),
        aggregateversion=row.aggregateversion,
        correlationid=row.correlationid,
        causationid=row.causationid,
        actor=row.actor,
        traceparent=row.traceparent,
        data=row.data.encode(),
    )


def _among(connection: Connection, column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a column has one of many values."""
    if connection.dialect.name != "postgresql":
        return column.in_(values)
    # One parameter, and so one statement, however many there are: five hundred cost more than the update itself.
    return column == any_(literal(list(values), ARRAY(column.type)))
