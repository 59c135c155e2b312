"""A listener of the broadcast: an ephemeral consumer, made anew behind what was heard when it is lost."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
from nats.js import api

from ticketkit.backends.errors import BackendError, Unavailable
from ticketkit.events.envelope import MalformedEvent
from ticketkit_nats import streams
from ticketkit_nats.puller import ConsumerGone, Puller
from ticketkit_nats.subjects import Subjects, event_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from ticketkit.events.envelope import Envelope
    from ticketkit_nats.connection import Connection

log = logging.getLogger(__name__)

_INACTIVE: Final = 120.0
"""Seconds after which the server removes the consumer of a listener that is gone."""
_REBINDS: Final = 3
_LEAVE: Final = 3.0


class Heard:
    """One event of a broadcast: there is nothing to end."""

    def __init__(self, event: Envelope) -> None:
        self.event = event
        self.attempt = 1

    async def ack(self) -> None:
        pass

    async def retry(self, after: float, *, counted: bool = True) -> None:
        pass

    async def bury(self, error: str) -> None:
        pass


class Listener:
    """Hears what is published after it began to listen.

    Args:
        connection: To the servers.
        names: Of events.
    """

    def __init__(self, connection: Connection, names: Sequence[str]) -> None:
        self._connection = connection
        self._stream = connection.settings.stream
        subjects = Subjects(connection.settings.prefix)
        self._filters = [subjects.every(name) for name in names]
        self._heard = 0
        self._puller: Puller | None = None
        self._consumer = ""

    async def begin(self) -> None:
        """Hear everything from now on."""
        self._heard = await streams.last_sequence(self._connection)
        await self._bound()

    async def receive(self, limit: int) -> Sequence[Heard]:
        rebinds = 0
        while True:
            puller = await self._bound()
            try:
                messages = await puller.pull(limit)
            except ConsumerGone as error:
                rebinds += 1
                self._puller = None
                await _ended(puller)
                if rebinds > _REBINDS:
                    raise Unavailable(f"NATS ({self._connection.settings.where}): {error}") from error
                continue
            self._heard = messages[-1].metadata.sequence.stream
            if found := [Heard(event) for event in map(_event, messages) if event is not None]:
                return found

    async def end(self) -> None:
        """Leave."""
        with anyio.move_on_after(_LEAVE, shield=True), suppress(BackendError):
            if self._puller is not None:
                await _ended(self._puller)
                consumer = self._consumer
                await self._connection.call(lambda jetstream: jetstream.delete_consumer(self._stream, consumer))

    async def _bound(self) -> Puller:
        client = await self._connection.client()
        if self._puller is None or self._puller.client is not client:
            self._puller = await self._bind(client)
        return self._puller

    async def _bind(self, client: Client) -> Puller:
        newest = await streams.last_sequence(self._connection)
        # A stream that was made anew counts from 1: all of it is new to us.
        self._heard = 0 if newest < self._heard else self._heard
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._heard + 1,
            ack_policy=api.AckPolicy.NONE,
            filter_subjects=self._filters,
            inactive_threshold=_INACTIVE,
            mem_storage=True,
            num_replicas=1,
        )
        info = await self._connection.call(lambda jetstream: jetstream.add_consumer(self._stream, config))
        self._consumer = info.name
        puller = Puller(self._connection, client, stream=self._stream, consumers=[info.name], keep=True)
        await puller.open()
        return puller


async def _ended(puller: Puller) -> None:
    with anyio.move_on_after(_LEAVE, shield=True), suppress(BackendError):
        await puller.close()


def _event(message: Msg) -> Envelope | None:
    try:
        return event_of(message.data, message.headers)
    except MalformedEvent as error:
        log.error("NATS, broadcast: %s: %s", message.subject, error)  # noqa: TRY400 - the reason is the message
        return None
