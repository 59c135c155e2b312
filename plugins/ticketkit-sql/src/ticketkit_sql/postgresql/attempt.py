"""One attempt at a batch of decisions: read what they name, run them, write what they changed.

Normally nothing is held while decisions run: the one statement that writes takes all locks, sees that nothing that was
read has changed, writes and commits. So a lone decision costs two or three round trips, and a process that freezes
holds nothing. Where processes get in each other's way (`Hold.FIRST`), a transaction takes the locks before it reads.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ticketkit.backends.codec import encode_answer
from ticketkit.backends.errors import CapabilityNotSupported
from ticketkit.backends.ledger import DecisionError, Ledger
from ticketkit.domain.decision import Changes, Need
from ticketkit.domain.entities import Key, Order
from ticketkit_sql.batch import live
from ticketkit_sql.postgresql.functions import HOLD, KINDS, MISSED, STALE, WRITE
from ticketkit_sql.rows import micros, time_of
from ticketkit_sql.settings import MAX_KEYS
from ticketkit_sql.tables import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ticketkit.domain.decision import State
    from ticketkit.domain.entities import Entity, Kind
    from ticketkit_sql.batch import Ask
    from ticketkit_sql.postgresql.layout import Layout

_ROUNDS: Final = 20
_PLACES: Final = {kind: number for number, kind in enumerate(KINDS)}
_ENTITIES: Final = 6
_ARGUMENTS: Final = _ENTITIES + 2 * len(KINDS) + 4
_WRITE: Final = f"SELECT {WRITE}({', '.join(f'${number}' for number in range(1, _ARGUMENTS + 1))})"
_HOLD: Final = f"SELECT {HOLD}($1, $2, $3)"


class Hold(Enum):
    """When locks are taken."""

    LAST = auto()
    """By the statement that writes."""
    FIRST = auto()
    """Before reading, without waiting; who misses one is set aside."""
    WAIT = auto()
    """Before reading, waiting for those who have them (one decision)."""


class Conflict(Exception):
    """Another transaction holds or changed something; nothing was written."""


class Wider(Exception):
    """A decision that waits for locks needs more of them, and they are taken in order."""


class _Alone(Exception):
    """A decision brings statements of the app."""


class Claims:
    """What a batch is about: no other of the same process is to be about it at the same time."""

    def __init__(self) -> None:
        self._held: set[object] = set()
        self._shared: set[object] = set()

    def add(self, ask: Ask) -> None:
        """Claim what a decision names."""
        self._held.update(ask.reads.held)
        self._held.add(ask.command.id)
        self._shared.update(ask.reads.shared)

    def bar(self, ask: Ask) -> bool:
        """Whether a decision of another batch has to wait for this one."""
        held, reads = self._held, ask.reads
        if not held:
            return False
        return not (
            held.isdisjoint(reads.held)
            and held.isdisjoint(reads.shared)
            and self._shared.isdisjoint(reads.held)
            and ask.command.id not in held
        )

    def clear(self) -> None:
        """It is done."""
        self._held.clear()
        self._shared.clear()


class Attempt:
    """One attempt. Outcomes that it sets are valid once `write` is done, and committed.

    Args:
        connection: In a transaction, unless locks are taken last.
        layout: Of its database.
        asks: To be decided.
        hold: When locks are taken.
        new_id: For events.
        claims: Of this batch.
        rivals: Of other batches of this process.

    Attributes:
        aside: Those that miss a lock which another transaction holds.
        barred: Those that another batch of this process is about.
        alone: Those with statements of the app, which need a transaction of their own.
        also: Statements of the app (`Hold.WAIT`).
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        layout: Layout,
        asks: Sequence[Ask],
        *,
        hold: Hold,
        new_id: Callable[[], str],
        claims: Claims | None = None,
        rivals: Sequence[Claims] = (),
    ) -> None:
        self._connection = connection
        self._layout = layout
        self._asks = asks
        self._hold = hold
        self._new_id = new_id
        self._claims = claims or Claims()
        self._rivals = rivals
        self._ledger: Ledger = Ledger(now=datetime.min.replace(tzinfo=UTC), new_id=new_id)
        self._stored: dict[Key, Entity | None] = {}
        self._decided: list[Ask] = []
        self._doubtful: list[Ask] = []
        self.aside: list[Ask] = []
        self.barred: list[Ask] = []
        self.alone: list[Ask] = []

    @property
    def also(self) -> list[Any]:
        """Statements of the app, in order."""
        return self._ledger.also

    @property
    def tells(self) -> bool:
        """Whether events are written."""
        return bool(self._ledger.events)

    async def decide(self) -> bool:
        """Read, and run the decisions.

        Returns:
            Whether there is something to write, or to compare.

        Raises:
            Wider: With `Hold.WAIT`: a decision needs more. Begin again; its `reads` have grown.
        """
        left = list(self._asks)
        if self._hold is not Hold.WAIT:
            for ask in left:
                ask.begin()
        for number in range(_ROUNDS):
            left = self._admitted(left)
            if left and self._hold is not Hold.LAST:
                left = await self._take(left)
            if not left:
                break
            await self._read(left, first=not number)
            left = [ask for ask in left if self._needs_more(ask, again=number > 0)]
            if left and self._hold is Hold.WAIT:
                raise Wider
            if not left:
                break
        for ask in left:
            ask.outcome = DecisionError(f"The decision asked for more {_ROUNDS} times.")
        return bool(self._decided or self._doubtful)

    def _admitted(self, asks: Iterable[Ask]) -> list[Ask]:
        admitted: list[Ask] = []
        for ask in asks:
            if len(ask.reads.held) + len(ask.reads.shared) > MAX_KEYS:
                ask.outcome = CapabilityNotSupported(f"A decision names at most {MAX_KEYS} keys (max_entities).")
            elif any(rival.bar(ask) for rival in self._rivals):
                self.barred.append(ask)
            else:
                self._claims.add(ask)
                admitted.append(ask)
        return admitted

    async def _take(self, asks: list[Ask]) -> list[Ask]:
        held, shared = _names(asks)
        missed: list[str] | None = await self._connection.fetchval(_HOLD, held, shared, self._hold is Hold.WAIT)
        if not missed:
            return asks
        gone = set(missed)
        got: list[Ask] = []
        for ask in asks:
            names = {f"command:{ask.command.id}", *(f"{kind}:{id}" for kind, id in ask.reads.all)}
            (self.aside if names & gone else got).append(ask)
        return got

    async def _read(self, asks: Iterable[Ask], *, first: bool) -> None:
        wanted: dict[Kind, set[str]] = {}
        stored = self._stored
        commands: list[str] = []
        for ask in asks:
            if first:
                commands.append(ask.command.id)
            for keys in (ask.reads.held, ask.reads.shared):
                for key in keys:
                    if key not in stored:
                        wanted.setdefault(key.kind, set()).add(key.id)
        if not wanted and not first:
            return
        kinds = tuple(sorted(wanted))
        arrays = [list(wanted[kind]) for kind in kinds]
        found = await self._connection.fetchrow(self._layout.reading(kinds), commands, *arrays)
        assert found is not None  # noqa: S101 - a SELECT without FROM has one row
        if first:
            self._ledger = Ledger(now=time_of(found[0]), new_id=self._new_id, own_tables=True)
            self._load_records(commands, found[1])
        loaded: dict[Key, Entity | None] = {}
        for kind, ids, rows in zip(kinds, arrays, tuple(found)[2:], strict=True):
            loaded.update(dict.fromkeys([Key(kind, id) for id in ids]))
            for row in rows:
                entity = self._layout.entity(kind, row)
                loaded[Key(kind, entity.id)] = entity
        stored.update(loaded)
        self._ledger.load(loaded)

    def _load_records(self, ids: Iterable[str], rows: Iterable[Any]) -> None:
        for row in rows:
            record = self._layout.record(row)
            self._ledger.load_record(record.command.id, record)
        for id in ids:
            self._ledger.load_record(id, None)

    def _needs_more(self, ask: Ask, *, again: bool) -> bool:
        decision = ask.decision if self._hold is Hold.WAIT else _without_statements(ask)
        try:
            outcome = self._ledger.run(ask.reads, decision, ask.command)
        except _Alone:
            self.alone.append(ask)
            return False
        except Exception as error:  # noqa: BLE001 - whatever a decision raises is its caller's
            ask.outcome = error
            if again and self._hold is Hold.LAST:  # it saw two states; a refusal has to be true of one
                self._doubtful.append(ask)
            return False
        if isinstance(outcome, Need):
            ask.reads |= outcome.keys
            return True
        ask.outcome = outcome
        if not outcome.replayed:
            self._decided.append(ask)
        return False

    async def write(self) -> None:
        """Take the locks, compare, and write: all of it, or nothing.

        Raises:
            Conflict: Another transaction holds or changed something.
            ValueError: A text can't be written as UTF-8.
            PostgresError: The server did not take it.
        """
        arguments: list[Any] = [None] * _ARGUMENTS
        arguments[:2] = _names(self._decided)
        self._put_entities(arguments)
        arguments[2:_ENTITIES] = self._comparisons()
        self._put_lines(arguments)
        arguments[-2] = self._outbox() or None
        arguments[-1] = self._commands() or None
        try:
            await self._connection.fetchval(_WRITE, *arguments)
        except asyncpg.UniqueViolationError as error:
            if error.table_name == f"{PREFIX}commands":  # given twice at once
                raise Conflict from error
            raise
        except asyncpg.PostgresError as error:
            if error.sqlstate in (STALE, MISSED):
                raise Conflict from error
            raise

    def _comparisons(self) -> list[Any]:
        """What has to be as it was read, beside what is changed once: that is compared where it is changed."""
        kinds: list[str] = []
        ids: list[str] = []
        versions: list[int] = []
        again: list[str] = []
        written, stored = self._ledger.written, self._stored
        keys = {key for ask in (*self._decided, *self._doubtful) for key in ask.reads.all}
        for key in keys:
            old = stored[key]
            version = 0 if old is None else old.version
            new = written.get(key)
            if new is None or not version or new.version > version + 1:
                kinds.append(key.kind)
                ids.append(key.id)
                versions.append(version)
            if new is not None and version and new.version > version + 1:
                again.append(f"{key.kind}:{key.id}")
        return [kinds, ids, versions, again] if kinds else [None] * 4

    def _put_entities(self, arguments: list[Any]) -> None:
        row = self._layout.row
        for key, entity in self._ledger.written.items():
            place = _ENTITIES + 2 * _PLACES[key.kind] + (self._stored.get(key) is not None)
            if arguments[place] is None:
                arguments[place] = []
            arguments[place].append(row(key.kind, entity))

    def _put_lines(self, arguments: list[Any]) -> None:
        gone: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        for key, order in self._ledger.written.items():
            if not isinstance(order, Order):
                continue
            old = self._stored.get(key)
            before = live(old) if isinstance(old, Order) else frozenset()
            after = live(order)
            gone += [{"order_id": order.id, "ticket_id": id, "live": False} for id in before - after]
            new += [{"order_id": order.id, "ticket_id": id, "live": True} for id in after - before]
        arguments[-4] = self._layout.rows("order_lines", gone) or None
        arguments[-3] = self._layout.rows("order_lines", new) or None

    def _outbox(self) -> list[Any]:
        now = micros(self._ledger.now)
        return self._layout.rows(
            "outbox",
            (
                {
                    "id": event.id,
                    "type": event.type,
                    "source": event.source,
                    "subject": event.subject,
                    "time": now,
                    "aggregateversion": event.aggregateversion,
                    "correlationid": event.correlationid,
                    "causationid": event.causationid,
                    "actor": event.actor,
                    "traceparent": event.traceparent,
                    "data": event.data.decode(),
                    "attempts": 0,
                    "free_at": now,
                }
                for event in self._ledger.events
            ),
        )

    def _commands(self) -> list[Any]:
        now = micros(self._ledger.now)
        return self._layout.rows(
            "commands",
            (
                {
                    "id": record.command.id,
                    "fingerprint": record.command.fingerprint,
                    "answer": encode_answer(record.answer),
                    "consumer": record.command.consumer,
                    "event_id": record.command.event_id,
                    "at": now,
                }
                for record in self._ledger.recorded.values()
            ),
        )


def _names(asks: Sequence[Ask]) -> tuple[list[str], list[str]]:
    held: set[Key] = set().union(*(ask.reads.held for ask in asks))
    shared: set[Key] = set().union(*(ask.reads.shared for ask in asks)) - held
    names = [f"{kind}:{id}" for kind, id in held]
    names += {f"command:{ask.command.id}" for ask in asks}
    return names, [f"{kind}:{id}" for kind, id in shared]


def _without_statements(ask: Ask) -> Callable[[State], Changes | Need]:
    def decision(state: State) -> Changes | Need:
        changes = ask.decision(state)
        if isinstance(changes, Changes) and changes.also:
            raise _Alone
        return changes

    return decision
