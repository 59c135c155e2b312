"""From the bus to handlers: each event once at least, the bad ones out of the way of the others."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest
from tests.services.stage import StageBus

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.events.contract import Contract
from ticketkit.events.envelope import Envelope, Event
from ticketkit.events.registry import Registry
from ticketkit.ids import new_id
from ticketkit.memory import MemoryBus, VirtualClock
from ticketkit.runtime.consumers import AT_ONCE, TRIES, Consumer, ConsumerRunner, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ShipSighted(Contract):
    """A ship was seen."""

    NAME: ClassVar = "ship.sighted"


class ShipSightedBetter(Contract):
    """A ship was seen, second version."""

    NAME: ClassVar = "ship.sighted"
    VERSION: ClassVar = 2

    flag: str


def sighted(id: str, *, version: int = 1, data: bytes | None = None) -> Envelope:
    return Envelope(
        id=new_id(),
        type=f"ticketkit.ship.sighted.v{version}",
        source="/pier",
        subject=id,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        aggregateversion=1,
        correlationid="storm",
        data=data if data is not None else b'{"id":"%s","version":1,"flag":"red"}' % id.encode(),
    )


class Pier:
    """A consumer on a bus, whose handler does what its test says."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.registry = Registry([ShipSighted])
        self.bus = StageBus(MemoryBus(self.clock))
        self.seen: list[str] = []
        self.tries: list[str] = []
        self.error: dict[str, Exception] = {}
        self.slow: dict[str, float] = {}
        self.at_once = self.most_at_once = 0
        consumer = Consumer("pier", {"ship.sighted": self.handle})
        self.runner = ConsumerRunner(consumer, self.bus, registry=self.registry, clock=self.clock)

    async def handle(self, event: Event[Any]) -> None:
        ship = event.data.id
        self.tries.append(ship)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.clock.sleep(self.slow.get(ship, 0))
            if ship in self.error:
                raise self.error[ship]
        finally:
            self.at_once -= 1
        self.seen.append(ship)

    async def publish(self, *events: Envelope) -> None:
        await self.bus.inner.publish(events)
        await self.clock.settle()

    async def dead(self) -> list[str]:
        return [letter.event.subject for letter in await self.bus.inner.dead_letters(100)]


@pytest.fixture
async def pier() -> AsyncIterator[Pier]:
    pier = Pier()
    async with anyio.create_task_group() as group:
        group.start_soon(pier.runner.run)
        await pier.runner.ready.wait()
        yield pier
        group.cancel_scope.cancel()


async def test_each_event_is_handled_once(pier: Pier) -> None:
    await pier.publish(*(sighted(str(number)) for number in range(100)))
    await pier.clock.advance(minutes=5)
    assert sorted(pier.seen, key=int) == [str(number) for number in range(100)]
    assert pier.runner.busy == 0


async def test_so_many_are_handled_at_once_and_no_more(pier: Pier) -> None:
    ships = [str(number) for number in range(200)]
    pier.slow = dict.fromkeys(ships, 1.0)
    await pier.publish(*map(sighted, ships))
    assert pier.runner.busy == AT_ONCE
    await pier.clock.advance(seconds=10)
    assert len(pier.seen) == 200
    assert pier.most_at_once == AT_ONCE


async def test_a_poison_event_is_tried_eight_times_and_stalls_no_other(pier: Pier) -> None:
    pier.error["poison"] = RuntimeError("it is poison")
    await pier.publish(sighted("poison"), *(sighted(str(number)) for number in range(100)))
    assert len(pier.seen) == 100
    assert await pier.dead() == []
    await pier.clock.advance(minutes=5)
    assert pier.tries.count("poison") == TRIES == 8
    [letter] = await pier.bus.inner.dead_letters(10)
    assert (letter.group, letter.attempts, letter.error) == ("pier", 8, "RuntimeError('it is poison')")
    await pier.clock.advance(hours=1)
    assert pier.tries.count("poison") == 8


async def test_pauses_between_tries_grow(pier: Pier) -> None:
    pier.error["poison"] = RuntimeError()
    await pier.publish(sighted("poison"))
    counts = []
    for _ in range(8):
        counts.append(pier.tries.count("poison"))
        await pier.clock.advance(seconds=1)
    assert counts == [1, 2, 3, 3, 4, 4, 4, 4]


async def test_an_event_that_fails_for_a_while_is_handled_in_the_end(pier: Pier) -> None:
    pier.error["ship"] = KeyError("not yet")
    await pier.publish(sighted("ship"))
    await pier.clock.advance(seconds=10)
    pier.error.clear()
    await pier.clock.advance(seconds=30)
    assert pier.seen == ["ship"]
    assert await pier.dead() == []


async def test_a_replayed_dead_letter_is_handled(pier: Pier) -> None:
    pier.error["poison"] = RuntimeError()
    await pier.publish(sighted("poison"))
    await pier.clock.advance(minutes=5)
    [letter] = await pier.bus.inner.dead_letters(10)
    pier.error.clear()
    assert await pier.bus.inner.replay_dead_letter(letter.id)
    await pier.clock.settle()
    assert pier.seen == ["poison"]
    assert await pier.dead() == []


@pytest.mark.parametrize("error", [Unavailable(), OutcomeUnknown()], ids=["unavailable", "unknown"])
async def test_a_backend_that_is_away_pauses_the_consumer_and_counts_for_nothing(
    pier: Pier, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    ships = ["a", "b", "c"]
    pier.error = dict.fromkeys(ships, error)
    with caplog.at_level(logging.WARNING):
        await pier.publish(*map(sighted, ships))
        await pier.clock.advance(hours=1)
    assert len([record for record in caplog.records if "consumer pier pauses" in record.getMessage()]) == 1
    assert len(pier.tries) > TRIES * len(ships)
    assert await pier.dead() == []
    tries = len(pier.tries)
    await pier.clock.advance(minutes=1)
    assert len(pier.tries) - tries <= 24 * len(ships), "it pauses"
    pier.error.clear()
    await pier.clock.advance(seconds=10)
    assert sorted(pier.seen) == ships


async def test_tries_while_a_backend_was_away_leave_all_eight_to_the_event(pier: Pier) -> None:
    pier.error["ship"] = Unavailable()
    await pier.publish(sighted("ship"))
    await pier.clock.advance(minutes=10)
    pier.tries.clear()
    pier.error["ship"] = RuntimeError()
    await pier.clock.advance(minutes=5)
    assert pier.tries.count("ship") == TRIES
    assert await pier.dead() == ["ship"]


async def test_an_event_of_an_unknown_version_waits_for_a_newer_release(pier: Pier) -> None:
    await pier.publish(sighted("new", version=2), sighted("old"))
    await pier.clock.advance(hours=2)
    assert pier.seen == ["old"]
    assert await pier.dead() == []
    pier.registry.register(ShipSightedBetter, upcast=lambda old: ShipSightedBetter(**old.model_dump(), flag="?"))
    await pier.clock.advance(seconds=30)
    assert pier.seen == ["old", "new"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"id":"ship","version":"one"}', b"\xff"], ids=repr)
async def test_a_malformed_event_goes_to_the_dead_letters_at_once(pier: Pier, data: bytes) -> None:
    await pier.publish(sighted("bad", data=data), sighted("good"))
    assert pier.seen == ["good"]
    assert await pier.dead() == ["bad"]


@pytest.mark.parametrize("method", ["receive", "subscribe"])
async def test_a_bus_that_was_away_is_heard_again(pier: Pier, method: str) -> None:
    pier.bus.goes("receive", method)
    await pier.publish(sighted("a"))
    await pier.clock.advance(minutes=10)
    pier.bus.comes_back()
    await pier.publish(sighted("b"))
    await pier.clock.advance(seconds=10)
    assert sorted(set(pier.seen)) == ["a", "b"]


async def test_what_was_under_way_when_the_consumer_died_goes_to_the_next() -> None:
    pier = Pier()
    pier.slow["ship"] = 60
    for _ in range(2):
        async with anyio.create_task_group() as group:
            group.start_soon(pier.runner.run)
            await pier.clock.settle()
            if not pier.tries:
                await pier.publish(sighted("ship"))
                await pier.clock.advance(seconds=5)
            else:
                await pier.clock.advance(seconds=60)
            group.cancel_scope.cancel()
    assert pier.tries == ["ship", "ship"]
    assert pier.seen == ["ship"]


async def test_every_listener_of_a_broadcast_hears_all_that_can_be_read() -> None:
    pier = Pier()
    heard: list[str] = []

    async def handle(event: Event[Any]) -> None:
        heard.append(event.data.id)

    async def hear(ready: anyio.Event) -> None:
        bus: Any = pier.bus
        await listen(bus, ["ship.sighted"], handle, registry=pier.registry, clock=pier.clock, ready=ready)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            ready = anyio.Event()
            group.start_soon(hear, ready)
            await ready.wait()
        await pier.publish(sighted("a"), sighted("new", version=2), sighted("bad", data=b"{"), sighted("b"))
        assert sorted(heard) == ["a"] * 3 + ["b"] * 3
        pier.bus.goes("receive")
        await pier.publish(sighted("c"))
        await pier.clock.advance(minutes=1)
        pier.bus.comes_back()
        await pier.clock.advance(seconds=5)
        heard.clear()
        await pier.publish(sighted("d"))
        assert heard == ["d"] * 3
        group.cancel_scope.cancel()
