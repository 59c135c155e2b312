"""Publishes many messages at once, and waits for the acknowledgement of each."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.errors import Refused, Unavailable
from ticketkit_nats.faults import TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from ticketkit_nats.connection import Connection

WINDOW: Final = 1024
"""Most messages that are sent and not yet acknowledged."""
_NOBODY: Final = "503"
_OVERHEAD: Final = 64
"""More than the header block of a message has besides names and values, and what a server adds."""


class StreamMissing(Unavailable):
    """No stream takes the subject: it was deleted, or has no leader now."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be stored.

    Attributes:
        subject: Of a stream.
        payload: Its bytes.
        headers: With `Nats-Msg-Id`.
    """

    subject: str
    payload: bytes
    headers: dict[str, str]

    @property
    def size(self) -> int:
        """What a server counts against its `max_payload`, at most."""
        return len(self.payload) + sum(len(name) + len(value) + 4 for name, value in self.headers.items()) + _OVERHEAD


class _Batch:
    def __init__(self, size: int) -> None:
        self.left = size
        self.failures: list[str] = []
        self.refusals: list[str] = []
        self.homeless = False
        self.done = anyio.Event()


class Publisher:
    """Publishes over one connection.

    Args:
        connection: To the servers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count()
        self._batches: dict[str, _Batch] = {}
        self._client: Client | None = None
        self._inbox = ""
        self._listening = anyio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Store messages; returns when the server has acknowledged all of them.

        Raises:
            Unavailable: None, some or all of them are stored.
            Refused: One of them never will be.
        """
        for start in range(0, len(messages), WINDOW):
            await self._publish(messages[start : start + WINDOW])

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        client = await self._connection.client()
        largest = client.max_payload
        for message in messages:
            if message.size > largest:
                raise Refused(f"An event has {message.size} bytes; the server takes {largest} (its max_payload).")
        inbox = await self._listen(client)
        batch = _Batch(len(messages))
        tokens = [str(next(self._numbers)) for _ in messages]
        self._batches.update(dict.fromkeys(tokens, batch))

        async def work() -> None:
            for token, message in zip(tokens, messages, strict=True):
                await client.publish(message.subject, message.payload, inbox + token, message.headers)
            await batch.done.wait()

        try:
            await self._connection.run(client, work, within=self._connection.settings.timeout)
        finally:
            for token in tokens:
                self._batches.pop(token, None)
        if batch.homeless:
            raise StreamMissing(f"NATS ({self._connection.settings.where}): no stream takes {messages[0].subject} now.")
        if batch.refusals:
            raise Refused(f"NATS refused an event: {batch.refusals[0]}.")
        if batch.failures:
            raise Unavailable(f"NATS ({self._connection.settings.where}) did not store an event: {batch.failures[0]}.")

    async def _listen(self, client: Client) -> str:
        async with self._listening:
            if client is not self._client:
                inbox = client.new_inbox() + "."
                await self._connection.run(client, lambda: client.subscribe(inbox + "*", cb=self._answered), within=5)
                self._inbox, self._client = inbox, client
            return self._inbox

    async def _answered(self, answer: Msg) -> None:
        batch = self._batches.pop(answer.subject.rpartition(".")[2], None)
        if batch is None:
            return
        # The usual answer is {"stream":"ticketkit","seq":17}: what is in no other need not be read.
        if answer.headers is not None or b'"error"' in answer.data:
            self._failed(batch, answer)
        batch.left -= 1
        if not batch.left:
            batch.done.set()

    def _failed(self, batch: _Batch, answer: Msg) -> None:
        if answer.headers and answer.headers.get("Status") == _NOBODY:
            batch.homeless = True
            return
        error: dict[str, Any] = json.loads(answer.data).get("error") or {}
        if error:
            said = f"{error.get('description')} (error {error.get('err_code')})"
            (batch.refusals if error.get("err_code") == TOO_LARGE else batch.failures).append(said)
