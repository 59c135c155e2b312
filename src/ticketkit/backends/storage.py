"""The storage protocol: one write, `decide`, and the reads that the services need.

A storage keeps entities, an outbox of events, and a record of each command with its answer. Its whole promise is in
`decide`. See `docs/backends/storage.md` for who calls each method.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ticketkit.domain.decision import Decision
from ticketkit.domain.entities import Charge, Entity, Key, Kind, LiveEvent, Order, Refund, Session, Ticket, Webhook
from ticketkit.domain.errors import TicketkitError
from ticketkit.events.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ticketkit.backends.spec import Capability
    from ticketkit.domain.decision import Command, Keys

E = TypeVar("E", bound=Entity)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a committed decision answered.

    Attributes:
        entities: As the decision ordered them, with their versions.
        replayed: The command had been carried out before; nothing was written now.
    """

    entities: tuple[Entity, ...] = ()
    replayed: bool = False

    def one(self, cls: type[E]) -> E:
        """The first entity of a class.

        Raises:
            LookupError: There is none.
        """
        for entity in self.entities:
            if isinstance(entity, cls):
                return entity
        msg = f"The answer has no {cls.KIND}."
        raise LookupError(msg)

    def every(self, cls: type[E]) -> tuple[E, ...]:
        """All entities of a class, in order."""
        return tuple(entity for entity in self.entities if isinstance(entity, cls))


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list.

    Attributes:
        items: In the order of the list.
        next: Cursor of the rest; None at the end. Opaque, and safe in URLs.
    """

    items: tuple[T, ...]
    next: str | None = None


class BadCursor(TicketkitError):
    """This cursor was not given out by this list."""


class TicketSort(StrEnum):
    """Orders of tickets; the id breaks ties."""

    NEWEST = "newest"
    OLDEST = "oldest"
    PRICE = "price"
    PRICE_DESC = "-price"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketQuery:
    """Which tickets.

    Attributes:
        status: One of `TicketStatus`, or None for all.
        text: Every word must be in title or seat, whatever its case (ASCII folding at least).
        min_price: Minor units, inclusive; with `max_price` only tickets of `currency`, if given.
        limit: 1 to 1,000.
        cursor: `Page.next` of the page before.
    """

    event_id: str | None = None
    seller_id: str | None = None
    status: str | None = None
    text: str = ""
    currency: str | None = None
    min_price: int | None = None
    max_price: int | None = None
    sort: TicketSort = TicketSort.NEWEST
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """An outbox row that a relay holds for a while.

    Attributes:
        event: To be published.
        attempts: Failed tries that the event itself caused, before this one.
        token: Names this lease; a mark with an old token is void.
    """

    event: Envelope
    attempts: int
    token: str


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that could not be published, kept for people to look at."""

    event: Envelope
    attempts: int
    error: str


class EventState(StrEnum):
    """Where an event of the outbox is: `waiting` → `published`, or `dead`; a replay makes it wait again."""

    WAITING = "waiting"
    PUBLISHED = "published"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as the outbox keeps it.

    Attributes:
        event: Whole.
        state: Where it is.
        attempts: Failed tries that the event itself caused.
        error: Of the last try that failed; empty when none did.
        ended_at: When it was published or given up; None while it waits.
    """

    event: Envelope
    state: EventState
    attempts: int = 0
    error: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts, for metrics and checks.

    Attributes:
        by_status: Number of entities by (kind, status).
        unpublished: Outbox rows still to be published.
        dead: Dead letters of the outbox.
        oldest: Time of the oldest unpublished event.
        overdue_locks: Orders `created` past their time.
    """

    by_status: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unpublished: int = 0
    dead: int = 0
    oldest: datetime | None = None
    overdue_locks: int = 0


class Storage(Protocol):
    """Keeps one or more boundaries. Every method may raise `Unavailable`; only `decide` writes entities.

    A storage is used by any number of tasks of one event loop at once.
    """

    capabilities: frozenset[Capability]

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        """Run a decision on the newest state, and commit all that it answers, or nothing.

        With exclusive access to what `reads.held` names (whether it exists or not) and at least shared access to
        `reads.shared`:

        1. If `command.id` is on record: with the same fingerprint, its answer is given again (`replayed`) and
           nothing is run; with another, `CommandReused`.
        2. The decision is run. `Need` makes it run again on the union of the keys, all of them held.
        3. In one transaction: `put` is written, each entity with its stored version + 1; each fact is appended to the
           outbox as an event with a fresh id, the storage's time and the entity's new state; the command's id,
           fingerprint and answer are recorded (for an event handler that record is the mark that the event
           is consumed).

        The decision may be run more than once, also on another thread; it is pure. `State.now` is the storage's clock.
        Cancelling the caller either leaves no trace or lets the commit happen; it harms no other decision.

        Args:
            reads: What the decision reads, as far as its caller knows.
            decision: See `ticketkit.domain.decision`.
            command: Who asks; brings fresh ids.
            within: A connection of the backend's own kind, in a transaction of the app (capability `own_tables`). All
                is written there, and committed or undone by the app; an error leaves its transaction to be undone.

        Raises:
            DomainError: As the decision raised it; nothing was written, and the command is not on record.
            CommandReused: The id was used with another fingerprint.
            OutcomeUnknown: The commit's answer was lost, and so was the look-up of it.
            Unavailable: Nothing was written.
            CapabilityNotSupported: `Changes.also` or `within` without `own_tables`; more keys than `max_entities`.
        """
        ...

    async def outcome(self, command_id: str) -> Answer | None:
        """The answer on record for a command, or None: it was not carried out (yet)."""
        ...

    async def get(self, keys: Iterable[Key]) -> dict[Key, Entity]:
        """Those of the keys that exist, as last committed; nothing is held."""
        ...

    async def find_tickets(self, query: TicketQuery) -> Page[Ticket]:
        """A page of tickets."""
        ...

    async def find_live_events(
        self, *, text: str = "", status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[LiveEvent]:
        """A page of live events by id, oldest first; every word of `text` is in name or venue.

        Args:
            text: Words, whatever their case.
            status: One of `LiveEventStatus`, or None for all.
            limit: Most of a page.
            cursor: `Page.next` of the page before.
        """
        ...

    async def find_orders(self, buyer_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        """A page of a buyer's orders, newest first."""
        ...

    async def open_orders(self, *, limit: int = 50, cursor: str | None = None) -> Page[Order]:
        """A page of orders that hold tickets (`created` or `awaiting_payment`), soonest end of their lock first.

        Those that end at the same time come by id. One whose lock is prolonged between two pages may come again.
        """
        ...

    async def scan(self, kind: Kind, *, limit: int = 500, cursor: str | None = None) -> Page[Entity]:
        """A page of all entities of a kind, by id. What exists throughout is neither skipped nor repeated."""
        ...

    async def due_orders(self, limit: int) -> list[str]:
        """Ids of orders `created` past their time, the longest overdue first."""
        ...

    async def due_charges(self, limit: int) -> list[Charge]:
        """Charges whose `due_at` is past."""
        ...

    async def due_refunds(self, limit: int) -> list[Refund]:
        """Refunds whose `due_at` is past."""
        ...

    async def charge_by_reference(self, provider: str, reference: str) -> Charge | None:
        """The charge with this reference of a payment provider."""
        ...

    async def unapplied_webhooks(self, limit: int) -> list[Webhook]:
        """Webhooks without an outcome, oldest first."""
        ...

    async def webhooks_about(self, references: Collection[str], *, limit: int = 500) -> list[Webhook]:
        """Webhooks about any of these objects of a payment provider, applied or not, oldest first."""
        ...

    async def revoked_sessions(self, limit: int) -> list[Session]:
        """Revoked sessions that have not expired yet, newest first."""
        ...

    async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
        """Take unpublished events for a while, oldest first, so that no other relay has them.

        Rows that another relay holds, or that wait for their next try, are passed over; a lease that ran out
        is free again. Never "id > last seen": a row that commits late must not be skipped.
        """
        ...

    async def mark_published(self, claims: Sequence[Claimed]) -> None:
        """Note that events are on the bus; void for claims whose lease was taken over."""
        ...

    async def mark_failed(
        self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
    ) -> None:
        """Give a claim back.

        Args:
            claim: Void when its lease was taken over.
            error: What went wrong.
            retry_in: When to try again; None moves the event to the dead letters.
            counted: Whether the event itself caused it (an unavailable bus does not count).
        """
        ...

    async def wait_for_events(self, seconds: float) -> None:
        """Return when events may have been committed, or after the time; spurious returns are fine."""
        ...

    async def dead_events(self, limit: int) -> list[DeadEvent]:
        """Dead letters of the outbox, oldest first."""
        ...

    async def waiting_events(self, limit: int) -> list[KeptEvent]:
        """Events that are still to be published, oldest first: also those that a relay holds, or that were tried.

        For people: it may be slow while very many wait.
        """
        ...

    async def events_about(
        self, subjects: Collection[str], *, since: datetime | None = None, limit: int = 500
    ) -> list[KeptEvent]:
        """Events about any of these aggregates, whatever became of them, in the order of their commits.

        Published ones are there until they are purged. For people: it may be slow while very many wait.

        Args:
            subjects: Ids of the aggregates.
            since: Only what was committed at this time or later.
            limit: At most so many, the oldest.
        """
        ...

    async def replay_event(self, event_id: str) -> bool:
        """Publish a dead or published event again; False when there is none."""
        ...

    async def drop_event(self, event_id: str) -> bool:
        """Delete a dead letter; False when there is none."""
        ...

    async def purge(self, *, events_before: datetime, commands_before: datetime, marks_before: datetime) -> int:
        """Delete what was kept long enough.

        Args:
            events_before: Published events older than this.
            commands_before: Records of callers' commands older than this.
            marks_before: Marks of consumed events older than this; must be older than any event still replayed.

        Returns:
            Number of rows deleted.
        """
        ...

    async def totals(self) -> Totals:
        """Counts, as last committed."""
        ...

    async def now(self) -> datetime:
        """The storage's clock, UTC."""
        ...
