"""What ties together all that one request causes: carried by context, from HTTP and events into commands and logs."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ticketkit.domain.decision import Command
    from ticketkit.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Correlation:
    """Who caused what is being done now.

    Attributes:
        correlation_id: Of the first request; empty when nothing is known.
        causation_id: The event that is being handled.
        traceparent: W3C trace context.
    """

    correlation_id: str = ""
    causation_id: str | None = None
    traceparent: str | None = None


_current: ContextVar[Correlation] = ContextVar("ticketkit_correlation", default=Correlation())  # noqa: B039


def current() -> Correlation:
    """The correlation of the running task."""
    return _current.get()


@contextmanager
def correlated(correlation: Correlation) -> Iterator[None]:
    """Run a block under a correlation."""
    token = _current.set(correlation)
    try:
        yield
    finally:
        _current.reset(token)


def asked_by(command: Command) -> Correlation:
    """The correlation of what a command causes beside its own events."""
    id = command.id
    return Correlation(command.correlation_id or id, command.causation_id or id, command.traceparent)


def caused_by(envelope: Envelope, span: str | None = None) -> Correlation:
    """The correlation of what an event causes.

    Args:
        envelope: The event.
        span: `traceparent` of the span in which it is handled; default: the event's own.
    """
    return Correlation(envelope.correlationid, envelope.id, span or envelope.traceparent)
