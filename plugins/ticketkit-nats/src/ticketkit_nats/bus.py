"""The bus on NATS JetStream."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.spec import Capability, Context
from ticketkit_nats import streams
from ticketkit_nats.connection import Connection
from ticketkit_nats.dead import DeadLetters
from ticketkit_nats.groups import Groups
from ticketkit_nats.listener import Listener
from ticketkit_nats.member import Member
from ticketkit_nats.publisher import Outgoing, Publisher, StreamMissing
from ticketkit_nats.settings import Settings
from ticketkit_nats.state import State
from ticketkit_nats.subjects import Subjects, message_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from datetime import datetime

    from ticketkit.backends.bus import DeadLetter, Subscription
    from ticketkit.events.envelope import Envelope

_MEND: Final = 1.0
_REMEMBERED: Final = 100_000
"""Most events of which it is remembered that their last publish failed."""


class NatsBus:
    """`Bus` on JetStream.

    Args:
        connection: To the servers.
        context: What the runtime lends.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.REPLAY})

    def __init__(self, connection: Connection, context: Context) -> None:
        self.connection = connection
        self.clock = context.clock
        self.state = State(connection)
        self.groups = Groups(connection, self.state)
        self._new_id = context.new_id
        self._subjects = Subjects(connection.settings.prefix)
        self._publisher = Publisher(connection)
        self.dead = DeadLetters(connection, self._publisher)
        self._failed: dict[str, str] = {}

    async def publish(self, events: Sequence[Envelope]) -> None:
        if not events:
            return
        run = self._new_id()
        messages = [self._message(event, run) for event in events]
        try:
            await self._publisher.publish(messages)
        except BaseException as error:
            self._remember(events, run)
            if isinstance(error, StreamMissing):
                with anyio.move_on_after(_MEND), suppress(Unavailable):  # its leader may just be elected
                    await streams.ensure(self.connection)
            raise
        if self._failed:
            for event in events:
                self._failed.pop(event.id, None)

    def _message(self, event: Envelope, run: str) -> Outgoing:
        # The server drops what it stored under the same Nats-Msg-Id not long ago. That is wanted of a publish that is
        # tried again because its answer was lost, and of nothing else: an event that is published anew after it had
        # arrived (`ticketkit dead replay`) has to arrive again.
        payload, headers = message_of(event)
        headers["Nats-Msg-Id"] = f"{event.id}:{self._failed.get(event.id, run)}"
        return Outgoing(self._subjects.of(event), payload, headers)

    def _remember(self, events: Sequence[Envelope], run: str) -> None:
        for event in events:
            self._failed.setdefault(event.id, run)
        while len(self._failed) > _REMEMBERED:
            del self._failed[next(iter(self._failed))]

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
        member = Member(self, group, sorted(set(names)))
        await member.join()
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(member.stay)
            try:
                yield member
            except Exception as error:  # noqa: BLE001 - the caller's own: it is raised below, not in a group
                failure = error
            finally:
                tasks.cancel_scope.cancel()
                await member.leave()
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
        listener = Listener(self.connection, sorted(set(names)))
        await listener.begin()
        try:
            yield listener
        finally:
            await listener.end()

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self.dead.oldest(limit)

    async def replay_dead_letter(self, id: str) -> bool:
        return await self.dead.replay(id)

    async def drop_dead_letter(self, id: str) -> bool:
        return await self.dead.drop(id)

    async def lag(self) -> Mapping[str, int]:
        return await self.groups.lag()

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        await self.groups.move(group, since=since, sequence=sequence)


@asynccontextmanager
async def open_bus(url: str, context: Context) -> AsyncIterator[NatsBus]:
    """Open a bus by URL.

    Raises:
        Misconfigured: The URL, the server, its streams or our permissions are wrong; the message says what to do.
        Unavailable: No server answers.
    """
    connection = Connection(Settings.of(url))
    try:
        await streams.ensure(connection)
        yield NatsBus(connection, context)
    finally:
        await connection.close()
