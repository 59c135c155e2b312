"""A member of a group: takes entries with a lease, and ends them."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import weakref
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio.lowlevel

from ticketkit.backends.errors import BackendError
from ticketkit.events.envelope import Envelope, MalformedEvent
from ticketkit_redis.acks import Acks, Place
from ticketkit_redis.bell import LOOK, Bell, Ear
from ticketkit_redis.entries import unpacked
from ticketkit_redis.failures import GroupMissing

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from ticketkit.backends.bus import Delivery
    from ticketkit.backends.clock import Clock
    from ticketkit_redis.server import Server

log = logging.getLogger(__name__)
T = TypeVar("T")

RENEWALS: Final = 3
"""So many times in a lease the leases of what is held begin anew, and what dead members had is looked for."""

MICROS: Final = 1_000_000


class Member:
    """A member of a group.

    Every claim is one step on the server: what dead members had, what is due again, then what is new. Nothing blocks
    there, so an answer is always due within the time-out, and a cancelled `receive` hands back what comes too late.

    Args:
        server: Where.
        bell: Tells what is new.
        clock: To wait by.
        group: Which.
        names: Of the events.
        id: Of this member alone.
    """

    def __init__(self, server: Server, bell: Bell, *, clock: Clock, group: str, names: Sequence[str], id: str) -> None:
        self._server, self._bell, self._clock = server, bell, clock
        self._group, self._names, self._id = group, names, id
        self._lease = server.settings.lease
        keys = server.keys
        self._streams = [key for name in names for key in (keys.events(name), keys.again(group, name))]
        self._triples = [
            key for name in names for key in (keys.delayed(group, name), keys.events(name), keys.again(group, name))
        ]
        self._ear = Ear(names, clock)
        # Of what nobody refers to any more no lease is renewed: it was forgotten, and comes again.
        self._held: weakref.WeakSet[HeldDelivery] = weakref.WeakSet()
        self._running: set[asyncio.Task[Any]] = set()
        self._acks = Acks(self._acknowledge, self._start)
        self._turn = 0
        self._rescue_at: datetime | None = None
        self._claiming = asyncio.Lock()
        self._unsure_until: datetime | None = None

    async def join(self) -> None:
        """Make the group where it is not there: from now on it gets what is published."""
        await self._join("$")
        self._bell.add(self._ear)

    async def receive(self, limit: int) -> Sequence[Delivery]:
        await anyio.lowlevel.checkpoint()
        while True:
            self._ear.forget()
            found, pause = await self._wanted(limit)
            if found:
                return found
            await self._ear.wait(min(LOOK, pause))

    async def stay(self) -> None:
        """Renew the leases of what is held, as long as this runs."""
        while True:
            await self._clock.sleep(self._lease / RENEWALS)
            held = [part for delivery in self._held for part in delivery.place]
            if held:
                with suppress(BackendError):  # the lease is long enough for two more tries
                    await self._server.call("renew", self._streams, self._group, self._id, *held)

    async def leave(self) -> None:
        """Give back at once what was not ended."""
        self._bell.remove(self._ear)
        while self._running:
            await asyncio.wait(self._running)
        with suppress(BackendError):  # then the leases end by themselves
            await self._release(leaves=True)

    async def ack(self, delivery: HeldDelivery) -> None:
        """End a delivery that was handled."""
        await self._acks.add(delivery.place)
        self._held.discard(delivery)

    async def _acknowledge(self, places: Sequence[Place]) -> None:
        flat = [part for place in places for part in place]
        with suppress(GroupMissing):  # the server lost it: nothing is held
            await self._server.call("ack", self._streams, self._group, self._id, *flat)

    async def finish(self, delivery: HeldDelivery, how: str, *more: str | bytes | int) -> None:
        """End a delivery; void when somebody else has it by now."""
        name, keys = delivery.name, self._server.keys
        letter = keys.letter(str(more[0])) if how == "bury" else keys.dead
        places = [
            self._streams[delivery.number - 1],
            keys.again(self._group, name),
            keys.delayed(self._group, name),
            keys.dead,
            letter,
            keys.malformed,
        ]
        _, id, times = delivery.place
        with suppress(GroupMissing):  # the server lost it: nothing is held
            await self._server.call("finish", places, self._group, self._id, id, times, keys.bell, name, how, *more)
        self._held.discard(delivery)

    async def bury(self, delivery: HeldDelivery, error: str) -> None:
        """Move an event to the dead letters; its id is the same however often it gets there."""
        letter = f"{delivery.event.id}:{self._group}"
        await self.finish(delivery, "bury", letter, delivery.attempt, error.encode(errors="replace"))

    async def _wanted(self, limit: int) -> tuple[list[HeldDelivery], float]:
        task = self._start(self._claim(limit))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, claim: asyncio.Task[tuple[list[HeldDelivery], float]]) -> None:
        if claim.cancelled() or claim.exception() is not None or not claim.result()[0]:
            return

        async def hand_back(found: Sequence[HeldDelivery]) -> None:
            for delivery in found:
                with suppress(BackendError):  # then its lease ends: nobody refers to it any more
                    await self.finish(delivery, "retry", 0, delivery.attempt)

        self._start(hand_back(claim.result()[0]))

    def _start(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._server.start(job)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _claim(self, limit: int) -> tuple[list[HeldDelivery], float]:
        async with self._claiming:
            try:
                await self._recover()
                next_due, rows = await self._take(limit)
            except GroupMissing:
                await self._join_again()
                return [], 0
            except BackendError:
                self._unsure_until = self._clock.now() + timedelta(seconds=2 * self._server.settings.timeout)
                raise
            found = [delivery for row in rows if (delivery := await self._read(row)) is not None]
            self._held.update(found)
        pause = 0.0 if rows else next_due / MICROS if next_due >= 0 else LOOK
        return found, pause

    async def _recover(self) -> None:
        """Give back what was claimed while only the answer was lost: it is ours, and nobody knows it.

        A frozen server may run such a claim later, even after the first one that is answered again.
        """
        if self._unsure_until is None:
            return
        await self._release()
        if self._clock.now() >= self._unsure_until:
            self._unsure_until = None

    async def _take(self, limit: int) -> tuple[int, list[Any]]:
        now = self._clock.now()
        rescue = self._rescue_at is None or now >= self._rescue_at
        self._turn = (self._turn + 1) % max(1, len(self._streams))
        lease = int(self._lease * 1000) if rescue else 0
        next_due, rescued, rows, failed = await self._server.call(
            "claim", self._triples, self._group, self._id, limit, self._turn, lease
        )
        if b"NOGROUP" in failed:  # of some names only
            await self._join_again()
        if rescue and rescued < limit:  # else there may be more of them
            self._rescue_at = now + timedelta(seconds=self._lease / RENEWALS)
        return next_due, rows

    async def _join(self, start: str) -> None:
        notes = [json.dumps([self._group, name]) for name in self._names]
        await self._server.call("join", [*self._streams, self._server.keys.groups], self._group, start, *notes)

    async def _join_again(self) -> None:
        log.warning("group %s was lost by the server, and is made anew: all that is still there comes", self._group)
        await self._join("0")

    async def _read(self, row: Any) -> HeldDelivery | None:
        number, id, times, attempt, attributes, body = row
        index = (number - 1) // 3
        stream = 2 * index + (number - 1) % 3
        place = (stream, id.decode(), times)
        try:
            event = unpacked(attributes, body)
        except MalformedEvent as error:
            log.error("entry %s of %s is set aside: %s", place[1], self._streams[stream - 1], error)  # noqa: TRY400 - the reason is the message
            set_aside = HeldDelivery(self, place, name=self._names[index])
            with suppress(BackendError):  # then it comes again
                await self.finish(set_aside, "malformed")
            return None
        delivery = HeldDelivery(self, place, name=self._names[index])
        delivery.event, delivery.attempt = event, int(attempt)
        return delivery

    async def _release(self, *, leaves: bool = False) -> None:
        held = [f"{delivery.place[0]} {delivery.place[1]}" for delivery in self._held]
        await self._server.call(
            "release",
            self._streams,
            self._group,
            self._id,
            self._server.keys.bell,
            "\n".join(self._names),
            int(leaves),
            *(() if leaves else held),
        )


class HeldDelivery:
    """One event, held by a member of a group.

    Args:
        member: Who has it.
        place: Number of its stream (from 1), its id there, and how often it was delivered: whoever takes it over
            changes that, which makes this delivery void.
        name: Of the event.
    """

    event: Envelope
    attempt: int

    def __init__(self, member: Member, place: Place, *, name: str) -> None:
        self.place = place
        self.name = name
        self._member = member

    @property
    def number(self) -> int:
        """Of its stream."""
        return self.place[0]

    async def ack(self) -> None:
        await self._member.ack(self)

    async def retry(self, after: float, *, counted: bool = True) -> None:
        await self._member.finish(self, "retry", math.ceil(max(0.0, after) * MICROS), self.attempt + int(counted))

    async def bury(self, error: str) -> None:
        await self._member.bury(self, error)
