"""The statements of the bus. Each function is a job of the writer, or a query.

A delivery waits while `free_at` is set: a member may claim it from that time on. A claim sets a token and moves
`free_at` to the lease's end; whoever comes with an old token changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import and_, delete, exists, func, insert, literal, select, tuple_, update

from ticketkit.backends.bus import DeadLetter
from ticketkit.events.envelope import Envelope
from ticketkit_sql.reads import TABLES
from ticketkit_sql.rows import micros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

_GROUPS: Final = TABLES["bus_groups"]
_MESSAGES: Final = TABLES["bus_messages"]
_DELIVERIES: Final = TABLES["bus_deliveries"]
_MESSAGE: Final = _MESSAGES.c
_DELIVERY: Final = _DELIVERIES.c
_PURGE: Final = 1000
_DIGITS: Final = 19
"""So many decimal digits may be more than a number of SQLite holds."""

MessageRow: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that a member claimed.

    Attributes:
        token: Names the claim.
    """

    group: str
    message: int
    attempt: int
    token: str
    event: Envelope


def rows_of(events: Sequence[Envelope]) -> list[MessageRow]:
    """Events as they are stored."""
    return [{"id": event.id, "name": event.name, "envelope": event.to_json().decode()} for event in events]


def publish(connection: Connection, now: datetime, *, rows: Sequence[MessageRow], keep: timedelta) -> None:
    """Store messages, with a delivery for each group that is subscribed to their names."""
    last = newest(connection)
    connection.execute(insert(_MESSAGES), [{**row, "published_at": micros(now)} for row in rows])
    wanted = select(_GROUPS.c.group, _MESSAGE.seq, literal(1), literal(micros(now))).where(
        _GROUPS.c.name == _MESSAGE.name, _MESSAGE.seq > last
    )
    connection.execute(insert(_DELIVERIES).from_select(["group", "message", "attempt", "free_at"], wanted))
    _purge(connection, now - keep)


def _purge(connection: Connection, before: datetime) -> None:
    waited_for = exists().where(_DELIVERY.message == _MESSAGE.seq)
    old = select(_MESSAGE.seq).where(_MESSAGE.published_at < micros(before), ~waited_for).limit(_PURGE)
    connection.execute(delete(_MESSAGES).where(_MESSAGE.seq.in_(old.scalar_subquery())))


def join(connection: Connection, _now: datetime, *, group: str, names: Sequence[str]) -> None:
    """From now on the group gets what is published under these names."""
    known = set(connection.scalars(select(_GROUPS.c.name).where(_GROUPS.c.group == group)))
    new = [{"group": group, "name": name} for name in names if name not in known]
    if new:
        connection.execute(insert(_GROUPS), new)


def waiting(connection: Connection, *, now: datetime, group: str, names: Sequence[str]) -> bool:
    """Whether something can be claimed."""
    return connection.execute(_free(now, group, names).limit(1)).first() is not None


def claim(
    connection: Connection,
    now: datetime,
    *,
    group: str,
    names: Sequence[str],
    limit: int,
    lease: timedelta,
    token: str,
) -> list[Held]:
    """Take what waits for a group, longest waiting first."""
    wanted = _free(now, group, names).order_by(_DELIVERY.free_at, _DELIVERY.message).limit(limit)
    rows = connection.execute(wanted).all()
    if rows:
        mine = _DELIVERY.group == group, _DELIVERY.message.in_([row.message for row in rows])
        connection.execute(update(_DELIVERIES).where(*mine).values(token=token, free_at=micros(now + lease)))
    return [Held(group, row.message, row.attempt, token, Envelope.from_json(row.envelope)) for row in rows]


def _free(now: datetime, group: str, names: Sequence[str]) -> Any:
    return (
        select(_DELIVERY.message, _DELIVERY.attempt, _MESSAGE.envelope)
        .join_from(_DELIVERIES, _MESSAGES, _MESSAGE.seq == _DELIVERY.message)
        .where(_DELIVERY.group == group, _DELIVERY.free_at <= micros(now), _MESSAGE.name.in_(names))
    )


def renew(connection: Connection, now: datetime, *, held: Sequence[Held], lease: timedelta) -> None:
    """Show that the member lives."""
    connection.execute(update(_DELIVERIES).where(_all_of(held)).values(free_at=micros(now + lease)))


def give_back(connection: Connection, now: datetime, *, held: Sequence[Held]) -> None:
    """Let other members have it at once."""
    connection.execute(update(_DELIVERIES).where(_all_of(held)).values(token=None, free_at=micros(now)))


def ack(connection: Connection, _now: datetime, *, held: Held) -> None:
    """It was handled."""
    connection.execute(delete(_DELIVERIES).where(_of(held)))


def retry(connection: Connection, now: datetime, *, held: Held, after: timedelta, counted: bool) -> None:
    """Deliver it again, not before some time."""
    values = {"token": None, "free_at": micros(now + after), "attempt": held.attempt + int(counted)}
    connection.execute(update(_DELIVERIES).where(_of(held)).values(**values))


def bury(connection: Connection, now: datetime, *, held: Held, error: str) -> None:
    """Move it to the dead letters."""
    values = {"token": None, "free_at": None, "dead_at": micros(now), "error": error}
    connection.execute(update(_DELIVERIES).where(_of(held)).values(**values))


def _of(held: Held) -> ColumnElement[bool]:
    return and_(_DELIVERY.group == held.group, _DELIVERY.message == held.message, _DELIVERY.token == held.token)


def _all_of(held: Sequence[Held]) -> ColumnElement[bool]:
    names = [(one.group, one.message, one.token) for one in held]
    return tuple_(_DELIVERY.group, _DELIVERY.message, _DELIVERY.token).in_(names)


def newest(connection: Connection) -> int:
    """Number of the newest message; 0 when there is none."""
    return connection.scalar(select(func.max(_MESSAGE.seq))) or 0


def after(connection: Connection, *, seq: int, names: Sequence[str], limit: int) -> list[tuple[int, Envelope]]:
    """Messages after a number, in order."""
    wanted = select(_MESSAGE.seq, _MESSAGE.envelope).where(_MESSAGE.seq > seq, _MESSAGE.name.in_(names))
    rows = connection.execute(wanted.order_by(_MESSAGE.seq).limit(limit))
    return [(row.seq, Envelope.from_json(row.envelope)) for row in rows]


def dead_letters(connection: Connection, limit: int) -> list[DeadLetter]:
    """Dead letters of all groups, oldest first."""
    wanted = (
        select(_DELIVERY.group, _DELIVERY.message, _DELIVERY.attempt, _DELIVERY.error, _MESSAGE.envelope)
        .join_from(_DELIVERIES, _MESSAGES, _MESSAGE.seq == _DELIVERY.message)
        .where(_DELIVERY.dead_at.is_not(None))
        .order_by(_DELIVERY.dead_at, _DELIVERY.message)
        .limit(limit)
    )
    return [
        DeadLetter(
            id=f"{row.message}:{row.group}",
            group=row.group,
            event=Envelope.from_json(row.envelope),
            attempts=row.attempt,
            error=row.error or "",
        )
        for row in connection.execute(wanted)
    ]


def lag(connection: Connection) -> dict[str, int]:
    """How many deliveries of each group were not ended."""
    groups = select(_GROUPS.c.group).distinct().subquery()
    open_ = and_(_DELIVERY.group == groups.c.group, _DELIVERY.free_at.is_not(None))
    counted = select(groups.c.group, func.count(_DELIVERY.message)).outerjoin_from(groups, _DELIVERIES, open_)
    return {row[0]: row[1] for row in connection.execute(counted.group_by(groups.c.group))}


def replay(connection: Connection, now: datetime, *, id: str) -> bool:
    """Deliver a dead letter again, as if for the first time."""
    values = {"dead_at": None, "error": None, "free_at": micros(now), "attempt": 1}
    return connection.execute(update(_DELIVERIES).where(_dead(id)).values(**values)).rowcount > 0


def drop(connection: Connection, _now: datetime, *, id: str) -> bool:
    """Delete a dead letter."""
    return connection.execute(delete(_DELIVERIES).where(_dead(id))).rowcount > 0


def _dead(id: str) -> ColumnElement[bool]:
    number, _, group = id.partition(":")
    known = int(number) if number.isdecimal() and len(number) < _DIGITS else -1
    return and_(_DELIVERY.message == known, _DELIVERY.group == group, _DELIVERY.dead_at.is_not(None))
