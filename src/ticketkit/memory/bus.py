"""A bus inside one event loop."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import anyio.lowlevel

from ticketkit.backends.bus import DeadLetter
from ticketkit.backends.errors import CapabilityNotSupported
from ticketkit.memory._bell import Bell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, MutableMapping, Sequence

    from ticketkit.backends.bus import Settled, Subscription
    from ticketkit.backends.clock import Clock
    from ticketkit.backends.spec import Capability
    from ticketkit.events.envelope import Envelope


class _Receipt:
    """Counts the groups that have not ended an event yet."""

    def __init__(self, event_id: str, groups: int, settled: Settled) -> None:
        self._event_id, self._left, self._settled = event_id, groups, settled
        self._error: str | None = None

    def end(self, error: str | None = None) -> None:
        self._left -= 1
        self._error = self._error or error
        if self._left <= 0:
            self._settled(self._event_id, self._error)


@dataclass(frozen=True, slots=True)
class _Message:
    event: Envelope
    attempt: int = 1
    receipt: _Receipt | None = None


class _Queue:
    """What waits for one group, or for one listener of the broadcast."""

    def __init__(self, names: Collection[str], clock: Clock) -> None:
        self.names = frozenset(names)
        self.members = 0
        self.held = 0
        self._clock = clock
        self._waiting: deque[_Message] = deque()
        self._delayed: list[tuple[datetime, int, _Message]] = []
        self._numbers = itertools.count()
        self._arrived = Bell(clock)

    def join(self, names: Collection[str]) -> None:
        """A member came: the first one says what the group hears, others add to it."""
        self.names = frozenset(names) | (self.names if self.members else frozenset())
        self.members += 1

    @property
    def unended(self) -> int:
        """Number of messages that wait, or that members hold."""
        return len(self._waiting) + len(self._delayed) + self.held

    def put(self, message: _Message, *, after: float = 0) -> None:
        if after > 0:
            due = self._clock.now() + timedelta(seconds=after)
            heapq.heappush(self._delayed, (due, next(self._numbers), message))
        else:
            self._waiting.append(message)
        self._arrived.ring()

    def give_back(self, messages: Iterable[_Message]) -> None:
        self._waiting.extendleft(reversed(list(messages)))
        self._arrived.ring()

    async def take(self, limit: int) -> list[_Message]:
        await anyio.lowlevel.checkpoint()
        while not self._ready():
            first = self._delayed[0][0] if self._delayed else None
            await self._arrived.wait(None if first is None else (first - self._clock.now()).total_seconds())
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def _ready(self) -> bool:
        while self._delayed and self._delayed[0][0] <= self._clock.now():
            self._waiting.append(heapq.heappop(self._delayed)[2])
        return bool(self._waiting)


class _Delivery:
    def __init__(self, message: _Message, subscription: _Subscription) -> None:
        self.event = message.event
        self.attempt = message.attempt
        self._message = message
        self._subscription = subscription

    async def ack(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self._subscription.end(self) and self._message.receipt is not None:
            self._message.receipt.end()

    async def retry(self, after: float, *, counted: bool = True) -> None:
        await anyio.lowlevel.checkpoint()
        if self._subscription.end(self):
            message = replace(self._message, attempt=self.attempt + 1) if counted else self._message
            self._subscription.queue.put(message, after=after)

    async def bury(self, error: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self._subscription.end(self):
            self._subscription.bury(self._message, error)


class _Subscription:
    def __init__(
        self, queue: _Queue, bury: Callable[[_Message, str], None], unended: MutableMapping[_Delivery, _Message]
    ) -> None:
        self.queue = queue
        self.bury = bury
        self._unended = unended

    async def receive(self, limit: int) -> Sequence[_Delivery]:
        messages = await self.queue.take(limit)
        deliveries = {_Delivery(message, self): message for message in messages}
        self._unended.update(deliveries)
        self.queue.held += len(deliveries)
        return list(deliveries)

    def end(self, delivery: _Delivery) -> bool:
        """Whether it was still open: what was ended, or went back to the group, is void."""
        if self._unended.pop(delivery, None) is None:
            return False
        self.queue.held -= 1
        return True

    def close(self) -> None:
        self.queue.held -= len(self._unended)
        self.queue.give_back(self._unended.values())
        self._unended.clear()


class MemoryBus:
    """The bus protocol on queues. A group that exists keeps what comes, also while it has no member.

    A group hears the names of its first member; further members that are there at the same time add theirs.

    Args:
        clock: For the delays of retries.
    """

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[str, _Queue] = {}
        self._listeners: set[_Queue] = set()
        self._dead: dict[str, tuple[DeadLetter, _Queue]] = {}
        self._numbers = itertools.count(1)

    async def publish(self, events: Sequence[Envelope]) -> None:
        await anyio.lowlevel.checkpoint()
        for event in events:
            self._spread(event, None)

    async def hand_over(self, events: Sequence[Envelope], settled: Settled) -> None:
        await anyio.lowlevel.checkpoint()
        for event in events:
            self._spread(event, settled)

    def _spread(self, event: Envelope, settled: Settled | None) -> None:
        name = event.name
        groups = [queue for queue in self._groups.values() if name in queue.names]
        receipt = None if settled is None else _Receipt(event.id, len(groups), settled)
        for queue in groups:
            queue.put(_Message(event, receipt=receipt))
        for queue in self._listeners:
            if name in queue.names:
                queue.put(_Message(event))
        if receipt is not None and not groups:
            receipt.end()

    @asynccontextmanager
    async def subscribe(self, group: str, names: Collection[str]) -> AsyncIterator[Subscription]:
        queue = self._groups.setdefault(group, _Queue(names, self._clock))
        queue.join(names)

        def bury(message: _Message, error: str) -> None:
            if message.receipt is not None:
                message.receipt.end(f"{group}: {error}")
                return
            letter = DeadLetter(f"{group}:{next(self._numbers)}", group, message.event, message.attempt, error)
            self._dead[letter.id] = letter, queue

        subscription = _Subscription(queue, bury, {})
        try:
            yield subscription
        finally:
            queue.members -= 1
            subscription.close()

    @asynccontextmanager
    async def broadcast(self, names: Collection[str]) -> AsyncIterator[Subscription]:
        queue = _Queue(names, self._clock)
        self._listeners.add(queue)
        try:
            # Dead letters belong to groups: what a listener buries is gone. Nor does it have to end what it heard,
            # so a delivery is remembered for as long as the listener holds it.
            yield _Subscription(queue, lambda *_: None, WeakKeyDictionary())
        finally:
            self._listeners.discard(queue)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        await anyio.lowlevel.checkpoint()
        return [letter for letter, _ in itertools.islice(self._dead.values(), limit)]

    async def replay_dead_letter(self, id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        letter, queue = self._dead.pop(id, (None, None))
        if letter is None or queue is None:
            return False
        queue.put(_Message(letter.event))
        return True

    async def drop_dead_letter(self, id: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return self._dead.pop(id, None) is not None

    async def lag(self) -> Mapping[str, int]:
        await anyio.lowlevel.checkpoint()
        return {group: queue.unended for group, queue in self._groups.items()}

    async def replay(self, group: str, *, since: datetime | None = None, sequence: int | None = None) -> None:
        msg = "The memory bus keeps nothing that was handled (capability replay)."
        raise CapabilityNotSupported(msg)
