"""A bus on the database, for several processes of one machine that have no broker.

A message is stored once, with one delivery for each group that is subscribed to its name at that moment, in one
commit. A member claims deliveries with a lease that is renewed as long as it lives; acknowledging deletes them.
"""

from __future__ import annotations

import weakref
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.errors import BackendError, CapabilityNotSupported
from ticketkit.backends.spec import Capability, Context
from ticketkit_sql import messages
from ticketkit_sql.database import Database
from ticketkit_sql.opening import opened_file
from ticketkit_sql.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from ticketkit.backends.bus import DeadLetter, Delivery, Subscription
    from ticketkit.events.envelope import Envelope
    from ticketkit_sql.writer import Job

_LONG: Final = 3600.0


class SqlBus:
    """`Bus` on a database.

    Args:
        database: Open.
        lease: For how long a member has a delivery without a sign of life.
        keep: For how long a message is kept that no group waits for.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})

    def __init__(self, database: Database, *, lease: timedelta, keep: timedelta) -> None:
        self._database = database
        self._writer = database.writer
        self._published = database.signal("bus")
        self._lease = lease
        self._keep = keep

    async def publish(self, events: Sequence[Envelope]) -> None:
        if events:
            job = partial(messages.publish, rows=messages.rows_of(events), keep=self._keep)
            await self._writer.run(job, signal=self._published)

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
        await self._writer.run(partial(messages.join, group=group, names=sorted(set(names))))
        member = _Member(self._database, group, sorted(set(names)), self._lease)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.stay)
            try:
                yield member
            except Exception as error:  # noqa: BLE001 - of whoever is subscribed; the task group would wrap it
                failure = error
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await member.leave()
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
        newest = await self._database.read(messages.newest)
        yield _Listener(self._database, sorted(set(names)), newest)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self._database.read(partial(messages.dead_letters, limit=limit))

    async def replay_dead_letter(self, id: str) -> bool:
        return await self._writer.run(partial(messages.replay, id=id), signal=self._published)

    async def drop_dead_letter(self, id: str) -> bool:
        return await self._writer.run(partial(messages.drop, id=id))

    async def lag(self) -> Mapping[str, int]:
        return await self._database.read(messages.lag)

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        raise CapabilityNotSupported("The SQLite bus keeps nothing that was handled (capability replay).")


class _Member:
    """A member of a group."""

    def __init__(self, database: Database, group: str, names: Sequence[str], lease: timedelta) -> None:
        self._database = database
        self._changed = database.signal("bus")
        self._group = group
        self._names = names
        self._lease = lease
        # Of what nobody refers to any more no lease is renewed: it was forgotten, and comes again.
        self._open: weakref.WeakSet[_Delivery] = weakref.WeakSet()

    async def receive(self, limit: int) -> Sequence[Delivery]:
        while True:
            await self._changed.wait_until(self._look, _LONG)
            claim = partial(
                messages.claim,
                group=self._group,
                names=self._names,
                limit=limit,
                lease=self._lease,
                token=self._database.new_id(),
            )
            if held := await self._database.writer.run(claim):
                found = [_Delivery(self, one) for one in held]
                self._open.update(found)
                return found

    async def end(self, delivery: _Delivery, job: Job[None], *, wake: bool = False) -> None:
        """End a delivery by a job."""
        await self._database.writer.run(job, signal=self._changed if wake else None)
        self._open.discard(delivery)

    async def stay(self) -> None:
        """Renew the leases of what is held, as long as this runs."""
        while True:
            await self._database.clock.sleep(self._lease.total_seconds() / 3)
            held = [delivery.held for delivery in self._open]
            if held:
                with suppress(BackendError):  # the lease is long enough for two more tries
                    await self._database.writer.run(partial(messages.renew, held=held, lease=self._lease))

    async def leave(self) -> None:
        """Give back at once what is held and was not ended."""
        held = [delivery.held for delivery in self._open]
        if held:
            with suppress(BackendError):  # then the lease ends by itself
                await self._database.writer.run(partial(messages.give_back, held=held), signal=self._changed)

    async def _look(self) -> bool:
        now = self._database.clock.now()
        return await self._database.read(partial(messages.waiting, now=now, group=self._group, names=self._names))


class _Delivery:
    """One event, held by a member of a group."""

    def __init__(self, member: _Member, held: messages.Held) -> None:
        self.held = held
        self.event = held.event
        self.attempt = held.attempt
        self._member = member

    async def ack(self) -> None:
        await self._member.end(self, partial(messages.ack, held=self.held))

    async def retry(self, after: float, *, counted: bool = True) -> None:
        job = partial(messages.retry, held=self.held, after=timedelta(seconds=after), counted=counted)
        await self._member.end(self, job, wake=True)

    async def bury(self, error: str) -> None:
        await self._member.end(self, partial(messages.bury, held=self.held, error=error))


class _Listener:
    """Hears what is published after it began to listen."""

    def __init__(self, database: Database, names: Sequence[str], newest: int) -> None:
        self._database = database
        self._changed = database.signal("bus")
        self._names = names
        self._heard = newest
        self._found: list[tuple[int, Envelope]] = []

    async def receive(self, limit: int) -> Sequence[Delivery]:
        while not self._found:
            await self._changed.wait_until(partial(self._look, limit), _LONG)
        found, self._found = self._found, []
        self._heard = found[-1][0]
        return [_Heard(event) for _, event in found]

    async def _look(self, limit: int) -> bool:
        # Writers of SQLite take turns, so numbers appear in their order: none comes late, below what was heard.
        look: Any = partial(messages.after, seq=self._heard, names=self._names, limit=limit)
        self._found = await self._database.read(look)
        return bool(self._found)


class _Heard:
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


@asynccontextmanager
async def open_bus(url: str, context: Context) -> AsyncIterator[SqlBus]:
    """Open a bus by URL."""
    settings = Settings.of(url)
    async with opened_file(url, context) as database:
        yield SqlBus(database, lease=timedelta(seconds=settings.lease), keep=timedelta(seconds=settings.keep))
