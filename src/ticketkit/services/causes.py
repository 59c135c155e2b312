"""Who caused what: from the `causationid`, `correlationid` and `actor` of events to a person or a service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketkit.domain.entities import Order
    from ticketkit.events.envelope import Envelope


class Role(StrEnum):
    """What somebody is to an order."""

    BUYER = "buyer"
    SELLER = "seller"
    OTHER = "other"
    """An operator, or somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What caused a step.

    Attributes:
        actor: Id of the user who asked for it, or whose request began what led to it; None when a service did it by
            itself (a lock that ran out), or when what led to it is not known any more.
        role: Of the actor.
        directly: Whether the actor asked for just this step.
        event_id: The event that led to it; None when a request did, or a job.
        event: That event's name; None when it is not among those that are known.
    """

    actor: str | None = None
    role: Role | None = None
    directly: bool = False
    event_id: str | None = None
    event: str | None = None


class Causes:
    """Finds the cause of each event of one order.

    Args:
        order: Whose buyer and sellers are known by it.
        events: All that are known, in order of time.
    """

    def __init__(self, order: Order, events: Iterable[Envelope]) -> None:
        self._order = order
        self._sellers = {line.seller_id for line in order.lines if line.seller_id is not None}
        self._events = {event.id: event for event in events}
        self._requests: dict[str, str] = {}
        for event in self._events.values():
            if event.actor is not None and event.correlationid:
                self._requests.setdefault(event.correlationid, event.actor)

    def of(self, event: Envelope) -> Cause:
        """The cause of one of the events."""
        if event.actor is not None:
            return self.by(event.actor)
        actor = self._began(event)
        before = self._before(event)
        return Cause(
            actor=actor,
            role=self._role(actor),
            event_id=None if before is None else before.id,
            event=None if before is None else before.name,
        )

    def by(self, actor: str | None) -> Cause:
        """Somebody who asked for just this."""
        return Cause(actor=actor, role=self._role(actor), directly=actor is not None)

    def _before(self, event: Envelope) -> Envelope | None:
        return None if event.causationid is None else self._events.get(event.causationid)

    def _began(self, event: Envelope) -> str | None:
        """Who asked for what led to an event, over however many steps."""
        seen: set[str] = set()
        step: Envelope | None = event
        while step is not None and step.id not in seen:
            if step.actor is not None:
                return step.actor
            seen.add(step.id)
            step = self._before(step)
        return self._requests.get(event.correlationid)

    def _role(self, actor: str | None) -> Role | None:
        if actor is None:
            return None
        if actor == self._order.buyer_id:
            return Role.BUYER
        return Role.SELLER if actor in self._sellers else Role.OTHER
