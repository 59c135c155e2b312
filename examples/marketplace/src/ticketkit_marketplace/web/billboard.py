"""What is on and from how much, remembered for a few seconds: the API has neither in one answer.

A page never waits for numbers that were there before: old ones are shown while new ones are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.rendering import moment_of
from ticketkit_marketplace.web.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from decimal import Decimal

    from ticketkit.backends.clock import Clock
    from ticketkit.http.shapes import LiveEvent
    from ticketkit_marketplace.web.api import Visitor
    from ticketkit_marketplace.web.topics import Topic

V = TypeVar("V")

FRESH: Final = 10.0
"""Seconds for which an answer is as good as new."""
KEPT: Final = 60.0
"""Seconds after which an answer is not shown any more, not even while a new one is on its way."""
FEW: Final = 10
"""Less than so many tickets are few, and said."""
MOST: Final = 5_000
"""Live events on the billboard; there may be more in the marketplace."""
_PAGE: Final = 200
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """What is for sale of a live event.

    Attributes:
        lowest: Price of the cheapest ticket; None when nothing is for sale.
        left: How many there are, where they are few; None: many.
    """

    lowest: Decimal | int | None
    currency: str
    left: int | None


@dataclass(slots=True)
class _Kept(Generic[V]):
    value: V
    at: float


@dataclass(slots=True)
class Remembered(Generic[V]):
    """Answers by key: asked for once by all who wait, shown while they are renewed.

    Args:
        ask: Gets the answer for a key.
    """

    ask: Callable[[str], Awaitable[V]]
    _kept: dict[str, _Kept[V]] = field(default_factory=dict)
    _outdated: dict[str, float] = field(default_factory=dict)
    _asking: dict[str, anyio.Lock] = field(default_factory=dict)

    def known(self, key: str) -> tuple[V | None, bool]:
        """What is remembered, and whether it is fresh."""
        kept = self._kept.get(key)
        age = float("inf") if kept is None else anyio.current_time() - kept.at
        fresh = kept is not None and age < FRESH and kept.at > self._outdated.get(key, float("-inf"))
        return (kept.value if kept is not None and age < KEPT else None), fresh

    async def renew(self, key: str) -> V:
        """Ask, unless somebody just did."""
        lock = self._asking.setdefault(key, anyio.Lock())
        async with lock:
            value, fresh = self.known(key)
            if fresh and value is not None:
                return value
            asked = anyio.current_time()
            value = await self.ask(key)
            self._kept[key] = _Kept(value, asked)
        self._asking.pop(key, None)
        return value

    def outdate(self, key: str) -> None:
        """What is remembered, or just being asked for, is old."""
        self._outdated[key] = anyio.current_time()

    def forget(self, key: str) -> None:
        """Ask anew next time."""
        self._kept.pop(key, None)


class Billboard:
    """Live events that are still to come, the next one first, and what is for sale of each.

    Args:
        api: In nobody's name.
        clock: Says what is still to come.
    """

    def __init__(self, api: Visitor, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._events: Remembered[list[LiveEvent]] = Remembered(self._all_events)
        self._each: Remembered[LiveEvent] = Remembered(self._one_event)
        self._offers: Remembered[Offer] = Remembered(self._offer)
        self._group: TaskGroup | None = None

    async def run(self, *, task_status: Any = anyio.TASK_STATUS_IGNORED) -> None:
        """Renew in the background for as long as the web client runs."""
        async with anyio.create_task_group() as group:
            self._group = group
            task_status.started()
            await anyio.sleep_forever()

    async def events(self, text: str = "") -> list[LiveEvent]:
        """Those whose name or venue has every word of a text.

        Raises:
            Refused, Away: They can't be had, and are not remembered.
        """
        now = self._clock.now()
        words = text.casefold().split()
        found = await self._of(self._events, "")
        return [event for event in found if moment_of(event["startsAt"]) > now and _has(event, words)]

    async def offers(self, events: Sequence[LiveEvent]) -> dict[str, Offer]:
        """What is for sale, by id of the live event.

        Raises:
            Refused, Away: It can't be had, and is not remembered.
        """
        return await self._every(self._offers, [event["id"] for event in events])

    async def named(self, ids: Iterable[str]) -> dict[str, LiveEvent]:
        """Live events by id, past and cancelled ones too.

        Raises:
            Refused, Away: One can't be had, and is not remembered.
        """
        return await self._every(self._each, dict.fromkeys(ids))

    async def offer(self, event_id: str) -> Offer:
        """What is for sale of one live event now.

        Raises:
            Refused, Away: It can't be had, and is not remembered.
        """
        value, fresh = self._offers.known(event_id)
        if value is not None and fresh:
            return value
        try:
            return await self._offers.renew(event_id)
        except (Refused, Away):
            if value is None:
                raise
            return value

    async def warm_up(self, number: int) -> None:
        """Ask for the first live events, so that the first visitor does not wait for them.

        Raises:
            Refused, Away: They can't be had.
        """
        await self.offers((await self.events())[:number])

    def changed(self, event_id: str | None = None) -> None:
        """Somebody here has announced a live event, or listed tickets for one: ask anew."""
        self._events.forget("")
        if event_id is not None:
            self._each.forget(event_id)
            self._offers.forget(event_id)

    def heard(self, topic: Topic) -> None:
        """Something has changed: what is remembered of it is old."""
        if topic.kind is Kind.TICKETS:
            self._offers.outdate(topic.id)
        elif topic.kind is Kind.EVENT:
            self._each.outdate(topic.id)
            self._events.outdate("")

    async def _every(self, remembered: Remembered[V], keys: Iterable[str]) -> dict[str, V]:
        found: dict[str, V] = {}
        missing = []
        for key in keys:
            value, _ = remembered.known(key)
            if value is None:
                missing.append(key)
            else:
                found[key] = await self._of(remembered, key)
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def one(key: str) -> None:
            async with limit:
                found[key] = await self._of(remembered, key)

        await _all(one, missing)
        return found

    async def _of(self, remembered: Remembered[V], key: str) -> V:
        value, fresh = remembered.known(key)
        if value is None:
            return await remembered.renew(key)
        if not fresh and self._group is not None:
            self._group.start_soon(partial(_quietly, remembered, key))
        return value

    async def _all_events(self, _: str) -> list[LiveEvent]:
        events: list[LiveEvent] = []
        cursor: str | None = None
        while len(events) < MOST:
            part = await self._api.part("/api/events", limit=_PAGE, cursor=cursor)
            events += part.items
            if (cursor := part.next) is None:
                break
        on = [event for event in events if event["status"] == "scheduled"]
        return sorted(on, key=lambda event: (event["startsAt"], event["name"], event["id"]))

    async def _one_event(self, event_id: str) -> LiveEvent:
        event: LiveEvent = await self._api.get(f"/api/events/{event_id}")
        return event

    async def _offer(self, event_id: str) -> Offer:
        part = await self._api.part(f"/api/events/{event_id}/tickets", sort="price", limit=FEW)
        if not part.items:
            return Offer(None, "", 0)
        cheapest = part.items[0]
        left = len(part.items) if part.next is None and len(part.items) < FEW else None
        return Offer(cheapest["price"], cheapest["currency"], left)


async def _quietly(remembered: Remembered[Any], key: str) -> None:
    try:
        await remembered.renew(key)
    except (Away, Refused):
        return  # the old answer is shown until it is too old


async def _all(work: Callable[[str], Awaitable[None]], keys: Sequence[str]) -> None:
    """Work on all keys at once; what fails fails alone, and is raised by itself."""
    failures: list[Away | Refused] = []

    async def guarded(key: str) -> None:
        try:
            await work(key)
        except (Away, Refused) as error:
            failures.append(error)

    async with anyio.create_task_group() as group:
        for key in keys:
            group.start_soon(guarded, key)
    if failures:
        raise failures[0]


def _has(event: LiveEvent, words: Sequence[str]) -> bool:
    text = f"{event['name']} {event['venue']}".casefold()
    return all(word in text for word in words)
