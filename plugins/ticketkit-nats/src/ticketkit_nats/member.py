"""A member of a group: receives, renews its leases, and ends what it was given."""

from __future__ import annotations

import json
import logging
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from ticketkit.backends.errors import BackendError, Unavailable
from ticketkit.events.envelope import MalformedEvent
from ticketkit_nats.puller import ConsumerGone, Puller
from ticketkit_nats.state import Try
from ticketkit_nats.subjects import event_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from ticketkit.backends.clock import Clock
    from ticketkit.events.envelope import Envelope
    from ticketkit_nats.connection import Connection
    from ticketkit_nats.dead import DeadLetters
    from ticketkit_nats.groups import Groups
    from ticketkit_nats.state import State

log = logging.getLogger(__name__)

_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_TERM: Final = b"+TERM"
_PROGRESS: Final = b"+WPI"
_FOREIGN: Final = "ticketkit-foreign"
_REBINDS: Final = 3
_LEAVE: Final = 3.0


class Parts(Protocol):
    """What a member needs of its bus."""

    connection: Connection
    groups: Groups
    state: State
    dead: DeadLetters
    clock: Clock


class Delivery:
    """One event, held by a member of a group.

    Args:
        member: Who holds it.
        message: As it came.
        event: That it is.
        known: What is known of earlier tries.
    """

    def __init__(self, member: Member, message: Msg, event: Envelope, known: Try | None) -> None:
        self.event = event
        self.attempt = 1 if known is None else known.attempt
        self.message = message
        self.known = known
        self.until = member.lease_end()
        self._member = member

    async def ack(self) -> None:
        await self._member.ack(self)

    async def retry(self, after: float, *, counted: bool = True) -> None:
        await self._member.retry(self, after, counted=counted)

    async def bury(self, error: str) -> None:
        await self._member.bury(self, error)


class Member:
    """A member of a group.

    Args:
        bus: Its parts.
        group: Of which.
        names: What it hears.
    """

    def __init__(self, bus: Parts, group: str, names: Sequence[str]) -> None:
        self._bus = bus
        self._connection = bus.connection
        self._group = group
        self._names = names
        self._lease = bus.connection.settings.lease
        self._puller: Puller | None = None
        self._binding = anyio.Lock()
        # Events of which there were tries when this member began, or came back: a server that was killed may have
        # forgotten that it delivered them.
        self._tried: dict[str, set[int]] = {}
        # Of what nobody refers to any more no lease is renewed: it was forgotten, and comes again.
        self._open: weakref.WeakSet[Delivery] = weakref.WeakSet()

    def lease_end(self) -> float:
        """When a lease ends that begins now, as far as this process can tell."""
        return anyio.current_time() + self._lease

    async def join(self) -> None:
        """See that the group gets its events from now on."""
        for name in self._names:
            await self._bus.groups.join(self._group, name)

    async def receive(self, limit: int) -> Sequence[Delivery]:
        rebinds = 0
        while True:
            puller = await self._bound()
            try:
                messages = await puller.pull(limit)
            except ConsumerGone as error:
                rebinds += 1
                await self._unbind(puller)
                if rebinds > _REBINDS:
                    raise Unavailable(f"NATS ({self._connection.settings.where}): {error}") from error
                log.info("NATS, group %s: %s", self._group, error)
                continue
            rebinds = 0
            if found := await self._deliveries(messages):
                return found

    async def stay(self) -> None:
        """Renew the leases of what is held, and write down how far the group is, as long as this runs."""
        # By real time, whatever the clock of the process: the server's leases run by nothing else.
        noted = anyio.current_time()
        while True:
            await anyio.sleep(self._lease / 3)
            with suppress(BackendError):  # the lease is long enough for two more tries
                await self._renew()
            if anyio.current_time() - noted >= max(self._lease, 1):
                noted = anyio.current_time()
                with suppress(BackendError):
                    for name in self._names:
                        await self._bus.groups.note(self._group, name)

    async def leave(self) -> None:
        """Give back at once what is held and was not ended."""
        with anyio.move_on_after(_LEAVE, shield=True):
            held = [one.message.reply for one in self._open]
            self._open.clear()
            if self._puller is not None:
                held += [message.reply for message in await self._puller.close()]
            if held:
                with suppress(BackendError):  # then the leases end by themselves
                    await self._connection.send([(reply, _NAK) for reply in held])

    async def ack(self, delivery: Delivery) -> None:
        """End a delivery: it was handled."""
        if self._holds(delivery):
            await self._answer(delivery, _ACK)
            await self._forget(delivery)

    async def retry(self, delivery: Delivery, after: float, *, counted: bool) -> None:
        """End a delivery: it comes again.

        How often it was tried is written down first; if we die between, it comes again by itself, counted.
        """
        if not self._holds(delivery):
            return
        if counted or after > 0 or delivery.known is not None:
            due = self._bus.clock.now().timestamp() + after
            known = Try(delivery.event.id, delivery.attempt + int(counted), due, after)
            await self._bus.state.set_tried(self._group, delivery.event.name, _number(delivery.message), known)
        await self._answer(delivery, _later(after))

    async def bury(self, delivery: Delivery, error: str) -> None:
        """End a delivery: it is a dead letter."""
        if not self._holds(delivery):
            return
        message = delivery.message
        # The key has the count of deliveries: to bury it again after a failure is the same, after a replay it is not.
        await self._bus.dead.write(
            self._group,
            message.data,
            message.headers or {},
            attempts=delivery.attempt,
            error=error,
            key=f"{message.reply}:{delivery.event.id}",
        )
        await self._answer(delivery, _TERM)
        await self._forget(delivery)

    def _holds(self, delivery: Delivery) -> bool:
        """Whether it is this member's yet: what was ended, went back or ran out of its lease is void."""
        return delivery in self._open and anyio.current_time() < delivery.until

    async def _answer(self, delivery: Delivery, word: bytes) -> None:
        await self._connection.tell(delivery.message.reply, word)
        self._open.discard(delivery)

    async def _forget(self, delivery: Delivery) -> None:
        if delivery.known is None:
            return
        with suppress(BackendError):  # it is only litter
            await self._bus.state.forget_tried(self._group, delivery.event.name, _number(delivery.message))

    async def _renew(self) -> None:
        # What ran out of its lease, because this process stood still, is somebody else's by now.
        now = anyio.current_time()
        held = [one for one in self._open if now < one.until]
        if held:
            end = self.lease_end()
            await self._connection.send([(one.message.reply, _PROGRESS) for one in held])
            for one in held:
                one.until = end

    async def _bound(self) -> Puller:
        async with self._binding:
            client = await self._connection.client()
            if self._puller is None or self._puller.client is not client:
                self._puller = await self._bind(client)
            return self._puller

    async def _bind(self, client: Client) -> Puller:
        consumers = [await self._bus.groups.join(self._group, name) for name in self._names]
        self._tried = {name: await self._bus.state.tries(self._group, name) for name in self._names}
        stream = self._connection.settings.stream
        puller = Puller(self._connection, client, stream=stream, consumers=consumers, keep=False)
        await puller.open()
        return puller

    async def _unbind(self, puller: Puller) -> None:
        async with self._binding:
            if self._puller is puller:
                self._puller = None
        with anyio.move_on_after(_LEAVE, shield=True), suppress(BackendError):
            if left := await puller.close():
                await self._connection.send([(message.reply, _NAK) for message in left])

    async def _deliveries(self, messages: Sequence[Msg]) -> list[Delivery]:
        found: list[Delivery] = []
        taken = 0
        try:
            for message in messages:
                if (delivery := await self._delivery(message)) is not None:
                    found.append(delivery)
                taken += 1
        except BaseException:
            await self._return([*(one.message for one in found), *messages[taken:]])
            raise
        self._open.update(found)
        return found

    async def _return(self, messages: list[Msg]) -> None:
        with anyio.move_on_after(_LEAVE, shield=True), suppress(BackendError):  # else the leases end
            await self._connection.send([(message.reply, _NAK) for message in messages])

    async def _delivery(self, message: Msg) -> Delivery | None:
        try:
            event = event_of(message.data, message.headers)
        except MalformedEvent as error:
            await self._foreign(message, error)
            return None
        known = await self._known(message, event)
        if known is not None and (wait := self._too_early(known)) > 0:
            await self._connection.send([(message.reply, _later(wait))])
            return None
        return Delivery(self, message, event, known)

    async def _known(self, message: Msg, event: Envelope) -> Try | None:
        number = _number(message)
        if message.metadata.num_delivered == 1 and number not in self._tried.get(event.name, ()):
            return None
        return await self._bus.state.tried(self._group, event.name, number, event.id)

    def _too_early(self, known: Try) -> float:
        """Seconds to wait yet: the server counts them itself, but over a restart it forgets a part of them or all."""
        return min(known.due - self._bus.clock.now().timestamp(), known.after)

    async def _foreign(self, message: Msg, error: MalformedEvent) -> None:
        """Somebody published something else on our subjects: it is kept among the dead letters, for people to see."""
        log.error("NATS, group %s: %s: %s", self._group, message.subject, error)
        await self._bus.dead.write(
            self._group,
            message.data,
            message.headers or {},
            attempts=1,
            error=f"{_FOREIGN}: {error}",
            key=message.reply,
        )
        await self._connection.send([(message.reply, _TERM)])


def _number(message: Msg) -> int:
    return message.metadata.sequence.stream


def _later(seconds: float) -> bytes:
    return _NAK if seconds <= 0 else _NAK + b" " + json.dumps({"delay": int(seconds * 1_000_000_000)}).encode()
