"""`Marketplace.listen`: whoever wants to hear what changes hears it, in each process, from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import pytest
from tests.runtime.test_consumers import Pier, sighted
from tests.services.shop import Shop

from ticketkit import Listing, Marketplace, Money
from ticketkit.backends.errors import Misconfigured
from ticketkit.events.catalogue import OrderCompleted, TicketCreated, TicketLocked, TicketSold, TicketUpdated
from ticketkit.memory import VirtualClock
from ticketkit.runtime.listening import listening
from ticketkit.runtime.runtime import NotRunning

if TYPE_CHECKING:
    from pathlib import Path

    from ticketkit.events.contract import Contract
    from ticketkit.events.envelope import Event


class Ear:
    """Somebody who listens, in a task of their own."""

    def __init__(self) -> None:
        self.heard: list[Event[Any]] = []
        self.listens, self.ended, self._more = anyio.Event(), anyio.Event(), anyio.Event()

    async def hear(self, market: Marketplace, *contracts: type[Contract]) -> None:
        async with market.listen(*contracts) as events:
            self.listens.set()
            async for event in events:
                self.heard.append(event)
                self._more.set()
        self.ended.set()

    @property
    def names(self) -> list[str]:
        return [event.envelope.name for event in self.heard]

    async def has(self, count: int) -> list[Event[Any]]:
        """The first so many, once they are there, by the version of what they tell of: their order is not promised."""
        with anyio.fail_after(20):
            while len(self.heard) < count:
                self._more = anyio.Event()
                await self._more.wait()
        return sorted(self.heard[:count], key=lambda event: event.envelope.aggregateversion)


async def test_every_listener_hears_what_is_published_from_then_on() -> None:
    market, ears = Marketplace(clock=VirtualClock()), (Ear(), Ear())
    async with market, anyio.create_task_group() as group:
        shop = Shop(market)
        await shop.order("5")
        await shop.clock.settle()
        for ear in ears:
            group.start_soon(ear.hear, market, TicketLocked, TicketSold, OrderCompleted)
            await ear.listens.wait()
        order = await shop.order("10", "20")
        await shop.pay(order)
        await shop.clock.settle()
        for ear in ears:
            assert sorted(ear.names) == ["order.completed", *["ticket.locked"] * 2, *["ticket.sold"] * 2]
            [completed] = [event for event in ear.heard if isinstance(event.data, OrderCompleted)]
            assert completed.data.id == order.id
        group.cancel_scope.cancel()


async def test_listening_is_over_when_the_marketplace_stops() -> None:
    market, ear = Marketplace(clock=VirtualClock()), Ear()
    async with anyio.create_task_group() as group:
        async with market:
            group.start_soon(ear.hear, market, OrderCompleted)
            await ear.listens.wait()
            shop = Shop(market)
            await shop.pay(await shop.order())
        with anyio.fail_after(5):
            await ear.ended.wait()
    assert ear.names == ["order.completed"], "what happened before the stop is heard"


async def test_who_has_left_hears_no_more_and_takes_no_room() -> None:
    market = Marketplace(clock=VirtualClock())
    async with market:
        async with market.listen(TicketCreated) as events:
            await market.tickets.list("sam", [Listing(title="A seat", price=Money(100, "USD"))])
            assert (await anext(events)).data.title == "A seat"
        bus: Any = market.runtime.backends.bus
        assert len(bus._listeners) == 1, "the runtime's own ear for sign-outs"


async def test_nothing_can_be_heard_where_nothing_runs_or_nothing_is_named() -> None:
    market = Marketplace(clock=VirtualClock())
    with pytest.raises(ValueError, match="one contract or more"):
        market.listen()
    with pytest.raises(NotRunning):
        async with market.listen(TicketSold):
            pass


async def test_a_process_without_services_does_not_hear_a_bus_inside_another() -> None:
    with pytest.raises(Misconfigured, match="inside one process"):
        async with Marketplace(services=()):
            pass


@pytest.fixture
def pier() -> Pier:
    return Pier()


async def test_what_can_not_be_read_here_is_passed_over_aloud(pier: Pier, caplog: pytest.LogCaptureFixture) -> None:
    bus: Any = pier.bus
    async with listening(bus, ["ship.sighted"], registry=pier.registry, clock=pier.clock) as events:
        await pier.publish(sighted("new", version=2), sighted("bad", data=b"{"), sighted("good"))
        assert (await anext(events)).data.id == "good"
    assert "ticketkit.ship.sighted.v2 is not known" in caplog.text
    assert "does not follow ticketkit.ship.sighted.v1" in caplog.text


async def test_a_bus_that_is_away_pauses_a_listener_and_it_goes_on(
    pier: Pier, caplog: pytest.LogCaptureFixture
) -> None:
    bus: Any = pier.bus
    heard: list[str] = []

    async def hear() -> None:
        async with listening(bus, ["ship.sighted"], registry=pier.registry, clock=pier.clock) as events:
            while True:
                heard.append((await anext(events)).data.id)

    async with anyio.create_task_group() as group:
        group.start_soon(hear)
        await pier.publish(sighted("a"))
        pier.bus.goes("receive")
        await pier.publish(sighted("b"))
        await pier.clock.advance(minutes=1)
        pier.bus.comes_back()
        await pier.clock.advance(seconds=5)
        await pier.publish(sighted("c"))
        assert heard == ["a", "b", "c"]
        group.cancel_scope.cancel()
    assert caplog.text.count("a listener pauses") == 1


async def test_a_process_without_services_hears_what_another_sells(redis_url: str, tmp_path: Path) -> None:
    bus = f"{redis_url}?prefix=listening_{uuid4().hex[:12]}"
    shop, window, ear = (
        Marketplace(bus=bus),
        Marketplace(bus=bus, services=()),
        Ear(),
    )
    async with shop, window, anyio.create_task_group() as group:
        group.start_soon(ear.hear, window, TicketCreated, TicketUpdated, TicketSold)
        await ear.listens.wait()
        [ticket] = await shop.tickets.list("sam", [Listing(title="A seat", price=Money(1000, "USD"))])
        await shop.tickets.edit("sam", ticket.id, title="A seat", price=Money(900, "USD"))
        placed = await shop.orders.place("ada", [ticket.id])
        await shop.payments.pay("ada", placed.order.id, token="tok_visa")
        heard = await ear.has(3)
        assert [event.envelope.name for event in heard] == ["ticket.created", "ticket.updated", "ticket.sold"]
        assert {event.data.id for event in heard} == {ticket.id}
        assert [event.data.price.minor for event in heard] == [1000, 900, 900]
        with pytest.raises(NotRunning, match="it does not run in this process"):
            _ = window.tickets
        group.cancel_scope.cancel()
