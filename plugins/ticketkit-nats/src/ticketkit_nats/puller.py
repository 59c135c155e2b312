"""Pulls messages of some consumers through one inbox.

A request for one message waits at each consumer. When one was answered, the consumer is asked for what else it has now,
and these requests end at once: so nobody holds messages that somebody else could handle.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import nats.errors

from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from ticketkit_nats.connection import Connection

EXPIRES: Final = 30.0
HEARTBEAT: Final = 5.0
_STALLED: Final = 0.05
"""Seconds without a message after which no more is expected of a consumer that has something, and does not give it."""
_BILLION: Final = 1_000_000_000
_HEARTBEAT: Final = "100"
_ENDED: Final = ("404", "408")


class ConsumerGone(TicketkitError):
    """A consumer is not there any more, or is silent: it has to be looked at."""


@dataclass(slots=True)
class _Request:
    consumer: str
    token: str
    left: int
    waits: bool
    heard: float
    beats: bool

    @property
    def stalled(self) -> bool:
        """Whether it was to end at once, did not, and is so old that it may be forgotten."""
        return not self.beats and anyio.current_time() - self.heard > EXPIRES


class Puller:
    """Pulls over one client.

    Args:
        connection: That the client is of.
        client: Connected.
        stream: Of the consumers.
        consumers: Their names.
        keep: Whether what comes while nobody pulls is kept for the next pull, or given back.
    """

    def __init__(
        self, connection: Connection, client: Client, *, stream: str, consumers: Sequence[str], keep: bool
    ) -> None:
        self.client = client
        self._connection = connection
        self._stream = stream
        self._consumers = consumers
        self._keep = keep
        self._inbox = client.new_inbox() + "."
        self._subscription: Subscription | None = None
        self._requests: dict[str, _Request] = {}
        self._numbers = itertools.count()
        self._found: list[Msg] = []
        self._pulling = 0
        self._bell = anyio.Event()
        self._gone: str | None = None

    async def open(self) -> None:
        """Make the inbox."""
        self._subscription = await self._connection.run(
            self.client, lambda: self.client.subscribe(self._inbox + "*", cb=self._arrived), within=5
        )

    async def pull(self, limit: int) -> list[Msg]:
        """Wait for messages; returns 1 to `limit`.

        Raises:
            ConsumerGone: A consumer has to be looked at.
            Unavailable: The connection was lost.
        """
        self._pulling += 1
        try:
            await self._connection.run(self.client, lambda: self._fill(limit))
            taken, self._found = self._found[:limit], self._found[limit:]
            if not self._keep:
                await self._give_back()
            return taken
        finally:
            self._pulling -= 1
            if not self._keep and not self._pulling:
                with anyio.move_on_after(1, shield=True):
                    await self._give_back()

    async def close(self) -> list[Msg]:
        """Stop, as far as the server can be told; returns what came and was not pulled."""
        if self._subscription is not None and self.client.is_connected:
            # What the server sent before it knew comes before the answer to the flush.
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        found, self._found = self._found, []
        return found

    async def _fill(self, limit: int) -> None:
        while not self._found:
            for consumer in self._consumers:
                if consumer not in self._requests or self._requests[consumer].stalled:
                    await self._ask(consumer, 1, waits=True)
            await self._ring(self._patience())
            self._check()
        await self._more(limit)

    async def _more(self, limit: int) -> None:
        ready = [consumer for consumer in self._consumers if consumer not in self._requests]
        room = limit - len(self._found)
        for consumer in ready[:room]:
            await self._ask(consumer, room // min(len(ready), room), waits=False)
        while any(not request.waits for request in self._requests.values()):
            if not await self._ring(_STALLED):
                # As many as may be have been begun and not ended: now these requests wait like the others.
                for request in self._requests.values():
                    request.waits = True

    async def _ask(self, consumer: str, batch: int, *, waits: bool) -> None:
        token = str(next(self._numbers))
        self._requests[consumer] = _Request(consumer, token, batch, waits, anyio.current_time(), waits)
        body: dict[str, Any] = {"batch": batch}
        if waits:
            body |= {"expires": int(EXPIRES * _BILLION), "idle_heartbeat": int(HEARTBEAT * _BILLION)}
        else:
            body["no_wait"] = True
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        await self.client.publish(subject, json.dumps(body).encode(), self._inbox + token)

    async def _arrived(self, message: Msg) -> None:
        # A message has the subject that it was published under, and tells its consumer in the reply; a status has
        # the subject of the request.
        if message.reply:
            await self._message(message)
        else:
            self._status(message)
        self._bell.set()

    async def _message(self, message: Msg) -> None:
        consumer = message.metadata.consumer
        if (request := self._requests.get(consumer)) is not None:
            request.heard = anyio.current_time()
            request.left -= 1
            if request.left <= 0:
                del self._requests[consumer]
        if self._keep or self._pulling:
            self._found.append(message)
        else:
            await self._nak([message])

    def _status(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        request = next((one for one in self._requests.values() if one.token == token), None)
        if request is None:  # of one that was answered
            return
        request.heard = anyio.current_time()
        headers = message.headers or {}
        status = headers.get("Status")
        if status == _HEARTBEAT:
            return
        del self._requests[request.consumer]
        if status not in _ENDED:
            self._gone = f"{request.consumer}: {status} {headers.get('Description', '')}".strip()

    def _patience(self) -> float:
        now = anyio.current_time()
        oldest = min((request.heard for request in self._requests.values() if request.beats), default=now)
        return max(0.0, oldest + 2 * HEARTBEAT + 1 - now)

    def _check(self) -> None:
        if self._gone is not None:
            raise ConsumerGone(self._gone)
        if self._requests and self._patience() <= 0:
            raise ConsumerGone(f"No sign of life of {self._stream} for {2 * HEARTBEAT:g} s.")

    async def _ring(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._bell.wait()
        rang = self._bell.is_set()
        self._bell = anyio.Event()
        return rang

    async def _give_back(self) -> None:
        found, self._found = self._found, []
        await self._nak(found)

    async def _nak(self, messages: list[Msg]) -> None:
        try:
            for message in messages:
                await self.client.publish(message.reply, b"-NAK")
        except nats.errors.Error:  # the connection is lost: their leases end
            return
