"""A bus on Redis Streams.

Each name of events has a stream, so a group reads nothing that it is not subscribed to, and each is trimmed by the
groups that read it. A group has, for each name, a stream of its own for what it gets again, and a sorted set for what
it gets again later: copies, so only what nobody has read or acknowledged yet keeps an entry from being trimmed.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.bus import DeadLetter
from ticketkit.backends.errors import BackendError, CapabilityNotSupported
from ticketkit.backends.spec import Capability, Context
from ticketkit_redis import entries
from ticketkit_redis.bell import Bell
from ticketkit_redis.listener import Listener
from ticketkit_redis.member import Member
from ticketkit_redis.server import Server, opened
from ticketkit_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence

    from ticketkit.backends.bus import Subscription
    from ticketkit.events.envelope import Envelope

TRIMS: Final = 10
"""So many times in `keep` a publisher trims its streams, if that is not oftener than it publishes."""

TRIM_MOST: Final = 10_000
"""Entries that `trim.lua` cuts from a stream at most."""

COUNTED: Final = 1_000
"""Events of one name that a group has not read are counted up to here, where the server does not say how many."""

_MOST_PAIRS: Final = 1_000


class RedisBus:
    """`Bus` on a Redis server.

    Args:
        server: Open.
        bell: Tells what is new.
        context: Clock and ids.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})

    def __init__(self, server: Server, bell: Bell, context: Context) -> None:
        self._server, self._bell = server, bell
        self._clock, self._new_id = context.clock, context.new_id
        self._keep = server.settings.keep
        self._trim_at = self._clock.now() + timedelta(seconds=self._keep / TRIMS)
        self._published: set[str] = set()

    async def publish(self, events: Sequence[Envelope]) -> None:
        packed = [entries.packed(event) for event in events]
        for batch in entries.batches(packed):
            names = list(dict.fromkeys(name for name, _, _ in batch))
            numbers = {name: number for number, name in enumerate(names, start=1)}
            streams = [self._server.keys.events(name) for name in names]
            arguments = [part for name, attributes, body in batch for part in (numbers[name], attributes, body)]
            await self._server.kept("publish", streams, self._server.keys.bell, "\n".join(names), *arguments)
            self._published.update(streams)
        if self._clock.now() >= self._trim_at:
            with suppress(BackendError):  # the events are published; another time will do
                await self.trim()

    async def trim(self) -> None:
        """Cut what is older than `keep` and acknowledged by all groups, from the streams that this bus published to."""
        self._trim_at = self._clock.now() + timedelta(seconds=self._keep / TRIMS)
        for stream in sorted(self._published):
            while await self._server.call("trim", [stream], int(self._keep * 1000)) >= TRIM_MOST:
                pass

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
        member = Member(
            self._server, self._bell, clock=self._clock, group=group, names=sorted(set(names)), id=self._new_id()
        )
        await member.join()
        try:
            async with _beside(member.stay()):
                yield member
        finally:
            with anyio.CancelScope(shield=True):
                await member.leave()

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
        listener = Listener(self._server, self._bell, clock=self._clock, names=sorted(set(names)))
        await listener.begin()
        try:
            yield listener
        finally:
            listener.end()

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        found = []
        for id in await self._server.first(self._server.keys.dead, limit):
            letter = await self._server.fields(self._server.keys.letter(id.decode()))
            if letter:  # else somebody dropped it in between
                found.append(_letter(id.decode(), letter))
        return found

    async def replay_dead_letter(self, id: str) -> bool:
        return await self._exhume(id, deliver=True)

    async def drop_dead_letter(self, id: str) -> bool:
        return await self._exhume(id, deliver=False)

    async def lag(self) -> Mapping[str, int]:
        keys = self._server.keys
        pairs: list[tuple[str, str]] = [json.loads(note) for note in await self._server.first(keys.groups, _MOST_PAIRS)]
        places = [
            key
            for group, name in pairs
            for key in (keys.events(name), keys.again(group, name), keys.delayed(group, name))
        ]
        groups = [group for group, _ in pairs]
        found: dict[str, int] = {}
        for group, number in zip(groups, await self._server.call("lag", places, *groups, COUNTED), strict=True):
            if number >= 0:
                found[group] = found.get(group, 0) + number
        return found

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        raise CapabilityNotSupported("The Redis bus can't deliver what was handled again (capability replay).")

    async def _exhume(self, id: str, *, deliver: bool) -> bool:
        keys = self._server.keys
        letter = await self._server.fields(keys.letter(id))
        if not letter:
            return False
        again = keys.again(letter[b"group"].decode(), letter[b"name"].decode())
        places = [keys.dead, keys.letter(id), again]
        return bool(await self._server.call("exhume", places, id, keys.bell, int(deliver)))


def _letter(id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        id=id,
        group=fields[b"group"].decode(),
        event=entries.unpacked(fields[b"a"], fields[b"d"]),
        attempts=int(fields[b"attempts"]),
        error=fields[b"error"].decode(),
    )


@asynccontextmanager
async def _beside(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    # No task group: that would wrap what the body raises, and who subscribes looks for `Unavailable` as it is.
    task = asyncio.ensure_future(job)
    try:
        yield
    finally:
        task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@asynccontextmanager
async def open_bus(url: str, context: Context) -> AsyncIterator[RedisBus]:
    """Open a bus by URL."""
    async with opened(Settings.of(url)) as server:
        bell = Bell(server, context.clock)
        async with _beside(bell.listen()):
            yield RedisBus(server, bell, context)
