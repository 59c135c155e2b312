"""The consumers of groups: one for each group and name of an event, so each name has its place and stays subscribed.

With one consumer a group, a member of an older release would be given events that it can't handle while a newer one is
rolled out, and names that nobody asks for any more would fill what may be begun at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nats.js import api
from nats.js.errors import APIError

from ticketkit_nats import streams
from ticketkit_nats.faults import CONSUMER_NOT_FOUND
from ticketkit_nats.state import Place, State
from ticketkit_nats.subjects import Subjects, consumer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ticketkit_nats.connection import Connection

_EPOCH: Final = "ticketkit-epoch"
_MISSING: Final = frozenset({CONSUMER_NOT_FOUND})


class Groups:
    """Makes, checks and moves consumers.

    Args:
        connection: To the servers.
        state: Where their places are.
        new_id: Makes fresh ids.
    """

    def __init__(self, connection: Connection, state: State, new_id: Callable[[], str]) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._stream = connection.settings.stream
        self._subjects = Subjects(connection.settings.prefix)
        self._state = state
        self._new_id = new_id

    async def join(self, group: str, name: str) -> str:
        """See that a group gets the events of a name from now on; returns the consumer.

        A consumer that is missing although the group has a place was lost by the server: it begins there.
        """
        place = await self._place(group, name)
        consumer = consumer_of(group, name)
        info = await self._info(consumer)
        if info is not None and _epoch(info) != place.epoch:
            if await self._place(group, name) != place:  # it was moved just now
                return await self.join(group, name)
            await self._delete(consumer)
            info = None
        if info is None:
            await self._create(self._wanted(place))
            return consumer
        want = self._wanted(place)
        changed = (want.ack_wait, want.max_ack_pending, want.filter_subjects)
        if (info.config.ack_wait, info.config.max_ack_pending, info.config.filter_subjects) != changed:
            ack_wait, pending, filters = changed
            await self._create(
                replace(info.config, ack_wait=ack_wait, max_ack_pending=pending, filter_subjects=filters)
            )
        return consumer

    async def note(self, group: str, name: str) -> None:
        """Write down how far a group is, for the case that the server loses its consumer."""
        known = await self._state.place(group, name)
        info = await self._info(consumer_of(group, name))
        if known is not None and info is not None and _epoch(info) == known[0].epoch:
            await self._state.advance(known[0], over=known[1], start=_next(info))

    async def move(self, group: str, *, since: datetime | None, sequence: int | None) -> None:
        """Let a group begin again from an event on.

        What it has not acknowledged before that stays to be delivered.

        Raises:
            LookupError: There is no such group.
        """
        places = await self._state.places(group)
        if not places:
            raise LookupError(f"There is no group {group!r} on this bus.")
        first = sequence if sequence is not None else await self._first_since(since)
        for place in places:
            info = await self._info(consumer_of(group, place.name))
            here = _next(info) if info is not None and _epoch(info) == place.epoch else place.start
            await self._state.set_place(replace(place, start=max(1, min(first, here)), epoch=self._new_id()))
            await self.join(group, place.name)

    async def _place(self, group: str, name: str) -> Place:
        known = await self._state.place(group, name)
        if known is not None:
            return known[0]
        info = await self._info(consumer_of(group, name))
        start = _next(info) if info is not None else await streams.last_sequence(self._connection) + 1
        place = Place(group, name, start, self._new_id() if info is None else _epoch(info))
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
        consumer = consumer_of(place.group, place.name)
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
            metadata={_EPOCH: place.epoch},
        )

    async def _create(self, config: api.ConsumerConfig) -> None:
        await self._connection.call(lambda jetstream: jetstream.add_consumer(self._stream, config))

    async def _info(self, consumer: str) -> api.ConsumerInfo | None:
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


def _epoch(info: api.ConsumerInfo) -> str:
    return (info.config.metadata or {}).get(_EPOCH, "")


def _next(info: api.ConsumerInfo) -> int:
    floor = info.ack_floor.stream_seq if info.ack_floor else 0
    return max(floor + 1, info.config.opt_start_seq or 1)
