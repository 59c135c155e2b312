"""One batch of decisions in one transaction: read what they name, run them, write what they changed.

It knows nothing of threads and commits, and of the database only what `Sqlite` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.codec import decode_answer, encode_answer
from ticketkit.backends.ledger import DecisionError, Ledger, Record
from ticketkit.backends.storage import Answer
from ticketkit.domain.decision import Command, Decision, Keys, Need
from ticketkit.domain.entities import Entity, Key, Kind, Order, OrderStatus
from ticketkit_sql.rows import ROWS, Row, micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from ticketkit_sql.sqlite import Sqlite

_ROUNDS: Final = 20
_COMMANDS: Final = ("id", "fingerprint", "answer", "consumer", "event_id", "at")
_OUTBOX: Final = (
    "id",
    "type",
    "source",
    "subject",
    "time",
    "aggregateversion",
    "correlationid",
    "causationid",
    "actor",
    "traceparent",
    "data",
    "attempts",
    "free_at",
)


@dataclass(slots=True)
class Ask:
    """A decision that somebody waits for.

    Attributes:
        reads: Grows while the decision asks for more.
        named: What its caller named. A batch that is tried again begins with that: what was asked for may have been
            there only in the batch that failed.
        outcome: What it answered, or the error that it raised.
        missed: How often another process was in its way.
    """

    reads: Keys
    decision: Decision
    command: Command
    outcome: Answer | Exception | None = field(default=None)
    missed: int = 0
    named: Keys = field(init=False)

    def __post_init__(self) -> None:
        self.named = self.reads

    def begin(self) -> None:
        """Forget what came of an earlier try."""
        self.reads, self.outcome = self.named, None


def decide_all(
    connection: Connection,
    dialect: Sqlite,
    asks: Sequence[Ask],
    *,
    now: datetime,
    new_id: Callable[[], str],
    checkpoint: Callable[[str], None],
) -> bool:
    """Run decisions one after the other, write what they changed, and set their outcomes.

    Args:
        connection: In a transaction that holds, or can take, what the decisions name.
        dialect: Its database.
        asks: Their outcomes are valid once the transaction is committed.
        now: The storage's time.
        new_id: For events.
        checkpoint: See `Context.checkpoint`.

    Returns:
        Whether there is something to commit.

    Raises:
        DBAPIError: The database refused; nobody's outcome is valid.
    """
    for ask in asks:
        ask.begin()
    batch = _Batch(connection, dialect, Ledger(now=now, new_id=new_id))
    batch.run(asks)
    if not batch.changed:
        return False
    checkpoint("decided")
    batch.write()
    return True


def answer_on_record(connection: Connection, dialect: Sqlite, command_ids: Sequence[str]) -> dict[str, Record]:
    """What is on record of commands, by id."""
    sql = dialect.select_ids("commands", ("id", "fingerprint", "answer"))
    return {
        id: Record(Command(id=id, fingerprint=fingerprint), decode_answer(answer))
        for id, fingerprint, answer in fetch(connection, sql, dialect.ids(command_ids))
    }


class _Batch:
    def __init__(self, connection: Connection, dialect: Sqlite, ledger: Ledger) -> None:
        self._connection = connection
        self._dialect = dialect
        self._ledger = ledger
        self._stored: dict[Key, Entity | None] = {}

    def run(self, asks: Sequence[Ask]) -> None:
        self._load_records(asks)
        left: Sequence[Ask] = asks
        for _ in range(_ROUNDS):
            self._load(left)
            left = [ask for ask in left if self._needs_more(ask)]
            if not left:
                return
        for ask in left:
            ask.outcome = DecisionError(f"The decision asked for more {_ROUNDS} times.")

    def _needs_more(self, ask: Ask) -> bool:
        try:
            outcome = self._ledger.run(ask.reads, ask.decision, ask.command)
        except Exception as error:  # noqa: BLE001 - whatever a decision raises is its caller's
            ask.outcome = error
            return False
        if isinstance(outcome, Need):
            ask.reads |= outcome.keys
            return True
        ask.outcome = outcome
        return False

    def _load_records(self, asks: Sequence[Ask]) -> None:
        ids = [ask.command.id for ask in asks]
        found = answer_on_record(self._connection, self._dialect, ids)
        for id in ids:
            self._ledger.load_record(id, found.get(id))

    def _load(self, asks: Iterable[Ask]) -> None:
        wanted: dict[Kind, set[str]] = {}
        for ask in asks:
            for key in ask.reads.held:
                if key not in self._stored:
                    wanted.setdefault(key.kind, set()).add(key.id)
            for key in ask.reads.shared:
                if key not in self._stored:
                    wanted.setdefault(key.kind, set()).add(key.id)
        loaded: dict[Key, Entity | None] = {}
        for kind in sorted(wanted):
            ids = sorted(wanted[kind])
            loaded.update(dict.fromkeys([Key(kind, id) for id in ids]))
            rows = ROWS[kind]
            sql = self._dialect.select_ids(rows.table, rows.columns)
            for row in fetch(self._connection, sql, self._dialect.ids(ids)):
                loaded[Key(kind, row[0])] = rows.from_row(row)
        self._stored.update(loaded)
        self._ledger.load(loaded)

    @property
    def changed(self) -> bool:
        return bool(self._ledger.written or self._ledger.recorded)

    def write(self) -> None:
        written = self._ledger.written
        by_kind: dict[Kind, list[tuple[Key, Entity]]] = {}
        for key, entity in written.items():
            by_kind.setdefault(key.kind, []).append((key, entity))
        for kind in ROWS:
            if kind in by_kind:
                self._write_kind(kind, by_kind[kind])
        if "order" in by_kind:
            self._write_lines([entity for _, entity in by_kind["order"] if isinstance(entity, Order)])
        self._write_outbox()
        self._write_commands()

    def _write_kind(self, kind: Kind, entities: Iterable[tuple[Key, Entity]]) -> None:
        rows = ROWS[kind]
        fixed = len(rows.fixed)
        new: list[Row] = []
        changed: list[Row] = []
        for key, entity in entities:
            row = rows.to_row(entity)
            if self._stored.get(key) is None:
                new.append(row)
            else:
                changed.append((*row[fixed:], row[0]))
        # What is changed first: a row that lets go of something unique makes room for a new one.
        self._many(self._dialect.update(rows.table, rows.free, ("id",)), changed)
        self._many(self._dialect.insert(rows.table, rows.columns), new)

    def _write_lines(self, orders: Iterable[Order]) -> None:
        gone: list[Row] = []
        new: list[Row] = []
        for order in orders:
            old = self._stored.get(Order.key(order.id))
            before = live(old) if isinstance(old, Order) else frozenset()
            after = live(order)
            gone += [(False, order.id, id) for id in before - after]
            new += [(order.id, id, True) for id in after - before]
        self._many(self._dialect.update("order_lines", ("live",), ("order_id", "ticket_id")), gone)
        self._many(self._dialect.insert("order_lines", ("order_id", "ticket_id", "live")), new)

    def _write_outbox(self) -> None:
        now = micros(self._ledger.now)
        rows = [
            (
                event.id,
                event.type,
                event.source,
                event.subject,
                now,
                event.aggregateversion,
                event.correlationid,
                event.causationid,
                event.actor,
                event.traceparent,
                event.data.decode(),
                0,
                now,
            )
            for event in self._ledger.events
        ]
        self._many(self._dialect.insert("outbox", _OUTBOX), rows)

    def _write_commands(self) -> None:
        now = micros(self._ledger.now)
        rows = [
            (
                command.id,
                command.fingerprint,
                encode_answer(record.answer),
                command.consumer,
                command.event_id,
                now,
            )
            for record in self._ledger.recorded.values()
            for command in (record.command,)
        ]
        self._many(self._dialect.insert("commands", _COMMANDS), rows)

    def _many(self, sql: str, rows: list[Row]) -> None:
        if rows:
            self._connection.exec_driver_sql(sql, rows)


def live(order: Order) -> frozenset[str]:
    """The tickets that an order has: none, once it is cancelled or released."""
    return frozenset() if order.status is OrderStatus.CANCELLED or order.released else frozenset(order.ticket_ids)


def fetch(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
    """Rows as plain tuples."""
    # The driver's own cursor: SQLAlchemy's rows cost more than the statement.
    cursor: Any = connection.exec_driver_sql(sql, parameters).cursor
    found: list[Row] = cursor.fetchall()
    return found
