"""How groups and events are named on the server, and how an event travels: CloudEvents' binary mode.

The attributes are headers (`ce-id`, `ce-type`, ...), the payload is the body as it is. Source: CloudEvents' NATS
protocol binding; values are percent-encoded where they are not plain ASCII, as its HTTP binding does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from ticketkit.backends.errors import Refused
from ticketkit.events.envelope import Envelope, MalformedEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN: Final = "_to"
"""Token under which an event is sent to one group alone; no event's name begins with it."""

_HEADER: Final = "ce-"
_SAFE: Final = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")
_NAME: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


def encoded(text: str) -> str:
    """A group's or an event's name as one token, and as part of a consumer's name; no two become the same."""
    return _ODD.sub(lambda odd: "~" if odd[0] == "." else "".join(f"={byte:02X}" for byte in odd[0].encode()), text)


def consumer_of(group: str, name: str) -> str:
    """Name of the consumer that keeps a group's place among the events of one name."""
    return f"{encoded(group)}+{encoded(name)}"


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of one market.

    Attributes:
        prefix: Their first token.
    """

    prefix: str

    def of(self, event: Envelope) -> str:
        """Of an event: `ticketkit.order.created.v1`.

        Raises:
            Refused: NATS has no subject for such a name.
        """
        name = _checked(event.name)
        return f"{self.prefix}.{name}.v{event.version}"

    def every(self, name: str) -> str:
        """All versions of an event: `ticketkit.order.created.*`."""
        return f"{self.prefix}.{_checked(name)}.*"

    def again(self, group: str, event: Envelope) -> str:
        """Of an event that goes to one group alone."""
        return f"{self.prefix}.{AGAIN}.{encoded(group)}.{_checked(event.name)}.v{event.version}"

    def heard(self, group: str, name: str) -> list[str]:
        """What a group's consumer of one name filters by."""
        return [self.every(name), f"{self.prefix}.{AGAIN}.{encoded(group)}.{_checked(name)}.*"]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.partition(".")[0] == AGAIN:
        raise Refused(f"{name!r} can't be the name of an event on NATS: no spaces, *, > or empty parts between dots.")
    return name


def headers_of(event: Envelope) -> dict[str, str]:
    """The attributes of an event."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": event.type,
        "ce-source": event.source,
        "ce-subject": event.subject,
        "ce-time": event.time.isoformat(),
        "ce-aggregateversion": str(event.aggregateversion),
    }
    if event.correlationid:
        headers["ce-correlationid"] = event.correlationid
    if event.causationid:
        headers["ce-causationid"] = event.causationid
    if event.traceparent:
        headers["ce-traceparent"] = event.traceparent
    return {name: header(value) for name, value in headers.items()}


def plain(value: str) -> bool:
    """Whether a value may stand in a header as it is."""
    return value.isprintable() and value.isascii() and "%" not in value and value == value.strip()


def header(value: str) -> str:
    """A value as it stands in a header."""
    return value if plain(value) else quote(value, safe=_SAFE)


def text_of(value: str) -> str:
    """The inverse of `header`."""
    return unquote(value) if "%" in value else value


def event_of(headers: Mapping[str, str] | None, data: bytes) -> Envelope:
    """The event of a message.

    Raises:
        MalformedEvent: It is none.
    """
    if headers is None:
        raise MalformedEvent("This is not an event of ticketkit: it has no headers.")
    found = {name[len(_HEADER) :]: text_of(value) for name, value in headers.items() if name[: len(_HEADER)] == _HEADER}
    event = Envelope.of(found, data)
    _ = event.name  # an event without a name that can be read is none
    return event
