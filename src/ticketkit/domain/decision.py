"""What a decision is: a pure function from state to changes, which the storage runs with exclusive access.

    def decision(state: State) -> Changes | Need: ...

It reads what its caller named (`Keys`), asks for more by returning `Need`, and refuses by raising a `DomainError`.
It may be run any number of times, so it takes time from `state.now` and fresh ids from its `Command`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from ticketkit.domain.entities import Entity, Key
from ticketkit.domain.errors import DomainError, NotFound, TicketkitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

E = TypeVar("E", bound=Entity)


class KeyNotHeld(TicketkitError):
    """A decision read an entity that it had not named: a mistake in the decision, not in its input."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a decision reads.

    Attributes:
        held: Read and perhaps written: the decision has them for itself alone.
        shared: Only read: nobody changes them meanwhile, but others may read them too.
    """

    held: frozenset[Key] = frozenset()
    shared: frozenset[Key] = frozenset()

    @classmethod
    def of(cls, *held: Key, shared: Iterable[Key] = ()) -> Keys:
        """Name keys one by one."""
        return cls(frozenset(held), frozenset(shared))

    def __or__(self, other: Keys) -> Keys:
        """The union; what either holds is held."""
        held = self.held | other.held
        return Keys(held, (self.shared | other.shared) - held)

    @property
    def all(self) -> frozenset[Key]:
        """Held and shared."""
        return self.held | self.shared


@dataclass(frozen=True, slots=True)
class Need:
    """A decision's answer when it found that it needs more: it is run again on the union."""

    keys: Keys


class Fact(NamedTuple):
    """Something that happened, to be told as an event with the whole public state of the entity.

    Attributes:
        name: Event name without prefix and version: `order.created`.
        key: The entity it is about; it must be among the changes.
    """

    name: str
    key: Key


@dataclass(frozen=True, slots=True)
class Changes:
    """What one decision writes, all or nothing.

    Attributes:
        put: New states; their versions are stamped by the storage.
        facts: Told as events, in this order.
        answer: Entities for the caller; those among `put` come back with their new version.
        also: Statements of the backend in the same commit, where it has the capability `own_tables`.
    """

    put: tuple[Entity, ...] = ()
    facts: tuple[Fact, ...] = ()
    answer: tuple[Entity, ...] = ()
    also: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Who asks for a decision, and everything fresh that it may use.

    Attributes:
        id: Names this request once and for all: the same id has one effect and one answer. Random, or derived
            from a caller's idempotency key (with its user and route).
        actor: The principal's id; None for the system.
        fresh: Ids for what the decision creates.
        correlation_id: Ties together all that one request caused.
        causation_id: The event or command that caused this one.
        traceparent: W3C trace context.
        fingerprint: Digest of the request; the same id with another fingerprint is refused.
        consumer: Name of the event handler, when an event caused this...
        event_id: ...and that event; both together are marked as consumed in the same commit.
    """

    id: str
    actor: str | None = None
    fresh: tuple[str, ...] = ()
    correlation_id: str = ""
    causation_id: str | None = None
    traceparent: str | None = None
    fingerprint: str = ""
    consumer: str | None = None
    event_id: str | None = None


Decision: TypeAlias = "Callable[[State], Changes | Need]"


@dataclass(slots=True)
class State:
    """What a decision sees: the newest state of the keys it named, and the time.

    Attributes:
        now: The storage's clock, UTC: one clock decides about locks.
    """

    now: datetime
    entities: Mapping[Key, Entity | None] = field(default_factory=dict)

    def get(self, cls: type[E], id: str) -> E | None:
        """The entity, or None when there is none.

        Raises:
            KeyNotHeld: The key was not named; return `Need` first.
        """
        try:
            return cast("E | None", self.entities[Key(cls.KIND, id)])
        except KeyError:
            msg = f"{cls.KIND} {id} was read without being named in the decision's keys."
            raise KeyNotHeld(msg) from None

    def require(self, cls: type[E], id: str, *, error: type[DomainError] = NotFound) -> E:
        """The entity.

        Raises:
            NotFound: There is none (or the error given).
        """
        found = self.get(cls, id)
        if found is None:
            word = cls.KIND.replace("_", " ")
            msg = f"There is no {word} {id}."
            raise error(msg, code=f"{cls.KIND}_not_found", **{f"{cls.KIND}_id": id})
        return found

    def missing(self, keys: Iterable[Key], *, shared: Iterable[Key] = ()) -> Need | None:
        """A `Need` for those that are not held yet, or None when all are."""
        more = frozenset(key for key in keys if key not in self.entities)
        look = frozenset(key for key in shared if key not in self.entities) - more
        return Need(Keys(more, look)) if more or look else None
