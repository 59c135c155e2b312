"""The bus protocol: events to groups of consumers, each to one member of the group; and broadcast, to everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from ticketkit.events.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from ticketkit.backends.spec import Capability


class Delivery(Protocol):
    """One event, given to one member of a group.

    Exactly one of the methods ends it; when none does (the member died), the bus delivers it again to another member.

    Attributes:
        event: The event.
        attempt: 1 at first; one more for each counted retry.
    """

    event: Envelope
    attempt: int

    async def ack(self) -> None:
        """It was handled; it is not delivered to this group again."""
        ...

    async def retry(self, after: float, *, counted: bool = True) -> None:
        """Deliver it again to this group.

        Args:
            after: Not before so many seconds.
            counted: Whether the event itself caused the failure (an unavailable backend does not count).
        """
        ...

    async def bury(self, error: str) -> None:
        """Move it to the dead letters of this group."""
        ...


class Subscription(Protocol):
    """A member of a group, or a listener of the broadcast."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Wait for events; returns 1 to `limit` of them.

        Raises:
            Unavailable: The bus can't be reached now; call again later.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a group could not handle.

    Attributes:
        id: Names this dead letter.
        group: Whose it is.
        event: The event.
        attempts: How often it was tried.
        error: What went wrong last.
    """

    id: str
    group: str
    event: Envelope
    attempts: int
    error: str


class Bus(Protocol):
    """Carries events between services. Delivery is at least once, in no promised order."""

    capabilities: frozenset[Capability]

    async def publish(self, events: Sequence[Envelope]) -> None:
        """Send events; returns when the bus keeps them as safely as it ever will.

        Raises:
            Unavailable: None, some or all were taken; publish all of them again.
            Refused: The bus will never take one of them.
        """
        ...

    def subscribe(self, group: str, names: Collection[str]) -> AbstractAsyncContextManager[Subscription]:
        """Join a group that gets each event of these names (without version) once, to one of its members.

        A group that was subscribed once gets everything published from then on, also while no member is there
        (as far as the bus is `durable`).

        Args:
            group: Name of the consumer.
            names: Event names: `order.created`.
        """
        ...

    def broadcast(self, names: Collection[str]) -> AbstractAsyncContextManager[Subscription]:
        """Hear every event of these names, from now on, whoever else hears it. Acknowledging is optional."""
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Dead letters of all groups, oldest first."""
        ...

    async def replay_dead_letter(self, id: str) -> bool:
        """Deliver a dead letter to its group again, with its attempts at 0; False when there is none."""
        ...

    async def drop_dead_letter(self, id: str) -> bool:
        """Delete a dead letter; False when there is none."""
        ...

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        """Deliver to a group again what the bus still keeps of its events, from a moment or a number on.

        Args:
            group: One that was subscribed before.
            since: From what was published at this time, UTC.
            sequence: From this number of the bus's own; one of the two is given.

        Raises:
            CapabilityNotSupported: The bus did not declare `replay`.
            LookupError: There is no such group.
        """
        ...


Settled: TypeAlias = Callable[[str, str | None], None]
"""Called with an event's id once every group has ended it, and with an error if one could not handle it."""


@runtime_checkable
class Measured(Protocol):
    """A bus that knows how far its groups are behind."""

    async def lag(self) -> Mapping[str, int]:
        """How many events each group has still to handle, by its name; 0 when there is nothing to do.

        Those that wait for it, for their next try too, and those that its members have begun; no dead letters. A group
        is told of as long as the bus knows it, whether a member is there or not. It is a look, and may be late by what
        is under way.

        Raises:
            Unavailable: The bus can't be reached now.
        """
        ...


@runtime_checkable
class HandsOver(Protocol):
    """A bus inside the process, which loses what it carries when the process dies.

    Nothing may be lost by that, so the outbox keeps each event until every group has handled it: an event that was
    handed over counts as published only when it is settled.
    """

    async def hand_over(self, events: Sequence[Envelope], settled: Settled) -> None:
        """Like `publish`, and tell when each event was acknowledged by all groups that hear it (or by none, at once).

        An event that a group buries is settled with the error, and is no dead letter of the bus: the outbox keeps it.
        """
        ...
