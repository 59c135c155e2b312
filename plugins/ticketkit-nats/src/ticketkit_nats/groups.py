"""The consumers of groups: one for each group and name of an event, so each name has its place and stays subscribed.

With one consumer a group, a member of an older release would be given events that it can't handle while a newer one is
rolled out, and names that nobody asks for any more would fill what may be begun at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nats.js import api
from nats.js.errors import APIError

from ticketkit.backends.errors import Unavailable
from ticketkit_nats import streams
from ticketkit_nats.faults import CONSUMER_NOT_FOUND
from ticketkit_nats.state import Place, State
from ticketkit_nats.subjects import Subjects, consumer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from ticketkit_nats.connection import Connection

_MOVES: Final = 10
_A_PAGE: Final = 256
"""Consumers that the server lists at once."""
_MISSING: Final = frozenset({CONSUMER_NOT_FOUND})


class Groups:
    """Makes, checks and moves consumers.

    Args:
        connection: To the servers.
        state: Where their places are.
    """

    def __init__(self, connection: Connection, state: State) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._stream = connection.settings.stream
        self._subjects = Subjects(connection.settings.prefix)
        self._state = state

    async def join(self, group: str, name: str) -> str:
        """See that a group gets the events of a name from now on; returns the consumer.

        A consumer that is missing although the group has a place was lost by the server, or moved: it begins there.
        """
        place = await self._place(group, name)
        want = self._wanted(place)
        info = await self._info(place)
        if info is None:
            await self._create(want)
            if place.epoch:
                await self._delete(consumer_of(group, name, place.epoch - 1))
        elif _settings(info.config) != _settings(want):
            ack_wait, pending, filters = _settings(want)
            await self._create(
                replace(info.config, ack_wait=ack_wait, max_ack_pending=pending, filter_subjects=filters)
            )
        return str(want.name)

    async def note(self, group: str, name: str) -> None:
        """Write down how far a group is, for the case that the server loses its consumer."""
        known = await self._state.place(group, name)
        if known is None:
            return
        place, number = known
        info = await self._info(place)
        if info is not None and _next(info) > place.start:
            await self._state.set_place(replace(place, start=_next(info)), over=number)

    async def move(self, group: str, *, since: datetime | None, sequence: int | None) -> None:
        """Let a group begin again from an event on.

        What it has not acknowledged before that stays to be delivered.

        Raises:
            LookupError: There is no such group.
        """
        names = await self._state.names(group)
        if not names:
            raise LookupError(f"There is no group {group!r} on this bus.")
        first = sequence if sequence is not None else await self._first_since(since)
        for name in names:
            await self._move(group, name, first)
            await self.join(group, name)

    async def lag(self) -> dict[str, int]:
        """How many events each group has still to handle, as its consumers say."""
        newest: dict[tuple[str, str], tuple[int, int]] = {}
        async for info in self._consumers():
            group, _, name = (info.config.description or "").rpartition(": ")
            first = consumer_of(group, name)
            epoch = info.name.removeprefix(first).removeprefix("+") or "0"
            if group and info.name.startswith(first) and epoch.isdecimal():
                unended = int(epoch), (info.num_pending or 0) + (info.num_ack_pending or 0)
                newest[group, name] = max(unended, newest.get((group, name), unended))
        found: dict[str, int] = {}
        for (group, _), (_, number) in newest.items():
            found[group] = found.get(group, 0) + number
        return found

    async def _consumers(self) -> AsyncIterator[api.ConsumerInfo]:
        seen = 0
        while True:
            some: list[api.ConsumerInfo] = await self._connection.call(
                lambda jetstream, offset=seen: jetstream.consumers_info(self._stream, offset)  # type: ignore[misc]
            )
            for info in some:
                yield info
            seen += len(some)
            if len(some) < _A_PAGE:
                return

    async def _move(self, group: str, name: str, first: int) -> None:
        for _ in range(_MOVES):
            known = await self._state.place(group, name)
            if known is None:
                return
            place, number = known
            info = await self._info(place)
            start = max(1, min(first, _next(info) if info is not None else place.start))
            if await self._state.set_place(replace(place, start=start, epoch=place.epoch + 1), over=number):
                return
        raise Unavailable(f"The place of group {group!r} among {name} is being written by somebody else.")

    async def _place(self, group: str, name: str) -> Place:
        known = await self._state.place(group, name)
        if known is not None:
            return known[0]
        place = Place(group, name, await streams.last_sequence(self._connection) + 1, 0)
        info = await self._info(place)
        if info is not None:  # the state was lost, and the consumer was not
            place = replace(place, start=_next(info))
        if not await self._state.set_place(place, over=0):
            return await self._place(group, name)
        return place

    async def _first_since(self, since: datetime | None) -> int:
        """Number of the first event that was stored at a time or later: an ephemeral consumer knows where it begins."""
        if since is None:
            raise ValueError("replay needs since or sequence.")
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=since,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=10,
            mem_storage=True,
            num_replicas=1,
        )
        info = await self._connection.call(lambda jetstream: jetstream.add_consumer(self._stream, config))
        await self._delete(info.name)
        return (info.delivered.stream_seq if info.delivered else 0) + 1

    def _wanted(self, place: Place) -> api.ConsumerConfig:
        consumer = consumer_of(place.group, place.name, place.epoch)
        return api.ConsumerConfig(
            name=consumer,
            durable_name=consumer,
            description=f"{place.group}: {place.name}",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=place.start,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self._settings.lease,
            max_deliver=-1,
            max_ack_pending=self._settings.pending,
            filter_subjects=self._subjects.heard(place.group, place.name),
        )

    async def _create(self, config: api.ConsumerConfig) -> None:
        await self._connection.call(lambda jetstream: jetstream.add_consumer(self._stream, config))

    async def _info(self, place: Place) -> api.ConsumerInfo | None:
        consumer = consumer_of(place.group, place.name, place.epoch)
        try:
            info: api.ConsumerInfo = await self._connection.call(
                lambda jetstream: jetstream.consumer_info(self._stream, consumer), passing=_MISSING
            )
        except APIError:
            return None
        return info

    async def _delete(self, consumer: str) -> None:
        try:
            await self._connection.call(
                lambda jetstream: jetstream.delete_consumer(self._stream, consumer), passing=_MISSING
            )
        except APIError:
            return


def _settings(config: api.ConsumerConfig) -> tuple[float | None, int | None, list[str] | None]:
    return config.ack_wait, config.max_ack_pending, config.filter_subjects


def _next(info: api.ConsumerInfo) -> int:
    floor = info.ack_floor.stream_seq if info.ack_floor else 0
    return max(floor + 1, info.config.opt_start_seq or 1)
