"""The dead letters of all groups, in a stream of their own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from nats.js import api
from nats.js.errors import APIError

from ticketkit.backends.bus import DeadLetter
from ticketkit.events.envelope import MalformedEvent
from ticketkit_nats.faults import NO_MESSAGE
from ticketkit_nats.publisher import Outgoing
from ticketkit_nats.subjects import Subjects, encoded, event_of, header, message_of, text_of

if TYPE_CHECKING:
    from ticketkit_nats.connection import Connection
    from ticketkit_nats.publisher import Publisher

log = logging.getLogger(__name__)

_MISSING: Final = frozenset({NO_MESSAGE})
_GROUP: Final = "ticketkit-group"
_ATTEMPTS: Final = "ticketkit-attempts"
_ERROR: Final = "ticketkit-error"
_LONGEST: Final = 2000
"""Characters of an error that are kept."""
_DELETED: Final = 10043


class DeadLetters:
    """Writes, lists, replays and drops dead letters. Their ids are their numbers in the stream.

    Args:
        connection: To the servers.
        publisher: Over it.
    """

    def __init__(self, connection: Connection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher
        self._stream = connection.settings.dead
        self._prefix = f"{connection.settings.prefix}-dead"
        self._subjects = Subjects(connection.settings.prefix)

    async def write(
        self, group: str, payload: bytes, headers: dict[str, str], *, attempts: int, error: str, key: str
    ) -> None:
        """Add one; returns when the server keeps it.

        Args:
            key: The same for each try to write this one.
        """
        told = {
            **{name: value for name, value in headers.items() if not name.startswith("Nats-")},
            "Nats-Msg-Id": key,
            _GROUP: header(group),
            _ATTEMPTS: str(attempts),
            _ERROR: header(error[:_LONGEST]),
        }
        await self._publisher.publish([Outgoing(f"{self._prefix}.{encoded(group)}", payload, told)])

    async def oldest(self, limit: int) -> list[DeadLetter]:
        """The oldest ones."""
        found: list[DeadLetter] = []
        sequence = 1
        while len(found) < limit:
            message = await self._get(sequence, following=True)
            if message is None:
                break
            sequence = (message.seq or 0) + 1
            if (letter := self._letter(message)) is not None:
                found.append(letter)
        return found

    async def replay(self, id: str) -> bool:
        """Send one to its group again, and delete it; False when there is none."""
        message = await self._named(id)
        letter = self._letter(message) if message is not None else None
        if letter is None:
            return False
        event = letter.event
        # Whoever replays the same one at the same time has the same id, and the server keeps one of both.
        payload, headers = message_of(event)
        headers["Nats-Msg-Id"] = f"{self._stream}:{id}:{event.id}"
        await self._publisher.publish([Outgoing(self._subjects.again(letter.group, event), payload, headers)])
        await self.drop(id)
        return True

    async def drop(self, id: str) -> bool:
        """Delete one; False when there is none."""
        if await self._named(id) is None:
            return False
        try:
            await self._connection.call(
                lambda jetstream: jetstream.delete_msg(self._stream, int(id)), passing=_MISSING | {_DELETED}
            )
        except APIError:
            return False
        return True

    async def _named(self, id: str) -> api.RawStreamMsg | None:
        if not (id.isascii() and id.isdigit() and 0 < int(id) < 2**63):
            return None
        return await self._get(int(id))

    async def _get(self, sequence: int, *, following: bool = False) -> api.RawStreamMsg | None:
        subject = ">" if following else None
        try:
            return await self._connection.call(
                lambda jetstream: jetstream.get_msg(self._stream, seq=sequence, subject=subject, next=following),
                passing=_MISSING | {_DELETED},
            )
        except APIError:
            return None

    def _letter(self, message: api.RawStreamMsg) -> DeadLetter | None:
        headers = message.headers or {}
        try:
            return DeadLetter(
                id=str(message.seq),
                group=text_of(headers[_GROUP]),
                event=event_of(message.data or b"", headers),
                attempts=int(headers[_ATTEMPTS]),
                error=text_of(headers.get(_ERROR, "")),
            )
        except (MalformedEvent, KeyError, ValueError) as error:
            log.error(  # noqa: TRY400 - the reason is the message
                "message %s of the stream %s is no event: %s (to see it: nats stream get %s %s)",
                message.seq,
                self._stream,
                error,
                self._stream,
                message.seq,
            )
            return None
