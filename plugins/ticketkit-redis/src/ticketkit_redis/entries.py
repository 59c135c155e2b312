"""Events as entries of streams: the attributes as JSON in one field, the body as it is in another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Refused
from ticketkit.events.envelope import MAX_BODY, Envelope, MalformedEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_ATTRIBUTES: Final = 64 * 1024
BATCH: Final = 512
BATCH_BYTES: Final = 4 * 1024 * 1024
"""A script with more would keep everybody else waiting for too long."""


def packed(event: Envelope) -> tuple[str, bytes, bytes]:
    """Name, attributes and body of an event.

    Raises:
        Refused: It is too large, or no event.
    """
    try:
        name = event.name
    except MalformedEvent as error:
        raise Refused(str(error)) from error
    attributes = json.dumps(event.attributes(), ensure_ascii=False, separators=(",", ":")).encode()
    if len(event.data) > MAX_BODY or len(attributes) > MAX_ATTRIBUTES:
        raise Refused(
            f"{event.type} {event.id} is too large: {len(event.data)} bytes and {len(attributes)} of attributes; "
            f"{MAX_BODY} and {MAX_ATTRIBUTES} at most."
        )
    return name, attributes, event.data


def unpacked(attributes: bytes, body: bytes) -> Envelope:
    """The inverse.

    Raises:
        MalformedEvent: Somebody else wrote this.
    """
    try:
        found = json.loads(attributes)
    except ValueError as error:
        raise MalformedEvent(f"This is not an event of ticketkit: {error!r}.") from error
    if not isinstance(found, dict):
        raise MalformedEvent("This is not an event of ticketkit: its attributes are no object.")
    return Envelope.of(found, body)


def batches(events: Sequence[tuple[str, bytes, bytes]]) -> Iterator[Sequence[tuple[str, bytes, bytes]]]:
    """Events in portions for one script each."""
    begin = size = 0
    for end, (_, attributes, body) in enumerate(events):
        size += len(attributes) + len(body)
        if end > begin and (end - begin >= BATCH or size > BATCH_BYTES):
            yield events[begin:end]
            begin, size = end, len(attributes) + len(body)
    if events:
        yield events[begin:]
