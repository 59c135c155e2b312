"""From the outbox to a bus between processes: at least once, and nothing is given up that could still go."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.services.stage import StageBus, StageStorage

from ticketkit.backends.errors import Refused, Unavailable
from ticketkit.domain import tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.memory import MemoryBus, MemoryStorage, VirtualClock
from ticketkit.runtime.relay import BATCH, LANES, LEASE, TRIES, Relay
from ticketkit.services.commands import Commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit.events.envelope import Envelope


class PickyBus(StageBus):
    """Refuses events of some subjects for good."""

    refused: frozenset[str] = frozenset()
    published: Counter[str]

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.published = Counter()

    async def publish(self, events: Sequence[Envelope]) -> None:
        self.check("publish")
        if any(event.subject in self.refused for event in events):
            raise Refused
        self.published.update(event.subject for event in events)


class Post:
    """A storage, a bus, and any number of relays between them."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.storage = StageStorage(MemoryStorage(self.clock))
        self.bus = PickyBus(MemoryBus(self.clock))

    def relay(self) -> Relay:
        return Relay(self.storage, self.bus, clock=self.clock, name="post")

    async def list_tickets(self, number: int = 1) -> tuple[str, ...]:
        command = Commands(new_id).ask("test", actor="seller", fresh=number)
        listings = [tickets.Listing(title="A seat", price=Money(100, "USD"))] * number
        await self.storage.inner.decide(
            Keys(),
            lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=listings),
            command,
        )
        return command.fresh

    async def unpublished(self) -> int:
        return int((await self.storage.inner.totals()).unpublished)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A post with one relay running."""
    post = Post()
    async with anyio.create_task_group() as group:
        group.start_soon(post.relay().run)
        yield post
        group.cancel_scope.cancel()


async def test_what_is_committed_is_published_at_once(post: Post) -> None:
    ids = await post.list_tickets(3)
    await post.clock.settle()
    assert post.bus.published == Counter(ids)
    assert await post.unpublished() == 0


async def test_more_than_a_batch_is_published_to_the_last(post: Post) -> None:
    ids = await post.list_tickets(2 * BATCH + 7)
    await post.clock.settle()
    assert post.bus.published == Counter(ids)


@pytest.mark.parametrize("what", ["bus", "storage"])
async def test_what_is_away_pauses_the_relay_is_said_once_and_counts_for_nothing(
    post: Post, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = post.bus if what == "bus" else post.storage
    await post.clock.settle()
    backend.goes()
    ids = await post.list_tickets(3)
    with caplog.at_level(logging.WARNING):
        await post.clock.advance(hours=1)
    assert len([record for record in caplog.records if "relay of post pauses" in record.getMessage()]) == 1
    backend.comes_back()
    claims = len(post.storage.calls)
    await post.clock.advance(seconds=5)
    assert len(post.storage.calls) < claims + 20
    assert post.bus.published == Counter(ids)
    assert await post.storage.inner.dead_events(10) == []


async def test_a_storage_that_goes_before_the_mark_means_that_it_is_published_again(post: Post) -> None:
    post.storage.goes("mark_published")
    ids = await post.list_tickets(2)
    await post.clock.advance(seconds=20)
    assert set(post.bus.published) == set(ids)
    post.storage.comes_back()
    await post.clock.advance(seconds=LEASE.total_seconds() + 10)
    assert await post.unpublished() == 0
    assert set(post.bus.published) == set(ids)
    before = post.bus.published.copy()
    await post.clock.advance(minutes=5)
    assert post.bus.published == before


async def test_a_refused_event_is_tried_eight_times_and_buried_and_stalls_no_other(post: Post) -> None:
    bad, *good = await _listed(post, 5)
    post.bus.refused = frozenset({bad})
    await post.clock.advance(minutes=1)
    assert set(post.bus.published) == set(good)
    assert await post.storage.inner.dead_events(10) == []
    await post.clock.advance(minutes=5)
    [dead] = await post.storage.inner.dead_events(10)
    assert (dead.event.subject, dead.attempts) == (bad, TRIES)
    assert await post.unpublished() == 0


async def test_a_dead_letter_is_published_when_it_is_replayed(post: Post) -> None:
    [bad] = await _listed(post, 1)
    await post.clock.advance(minutes=10)
    [dead] = await post.storage.inner.dead_events(10)
    post.bus.refused = frozenset()
    assert await post.storage.inner.replay_event(dead.event.id)
    await post.clock.settle()
    assert post.bus.published == Counter([bad])
    assert await post.storage.inner.dead_events(10) == []


async def test_what_a_dead_relay_had_claimed_is_published_after_its_lease() -> None:
    post = Post()
    ids = await post.list_tickets(3)
    await post.storage.inner.claim_events(BATCH, LEASE)  # and then it died
    async with anyio.create_task_group() as group:
        group.start_soon(post.relay().run)
        await post.clock.advance(seconds=LEASE.total_seconds() - 1)
        assert post.bus.published == Counter()
        await post.clock.advance(seconds=1)
        assert post.bus.published == Counter(ids)
        group.cancel_scope.cancel()


async def test_two_relays_share_an_outbox() -> None:
    post = Post()
    ids: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(post.relay().run)
        group.start_soon(post.relay().run)
        for _ in range(5):
            ids.extend(await post.list_tickets(20))
            await post.clock.advance(seconds=1)
        group.cancel_scope.cancel()
    assert post.bus.published == Counter(ids)


async def _listed(post: Post, number: int) -> tuple[str, ...]:
    """List tickets of which the bus refuses the first."""
    command = Commands(new_id).ask("test", actor="seller", fresh=number)
    post.bus.refused = frozenset({command.fresh[0]})
    listings = [tickets.Listing(title="A seat", price=Money(100, "USD"))] * number
    await post.storage.inner.decide(
        Keys(), lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=listings), command
    )
    return command.fresh


class SlowBus(StageBus):
    """Takes a batch only when others are at it too.

    Attributes:
        wanted: How many batches must be under way before one is taken.
        largest: Most batches that were.
    """

    def __init__(self, inner: Any, *, wanted: int) -> None:
        super().__init__(inner)
        self.wanted, self.largest = wanted, 0
        self.published: Counter[str] = Counter()
        self._under_way = 0
        self._enough = anyio.Event()

    async def publish(self, events: Sequence[Envelope]) -> None:
        self._under_way += 1
        self.largest = max(self.largest, self._under_way)
        if self.published and len(events) == BATCH:  # the first batch shows that there are many
            if self._under_way >= self.wanted:
                self._enough.set()
            await self._enough.wait()
        try:
            self.check("publish")
            self.published.update(event.subject for event in events)
        finally:
            self._under_way -= 1


async def test_while_batches_are_full_the_next_are_claimed_while_the_bus_takes_one() -> None:
    post = Post()
    bus = SlowBus(post.bus.inner, wanted=LANES)
    ids = [id for _ in range(LANES + 1) for id in await post.list_tickets(BATCH)]
    relay = Relay(post.storage, bus, clock=post.clock, name="post")
    assert await relay.once() == len(ids)
    assert bus.largest == LANES
    assert bus.published == Counter(ids)
    assert await post.unpublished() == 0


async def test_a_bus_that_goes_with_several_batches_under_way_gives_all_of_them_back() -> None:
    post = Post()
    bus = SlowBus(post.bus.inner, wanted=LANES)
    ids = [id for _ in range(LANES + 1) for id in await post.list_tickets(BATCH)]
    relay = Relay(post.storage, bus, clock=post.clock, name="post")
    taken = bus.check

    def goes_after_the_first(name: str) -> None:
        taken(name)
        bus.goes("publish")

    bus.check = goes_after_the_first  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await relay.once()
    assert bus.largest == LANES
    assert len(bus.published) == BATCH
    left = await post.storage.inner.claim_events(len(ids), LEASE)
    assert {claim.event.subject for claim in left} == set(ids) - set(bus.published)
    assert {claim.attempts for claim in left} == {0}
