"""A listener of the broadcast: reads on from the newest entry that it saw."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio.lowlevel

from ticketkit.events.envelope import Envelope, MalformedEvent
from ticketkit_redis.bell import LOOK, Bell, Ear
from ticketkit_redis.entries import unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.bus import Delivery
    from ticketkit.backends.clock import Clock
    from ticketkit_redis.server import Server

log = logging.getLogger(__name__)


class Listener:
    """Hears what is published after it began to listen.

    Args:
        server: Where.
        bell: Tells what is new.
        clock: To wait by.
        names: Of the events.
    """

    def __init__(self, server: Server, bell: Bell, *, clock: Clock, names: Sequence[str]) -> None:
        self._server, self._bell = server, bell
        self._streams = [server.keys.events(name) for name in names]
        self._ear = Ear(names, clock)
        self._heard: list[str] = []
        self._turn = 0

    async def begin(self) -> None:
        """Hear what comes from now on."""
        self._heard = [id.decode() for id in await self._server.call("tails", self._streams)]
        self._bell.add(self._ear)

    def end(self) -> None:
        """Hear no more."""
        self._bell.remove(self._ear)

    async def receive(self, limit: int) -> Sequence[Delivery]:
        await anyio.lowlevel.checkpoint()
        while True:
            self._ear.forget()
            if found := await self._look(limit):
                return found
            await self._ear.wait(LOOK)

    async def _look(self, limit: int) -> list[Heard]:
        self._turn = (self._turn + 1) % max(1, len(self._streams))
        lost, rows = await self._server.call("hear", self._streams, limit, self._turn, *self._heard)
        for number in lost:
            log.warning("%s begins anew: the server lost what was there", self._streams[number - 1])
            self._heard[number - 1] = "0-0"
        found = []
        for number, id, attributes, body in rows:
            self._heard[number - 1] = id.decode()
            try:
                found.append(Heard(unpacked(attributes, body)))
            except MalformedEvent as error:
                log.warning("entry %s of %s is passed over: %s", id.decode(), self._streams[number - 1], error)
        return found


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
