"""What JetStream does not know of groups, kept in a stream of its own with one message a subject.

A *place* says from where a consumer has to begin if it is made anew: because the server lost it, or because its group
is replayed. A *try* says how often an event was tried that was not ended yet: JetStream's own counter also counts
deliveries that a dead member had, and that an outage sent back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from nats.js import api
from nats.js.errors import APIError

from ticketkit_nats.faults import NO_MESSAGE, WRONG_SEQUENCE
from ticketkit_nats.subjects import encoded

if TYPE_CHECKING:
    from ticketkit_nats.connection import Connection

_NONE: Final = frozenset({NO_MESSAGE})
_LOST: Final = frozenset({WRONG_SEQUENCE})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a consumer has to begin.

    Attributes:
        group: Whose it is.
        name: Of its events.
        start: Number of the first event in the stream that it must not miss.
        epoch: How often the group was moved; the name of the consumer has it, so a moved group has another one.
    """

    group: str
    name: str
    start: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Try:
    """What is known of an event that was tried and not ended.

    Attributes:
        event: Its id.
        attempt: Number of the next attempt.
        due: Not before this time, in seconds since 1970.
        after: How long it was told to wait.
    """

    event: str
    attempt: int
    due: float
    after: float


class State:
    """Reads and writes places and tries.

    Args:
        connection: To the servers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stream = connection.settings.state
        self._prefix = f"{connection.settings.prefix}-state"

    async def place(self, group: str, name: str) -> tuple[Place, int] | None:
        """A place, and the number of the message that says it."""
        found = await self._last(self._place(group, name))
        return None if found is None else (Place(**json.loads(found.data or b"{}")), found.seq or 0)

    async def set_place(self, place: Place, *, over: int | None = None) -> bool:
        """Write a place.

        Args:
            over: Number of the message that it replaces, 0 for none; whatever there is when left out.

        Returns:
            False when somebody else wrote another one since.
        """
        headers = {} if over is None else {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(over)}
        return await self._write(self._place(place.group, place.name), asdict(place), headers)

    async def names(self, group: str) -> list[str]:
        """Names of which a group has a place."""
        subjects = await self._subjects(f"{self._prefix}.place.{encoded(group)}.*")
        found = [await self._last(subject) for subject in subjects]
        return [Place(**json.loads(one.data or b"{}")).name for one in found if one is not None]

    async def tries(self, group: str, name: str) -> set[int]:
        """Numbers of the events of which there are tries."""
        subjects = await self._subjects(self._try(group, name, "*"))
        return {int(subject.rpartition(".")[2]) for subject in subjects}

    async def tried(self, group: str, name: str, sequence: int, event: str) -> Try | None:
        """What is known of an event."""
        found = await self._last(self._try(group, name, sequence))
        if found is None:
            return None
        known = Try(**json.loads(found.data or b"{}"))
        return known if known.event == event else None

    async def set_tried(self, group: str, name: str, sequence: int, known: Try) -> None:
        """Write what is known of an event."""
        await self._write(self._try(group, name, sequence), asdict(known), {})

    async def forget_tried(self, group: str, name: str, sequence: int) -> None:
        """It was ended."""
        subject = self._try(group, name, sequence)
        await self._connection.call(lambda jetstream: jetstream.purge_stream(self._stream, subject=subject))

    def _place(self, group: str, name: str) -> str:
        return f"{self._prefix}.place.{encoded(group)}.{encoded(name)}"

    def _try(self, group: str, name: str, sequence: int | str) -> str:
        return f"{self._prefix}.try.{encoded(group)}.{encoded(name)}.{sequence}"

    async def _last(self, subject: str) -> api.RawStreamMsg | None:
        # Asked of the leader, not of any replica: what was written a moment ago must be seen.
        try:
            return await self._connection.call(
                lambda jetstream: jetstream.get_msg(self._stream, subject=subject), passing=_NONE
            )
        except APIError:
            return None

    async def _write(self, subject: str, value: dict[str, Any], headers: dict[str, str]) -> bool:
        payload = json.dumps(value).encode()
        try:
            await self._connection.call(
                lambda jetstream: jetstream.publish(subject, payload, headers=headers or None), passing=_LOST
            )
        except APIError:
            return False
        return True

    async def _subjects(self, pattern: str) -> list[str]:
        info = await self._connection.call(
            lambda jetstream: jetstream.stream_info(self._stream, subjects_filter=pattern)
        )
        return sorted(info.state.subjects or {})
