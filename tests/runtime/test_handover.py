from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.domain import tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.memory import MemoryBus, MemoryStorage, VirtualClock
from ticketkit.runtime.handover import LEASE, Handover
from ticketkit.services.commands import Commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.bus import Delivery
    from ticketkit.backends.storage import Claimed


class World:
    """A storage that outlives its process, and a bus and a relay that don't."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.storage = MemoryStorage(self.clock, new_id)
        self.restart()

    def restart(self) -> None:
        """As after SIGKILL: only the storage is left."""
        self.bus = MemoryBus(self.clock)
        self.relay = Handover(self.storage, self.bus, clock=self.clock, name="test")

    async def list_ticket(self) -> None:
        command = Commands(new_id).ask("test", actor="seller", fresh=1)
        listing = tickets.Listing(title="Seat", price=Money.parse("10", "USD"))
        await self.storage.decide(
            Keys(),
            lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=[listing]),
            command,
        )

    async def unpublished(self) -> int:
        return (await self.storage.totals()).unpublished


@pytest.fixture
def world() -> World:
    return World()


async def received(subscription: Any) -> Delivery:
    """The one delivery that waits."""
    with anyio.fail_after(5):
        found = await subscription.receive(10)
    assert len(found) == 1
    delivery: Delivery = found[0]
    return delivery


async def test_an_event_is_published_only_when_its_group_has_handled_it(world: World) -> None:
    await world.list_ticket()
    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        await world.relay.once()
        delivery = await received(subscription)
        await world.relay.once()
        assert await world.unpublished() == 1
        await delivery.ack()
        await world.relay.once()
        assert await world.unpublished() == 0


async def test_an_event_that_nobody_hears_is_published_at_once(world: World) -> None:
    await world.list_ticket()
    await world.relay.once()
    await world.relay.once()
    assert await world.unpublished() == 0


async def test_what_a_dead_process_had_not_handled_comes_again(world: World) -> None:
    await world.list_ticket()
    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        await world.relay.once()
        first = await received(subscription)
    world.restart()
    await world.clock.advance(seconds=LEASE.total_seconds())
    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        await world.relay.once()
        again = await received(subscription)
        assert again.event.id == first.event.id
        await again.ack()
    await world.relay.once()
    assert await world.unpublished() == 0


async def test_a_slow_handler_gets_its_event_once_however_long_it_takes(world: World) -> None:
    await world.list_ticket()
    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        await world.relay.once()
        delivery = await received(subscription)
        for _ in range(3):
            await world.clock.advance(seconds=(LEASE + timedelta(seconds=1)).total_seconds())
            await world.relay.once()
        with anyio.move_on_after(0.05) as waited:
            await subscription.receive(10)
        assert waited.cancelled_caught
        await delivery.ack()
    await world.relay.once()
    assert await world.unpublished() == 0


async def test_each_group_has_to_handle_it(world: World) -> None:
    await world.list_ticket()
    async with (
        world.bus.subscribe("web", ["ticket.created"]) as web,
        world.bus.subscribe("mail", ["ticket.created"]) as mail,
    ):
        await world.relay.once()
        await (await received(web)).ack()
        await world.relay.once()
        assert await world.unpublished() == 1
        await (await received(mail)).ack()
        await world.relay.once()
        assert await world.unpublished() == 0


async def test_a_buried_event_is_a_dead_letter_of_the_outbox_and_can_be_replayed(world: World) -> None:
    await world.list_ticket()
    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        await world.relay.once()
        await (await received(subscription)).bury("it is poison")
        await world.relay.once()
        [dead] = await world.storage.dead_events(10)
        assert dead.error == "web: it is poison"
        assert await world.bus.dead_letters(10) == []
        assert await world.storage.replay_event(dead.event.id)
        await world.relay.once()
        assert (await received(subscription)).event.id == dead.event.id


async def test_what_a_bus_that_was_away_did_not_take_is_handed_over_later(world: World) -> None:
    await world.list_ticket()
    bus: Any = world.bus
    hand_over = bus.hand_over

    async def away(*arguments: Any) -> None:
        await hand_over(*arguments)
        raise Unavailable

    async with world.bus.subscribe("web", ["ticket.created"]) as subscription:
        bus.hand_over = away
        with pytest.raises(Unavailable):
            await world.relay.once()
        bus.hand_over = hand_over
        await (await received(subscription)).ack()
        await world.relay.once()
        assert await world.unpublished() == 1
        await world.clock.advance(seconds=LEASE.total_seconds())
        await world.relay.once()
        await (await received(subscription)).ack()
        await world.relay.once()
    assert await world.unpublished() == 0


class Forgetful(MemoryStorage):
    """Loses the answer of the first mark, before or after its effect."""

    def __init__(self, world: World, *, effect: bool) -> None:
        super().__init__(world.clock, new_id)
        self.lost = 0
        self._effect = effect

    async def mark_published(self, claims: Sequence[Claimed]) -> None:
        if not self.lost:
            self.lost += 1
            if self._effect:
                await super().mark_published(claims)
            raise OutcomeUnknown
        await super().mark_published(claims)


@pytest.mark.parametrize("effect", [True, False])
async def test_a_lost_answer_of_a_mark_does_not_end_the_relay(world: World, *, effect: bool) -> None:
    storage = Forgetful(world, effect=effect)
    world.storage = storage
    world.restart()
    await world.list_ticket()
    async with anyio.create_task_group() as group:
        group.start_soon(world.relay.run)
        await world.clock.advance(seconds=20)
        await world.list_ticket()
        await world.clock.advance(seconds=20)
        group.cancel_scope.cancel()
    assert storage.lost == 1
    assert await world.unpublished() == 0
