"""Events may come in any order, any number of times: what that leaves unchanged, consumer by consumer.

A *copy* (a web client's, payments' copy of an order) is a function of the set of events: any permutation and
duplication of a log ends in the same copy. A *decision* is not: whether an order is pinned or expires depends on which
of two events is heard first, and either answer is right (see `tests/domain/test_purchase_protocol.py`).
What is promised of deciding consumers is that hearing again changes nothing, and that the outcome for a charge whose
order is gone is the same by every way there. Expiration's timers are a signal, not a record: by every way they end
empty, and a timer too many or too early is answered by `orders.expire`, which looks at the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy as shallow
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.bazaar import Bazaar
from tests.domain.world import REGISTRY, START, World, order_news

from ticketkit.backends.timers import Due
from ticketkit.domain import payments
from ticketkit.domain.entities import ENTITIES, Charge, ChargeStatus, Key, Order, OrderCopy, OrderStatus
from ticketkit.events.envelope import Envelope, Event
from ticketkit.events.telling import tell
from ticketkit.services.expiration import Expiration

if TYPE_CHECKING:
    from ticketkit.domain.entities import Kind

SEEDS = st.integers(min_value=0, max_value=10_000)
SHUFFLES = st.randoms(use_true_random=False)
SOME = settings(max_examples=25, deadline=None)


def log_of(seed: int, *, steps: int = 25) -> Bazaar:
    """A marketplace with a history."""
    chance, bazaar = Random(seed), Bazaar()
    for _ in range(steps):
        number = chance.randrange
        bazaar.place(number(64), [number(64) for _ in range(number(1, 4))], number(64))
        for _ in range(number(8)):
            bazaar.deliver_newest(number(6))
            bazaar.begin(number(64) if number(2) else -1)
            bazaar.provider(-1, number(64))
        if number(2):
            bazaar.keep(number(64), [number(64)])
            bazaar.edit(number(64), number(64))
        if not number(4):
            bazaar.cancel(number(64))
            bazaar.wait(number(64))
            bazaar.withdraw(number(64))
    return bazaar


def mixed(events: Sequence[Envelope], chance: Random) -> list[Envelope]:
    """All of them, some twice, in any order."""
    found = [*events, *chance.choices(events, k=len(events) // 2)] if events else []
    chance.shuffle(found)
    return found


@SOME
@given(seed=SEEDS, chance=SHUFFLES)
def test_newest_version_copies_equal_their_owners(seed: int, chance: Random) -> None:
    world = log_of(seed).world
    copies: dict[tuple[str, str], Event[Any]] = {}
    for envelope in mixed(world.events, chance):
        key = (envelope.name.split(".")[0], envelope.subject)
        if key not in copies or copies[key].envelope.aggregateversion < envelope.aggregateversion:
            copies[key] = REGISTRY.read(envelope)
    for (kind, id), event in copies.items():
        owner = world.entities[Key(_kind(kind), id)]
        told = tell(event.envelope.name, owner)
        # What is not public (what was heard of, a reference noted) is written without being told.
        unsaid = {"version", "reference"}
        assert told.model_dump(exclude=unsaid) == event.data.model_dump(exclude=unsaid)


def _kind(name: str) -> Kind:
    return next(kind for kind in ENTITIES if kind == name)


@SOME
@given(seed=SEEDS, chance=SHUFFLES)
def test_copies_of_orders_in_payments_equal_their_orders(seed: int, chance: Random) -> None:
    events = [event for event in log_of(seed).world.events if event.name.startswith("order.")]
    elsewhere = World()
    for event in mixed(events, chance):
        elsewhere.hear(event)
    newest: dict[str, payments.OrderNews] = {}
    for event in events:
        newest[event.subject] = order_news(REGISTRY.read(event).data)
    found = {copy.id: copy for copy in elsewhere.every(OrderCopy)}
    assert found.keys() == newest.keys()
    for id, news in newest.items():
        copy = found[id]
        assert (copy.status, copy.reason, copy.total) == (news.status, news.reason, news.total)
        assert (copy.expires_at, copy.charge_id) == (news.expires_at, news.charge_id)
        assert (copy.order_version, copy.buyer_id) == (news.version, news.buyer_id)


@SOME
@given(seed=SEEDS, chance=SHUFFLES)
def test_hearing_everything_again_changes_nothing(seed: int, chance: Random) -> None:
    bazaar = log_of(seed)
    bazaar.settle()
    world = bazaar.world
    entities, told = dict(world.entities), len(world.events)
    for event in mixed(world.events, chance):
        world.hear(event)
    assert world.entities == entities
    assert len(world.events) == told


def _cancelled(world: World) -> None:
    world.keep("o1", "t1", "t2")
    world.keep("o1", "t1")
    world.cancel("o1")


def _expired(world: World) -> None:
    world.hear(world.events[-1])  # the charge was begun: the lock is prolonged
    world.wait(minutes=30)
    world.expire("o1")


def _taken_over(world: World) -> None:
    world.wait(minutes=15)
    world.place("o2", "t2", buyer="other")


def _made_cheaper(world: World) -> None:
    world.keep("o1", "t3")


@pytest.mark.parametrize("story", [_cancelled, _expired, _taken_over, _made_cheaper])
@given(chance=SHUFFLES)
@settings(max_examples=15, deadline=None)
def test_a_charge_is_given_up_by_every_way_its_order_goes(story: Any, chance: Random) -> None:
    world = World()
    world.list("t1", "t2", "t3")
    world.place("o1", "t1", "t2", "t3")
    world.hear_orders()
    world.begin("c1", "o1")
    elsewhere = shallow(world)  # payments hears later
    elsewhere.entities, elsewhere.events = dict(world.entities), []
    elsewhere.charged(payments.prepared, "c1", reference="ref-c1")
    elsewhere.charged(payments.authorized, "c1")
    story(world)
    mine = [event for event in world.events if event.name.startswith("order.") and event.subject == "o1"]
    for event in mixed(mine, chance):
        elsewhere.hear(event)
    charge, copy = elsewhere.charge("c1"), elsewhere.copy("o1")
    assert (charge.status, charge.owes_void) == (ChargeStatus.FAILED, True)
    assert copy.open_charge_id is None
    assert (copy.status, copy.total) == (world.order("o1").status, world.order("o1").total)


def test_a_charge_that_pins_its_order_outlives_every_order_of_news() -> None:
    for seed in range(20):
        world = World()
        world.list("t1")
        world.place("o1", "t1")
        world.authorize("c1", "o1")
        elsewhere = shallow(world)
        elsewhere.entities, elsewhere.events = dict(world.entities), []
        for event in tuple(world.events):
            if event.name.startswith("charge."):
                world.hear(event)
        mine = [event for event in world.events if event.name.startswith("order.")]
        for event in mixed(mine, Random(seed)):
            elsewhere.hear(event)
        assert payments.may_capture(elsewhere.get(Charge, "c1"), elsewhere.copy("o1"))


class _Timers:
    """Due times in a dictionary."""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self) -> None:
        self.now, self.due = START, dict[str, datetime]()

    async def schedule(self, key: str, due: datetime) -> None:
        self.due[key] = due

    async def cancel(self, key: str) -> None:
        self.due.pop(key, None)

    async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
        return [Due(key, due, "") for key, due in self.due.items() if due <= self.now][:limit]

    async def done(self, timer: Due) -> None:
        self.due.pop(timer.key, None)

    async def wait(self, seconds: float) -> None:
        raise NotImplementedError


class _Bus:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[Envelope] = []

    async def publish(self, events: Sequence[Envelope]) -> None:
        self.published.extend(events)


class _Clock:
    def now(self) -> datetime:
        return START

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("seed", range(10))
async def test_timers_end_empty_by_every_way_and_never_end_a_living_order(seed: int) -> None:
    world, timers, bus = log_of(seed).world, _Timers(), _Bus()
    orders: Any = Expiration(timers, bus, clock=_Clock(), new_id=lambda: "id")  # type: ignore[arg-type]
    for event in mixed([event for event in world.events if event.name.startswith("order.")], Random(seed)):
        await orders.handle_order(REGISTRY.read(event))
    timers.now = world.now + timedelta(hours=1)
    while await orders.fire():
        pass
    assert not timers.due
    alive = {order.id for order in world.every(Order) if order.status is OrderStatus.CREATED}
    assert alive <= {event.subject for event in bus.published}
    before = dict(world.entities)
    for event in bus.published:  # one that is too early, or for an order that is over, is void
        world.expire(event.subject)
    for key, was in before.items():
        if isinstance(was, Order) and not (was.status is OrderStatus.CREATED and was.expires_at <= world.now):
            assert world.entities[key] == was
        if isinstance(was, Order) and was.status is OrderStatus.CREATED and was.expires_at <= world.now:
            assert world.order(was.id) == replace(
                was, status=OrderStatus.CANCELLED, reason=world.order(was.id).reason, version=was.version + 1
            )
