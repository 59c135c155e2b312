"""The envelope of an event: CloudEvents 1.0 attributes around a body of bare JSON.

Source: CloudEvents 1.0, and its Distributed Tracing extension (`traceparent`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from ticketkit.domain.errors import TicketkitError

PREFIX: Final = "ticketkit."
MAX_BODY: Final = 256 * 1024
"""Largest body of an event, in bytes."""

C = TypeVar("C")


class MalformedEvent(TicketkitError):
    """These bytes are not an event of ticketkit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One event as it travels.

    Attributes:
        id: UUIDv7, stamped by the storage in the commit that the event tells of.
        type: `ticketkit.order.created.v1`.
        source: The service that said it: `/ticketkit/orders`.
        subject: Id of the aggregate.
        time: When it was committed, UTC.
        aggregateversion: Version of the aggregate that the body shows.
        correlationid: Ties together all that one request caused.
        causationid: The event or command that caused it.
        actor: Id of the user who asked for it; None for what the system did, be it because somebody asked for
            something before.
        traceparent: W3C trace context.
        data: The body: JSON, UTF-8.
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    aggregateversion: int
    correlationid: str = ""
    causationid: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    data: bytes

    @property
    def name(self) -> str:
        """The event's name, without prefix and version: `order.created`."""
        return split_type(self.type)[0]

    @property
    def version(self) -> int:
        """The version of its contract."""
        return split_type(self.type)[1]

    def attributes(self) -> dict[str, str]:
        """All but the body, as text: CloudEvents' binary mode, for headers of a bus."""
        found: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": self.subject,
            "time": self.time.isoformat(),
            "aggregateversion": str(self.aggregateversion),
            "correlationid": self.correlationid,
            "causationid": self.causationid,
            "actor": self.actor,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def of(cls, attributes: dict[str, str], data: bytes) -> Envelope:
        """Build from text attributes (as `attributes()` gave them) and a body.

        Raises:
            MalformedEvent: An attribute is missing or wrong.
        """
        try:
            return cls(
                id=attributes["id"],
                type=attributes["type"],
                source=attributes["source"],
                subject=attributes["subject"],
                time=datetime.fromisoformat(attributes["time"]),
                aggregateversion=int(attributes["aggregateversion"]),
                correlationid=attributes.get("correlationid", ""),
                causationid=attributes.get("causationid"),
                actor=attributes.get("actor"),
                traceparent=attributes.get("traceparent"),
                data=data,
            )
        except (KeyError, ValueError, TypeError) as error:
            msg = f"This is not an event of ticketkit: {error!r}."
            raise MalformedEvent(msg) from error

    def to_json(self) -> bytes:
        """Envelope and body in one JSON object: CloudEvents' structured mode."""
        return json.dumps({**self.attributes(), "data": json.loads(self.data)}, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Envelope:
        """The inverse of `to_json`.

        Raises:
            MalformedEvent: It is no JSON object with the attributes of an event.
        """
        try:
            found = json.loads(text)
            data = json.dumps(found.pop("data"), ensure_ascii=False, separators=(",", ":")).encode()
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            msg = f"This is not an event of ticketkit: {error!r}."
            raise MalformedEvent(msg) from error
        return cls.of(found, data)


def split_type(type: str) -> tuple[str, int]:
    """`ticketkit.order.created.v1` → `("order.created", 1)`.

    Raises:
        MalformedEvent: It is no event type of ticketkit.
    """
    name, dot, version = type.removeprefix(PREFIX).rpartition(".v")
    if not type.startswith(PREFIX) or not dot or not (version.isascii() and version.isdigit()):
        msg = f"{type!r} is not an event type such as 'ticketkit.order.created.v1'."
        raise MalformedEvent(msg)
    return name, int(version)


@dataclass(frozen=True, slots=True)
class Event(Generic[C]):
    """An event as a handler gets it: the envelope, and the body by its contract.

    Attributes:
        envelope: As it travelled.
        data: The body, upcast to the newest version of its contract.
    """

    envelope: Envelope
    data: C
