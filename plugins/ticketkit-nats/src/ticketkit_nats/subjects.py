"""How groups and events are named on the server, and how an event travels: as JSON, in CloudEvents' structured mode.

A header tells where the body begins, so it arrives byte for byte without being parsed. Binary mode, with a header for
each attribute, was measured at half the speed. Source: CloudEvents' NATS protocol binding and JSON format.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from ticketkit.backends.errors import Refused
from ticketkit.events.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

AGAIN: Final = "_to"
"""Token under which an event is sent to one group alone; no event's name begins with it."""

_TYPE: Final = "application/cloudevents+json"
_DATA: Final = "ticketkit-data"
_SAFE: Final = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")
_NAME: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]")


def encoded(text: str) -> str:
    """A group's or an event's name as one token, and as part of a consumer's name; no two become the same."""
    return _ODD.sub(lambda odd: "~" if odd[0] == "." else "".join(f"={byte:02X}" for byte in odd[0].encode()), text)


def consumer_of(group: str, name: str, epoch: int = 0) -> str:
    """Name of the consumer that keeps a group's place among the events of one name, after so many moves."""
    return f"{encoded(group)}+{encoded(name)}" + (f"+{epoch}" if epoch else "")


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


def message_of(event: Envelope) -> tuple[bytes, dict[str, str]]:
    """An event as payload and headers."""
    attributes = json.dumps(event.attributes())[:-1].encode() + b', "data": '
    return attributes + event.data + b"}", {"content-type": _TYPE, _DATA: str(len(attributes))}


def event_of(payload: bytes, headers: Mapping[str, str] | None) -> Envelope:
    """The event of a message.

    Raises:
        MalformedEvent: It is none.
    """
    start = (headers or {}).get(_DATA, "")
    if start.isdigit() and int(start) < len(payload):
        attributes = Envelope.from_json(payload[: int(start)] + b"0}")
        event = replace(attributes, data=payload[int(start) : -1])
    else:
        event = Envelope.from_json(payload)
    _ = event.name  # an event without a name that can be read is none
    return event


def plain(value: str) -> bool:
    """Whether a value may stand in a header as it is."""
    return value.isprintable() and value.isascii() and "%" not in value and value == value.strip()


def header(value: str) -> str:
    """A value as it stands in a header."""
    return value if plain(value) else quote(value, safe=_SAFE)


def text_of(value: str) -> str:
    """The inverse of `header`."""
    return unquote(value) if "%" in value else value
