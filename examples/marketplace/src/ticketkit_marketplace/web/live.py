"""What changes, told to the pages that show it: one ear on the bus, a stream for each open page.

bus ── Hub.hear ──> topics ──> Ear of each stream ──> page, which then looks again

No state goes this way, only that something has changed: the page is fetched again by who may see it.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio

from ticketkit.backends.errors import BackendError
from ticketkit.ids import new_id
from ticketkit_marketplace.web.topics import HEARD, Change, topics_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator
    from contextlib import AbstractAsyncContextManager

    from ticketkit.events.envelope import Event
    from ticketkit.marketplace import Marketplace
    from ticketkit_marketplace.web.topics import Topic

log = logging.getLogger(__name__)


FEW: Final = 16
"""Changes that wait for one page; when there are more, it is only told to look again."""
REMEMBERED: Final = 10_000
"""Topics whose last change is remembered, for pages that begin to listen after they were made."""
AGAIN_AFTER: Final = 30.0
"""Seconds after which a bus that could not be opened is tried again."""

Source: TypeAlias = "Callable[[], AbstractAsyncContextManager[AsyncIterator[Event[Any]]]]"
"""Opens what the hub hears: all events of `HEARD`."""


class Full(Exception):
    """There is no room for one more stream.

    Args:
        address: Whether it is the address that has too many, and not all together.
    """

    def __init__(self, *, address: bool) -> None:
        self.address = address
        super().__init__()


class Ear:
    """What waits to be told to one page.

    Attributes:
        place: Between 0 and 1, another one for each: so that not all look again at the same moment.
        over: Set when the stream has to end.
    """

    def __init__(self, topics: Collection[Topic], place: float) -> None:
        self.topics, self.place = frozenset(topics), place
        self.over = anyio.Event()
        self._changes: dict[tuple[str, str], Change] = {}
        self._again = False
        self._told = anyio.Event()

    def tell(self, change: Change) -> None:
        """Something has changed; of the same thing, the newest counts."""
        if not self._again:
            self._changes[change.what, change.id] = change
            if len(self._changes) > FEW:
                self.look_again()
        self._told.set()

    def look_again(self) -> None:
        """It is not known what has changed."""
        self._again = True
        self._changes.clear()
        self._told.set()

    def end(self) -> None:
        """Let the stream end."""
        self.over.set()
        self._told.set()

    async def told(self) -> None:
        """Wait until there is something to tell, or the end."""
        await self._told.wait()

    def take(self) -> list[Change] | None:
        """What has changed, taken away; None when that is not known."""
        changes, again = list(self._changes.values()), self._again
        self._changes, self._again = {}, False
        if not self.over.is_set():
            self._told = anyio.Event()
        return None if again else changes


class Hub:
    """Tells open streams what they show has changed.

    Args:
        most: Streams at once.
        most_an_address: The same of one client address.
    """

    def __init__(self, *, most: int, most_an_address: int) -> None:
        self._most, self._most_an_address = most, most_an_address
        self._ears: dict[Topic, set[Ear]] = {}
        self._addresses: Counter[str] = Counter()
        self._places = count()
        self._name = new_id()
        self._number = 0
        self._last: OrderedDict[Topic, int] = OrderedDict()
        self._forgotten = 0
        self._hears = self._closed = False
        self._changed: list[Callable[[Topic], None]] = []

    @property
    def hears(self) -> bool:
        """Whether there is anything to be heard; where not, pages look again by themselves."""
        return self._hears and not self._closed

    @property
    def open(self) -> int:
        """How many streams there are."""
        return self._addresses.total()

    @property
    def now(self) -> str:
        """The moment, for `missed`."""
        return f"{self._name}.{self._number}"

    def on_change(self, call: Callable[[Topic], None]) -> None:
        """Have a function called with each topic that has changed."""
        self._changed.append(call)

    def listeners(self, topic: Topic) -> int:
        """How many streams are about a topic."""
        return len(self._ears.get(topic, ()))

    def check_room(self, address: str) -> None:
        """Go on only when there is room for one more.

        Raises:
            Full: There is none.
        """
        if self._addresses[address] >= self._most_an_address:
            raise Full(address=True)
        if self.open >= self._most:
            raise Full(address=False)

    @contextmanager
    def ear(self, topics: Collection[Topic], *, address: str, since: str = "") -> Iterator[Ear]:
        """An ear for one stream; told at once to look again if something has changed since.

        Args:
            topics: What it hears of.
            address: Of the client.
            since: What `now` was when the page was made; empty: from now on.
        """
        ear = Ear(topics, next(self._places) * 0.618 % 1)
        for topic in ear.topics:
            self._ears.setdefault(topic, set()).add(ear)
        self._addresses[address] += 1
        if since and self.missed(ear.topics, since):
            ear.look_again()
        if not self.hears:
            ear.end()
        try:
            yield ear
        finally:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            for topic in ear.topics:
                self._ears[topic].discard(ear)
                if not self._ears[topic]:
                    del self._ears[topic]

    def missed(self, topics: Collection[Topic], since: str) -> bool:
        """Whether something has changed since a moment, or may have."""
        name, _, number = since.rpartition(".")
        if name != self._name or not (number.isascii() and number.isdigit()) or int(number) < self._forgotten:
            return True
        return any(self._last.get(topic, 0) > int(number) for topic in topics)

    def tell(self, event: Event[Any]) -> None:
        """Tell the streams that an event is for."""
        self._number += 1
        change = Change(event.envelope.name.partition(".")[0].replace("live_", ""), event.data.id, event.data.version)
        for topic in topics_of(event.data):
            self._remember(topic)
            for call in self._changed:
                call(topic)
            for ear in self._ears.get(topic, ()):
                ear.tell(change)

    async def hear(self, source: Source, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        """Hear the bus until cancelled or closed; what can't be opened is tried again."""
        ready = _Once(task_status.started)
        while not self._closed:
            try:
                async with source() as events:
                    self._hears = True
                    self._forgotten = self._number = self._number + 1  # nobody knows what was said before
                    ready()
                    async for event in events:
                        self.tell(event)
                return
            except BackendError as error:
                log.warning("open pages are told nothing, and look again by themselves: %s", error)
            finally:
                self._deafen()
            ready()
            await anyio.sleep(AGAIN_AFTER)

    def close(self) -> None:
        """End all streams, and take no more: the process stops."""
        self._closed = True
        self._deafen()

    def _deafen(self) -> None:
        self._hears = False
        for ear in {ear for ears in self._ears.values() for ear in ears}:
            ear.end()

    def _remember(self, topic: Topic) -> None:
        self._last[topic] = self._number
        self._last.move_to_end(topic)
        if len(self._last) > REMEMBERED:
            _, self._forgotten = self._last.popitem(last=False)


class _Once:
    """Calls something the first time only."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


def beside(market: Marketplace) -> Source:
    """What a running marketplace of this process hears."""
    return lambda: market.listen(*HEARD)


def alone(market: Marketplace) -> Source:
    """What a marketplace hears that runs for this alone: one without services."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[Event[Any]]]:
        async with market, market.listen(*HEARD) as events:
            yield events

    return opened
