"""The bus on a real server: groups, retries, dead letters, broadcast, replay."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ticketkit.backends.errors import Refused
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit_nats.bus import NatsBus, open_bus

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]


async def test_each_group_gets_each_event_once_among_its_members(bus: NatsBus, event: Make, hear: Any) -> None:
    events = [event() for _ in range(20)]
    async with bus.subscribe("a", NAMES) as one, bus.subscribe("a", NAMES) as two, bus.subscribe("b", NAMES) as other:
        await bus.publish(events)
        mine, more, all_of_b = await hear.all(one, 10), await hear.all(two, 10), await hear.all(other, 20)
        for delivery in (*mine, *more, *all_of_b):
            await delivery.ack()
        assert await hear.nothing(one)
    assert {one.id for one in hear.events([*mine, *more])} == {one.id for one in events}
    assert sorted(hear.events(all_of_b), key=lambda e: e.id) == events


async def test_an_event_arrives_as_it_was_published(bus: NatsBus, event: Make, hear: Any) -> None:
    odd = event(
        version=12,
        data='{"name": "Zoë \\u2028 🎟", "n": 1.10}'.encode(),
        correlationid=" ünï%20 \n\t🎟 ",
        causationid="x: y",
        traceparent="00-ab-cd-01",
    )
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([odd])
        (delivery,) = await hear.some(member)
        assert delivery.event == odd
        assert delivery.attempt == 1
        await delivery.ack()


async def test_a_group_gets_what_was_published_while_nobody_was_there(bus: NatsBus, event: Make, hear: Any) -> None:
    await bus.publish([event()])
    async with bus.subscribe("a", NAMES):
        pass
    later = event()
    await bus.publish([later, event("ticket.sold")])
    async with bus.subscribe("a", NAMES) as member:
        assert hear.events(await hear.some(member)) == [later]


async def test_groups_with_odd_names_are_apart(bus: NatsBus, event: Make, hear: Any) -> None:
    groups = ["a.b", "a:b", "a b", "a~b", "ä*>", "a=2Eb"]
    for group in groups:
        async with bus.subscribe(group, NAMES):
            pass
    sent = event()
    await bus.publish([sent])
    for group in groups:
        async with bus.subscribe(group, NAMES) as member:
            (delivery,) = await hear.some(member)
            assert delivery.event == sent
            await delivery.ack()
            assert await hear.nothing(member, 0.1)


async def test_a_member_that_leaves_gives_back_at_once_what_it_has_not_ended(
    bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event(), event()])
        first, second = await hear.all(member, 2)
        await first.ack()
    async with bus.subscribe("a", NAMES) as member:
        (again,) = await hear.some(member, within=1)
        assert again.event == second.event
        assert again.attempt == 1


async def test_what_a_dead_member_had_comes_again_uncounted(url: str, bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member, open_bus(url, Context()) as other:
        await bus.publish([event()])
        (late,) = await hear.some(member)
        member._open.clear()  # type: ignore[attr-defined] # nobody renews its lease any more
        async with other.subscribe("a", NAMES) as second:
            (again,) = await hear.some(second, within=5)
            await late.ack()
            assert again.attempt == 1
            await again.retry(0)
            (third,) = await hear.some(second)
            assert third.attempt == 2
            await third.ack()


async def test_what_nobody_refers_to_any_more_comes_again(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        assert len(await hear.some(member)) == 1
        (again,) = await hear.some(member, within=5)
        assert again.attempt == 1


async def test_the_lease_of_a_living_member_is_renewed(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member, bus.subscribe("a", NAMES) as other:
        await bus.publish([event()])
        (delivery,) = await hear.some(member)
        assert await hear.nothing(other, 3.5)
        await delivery.ack()
        assert await hear.nothing(other, 1.6)


async def test_a_retry_waits_and_counts_only_when_told(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        seen = []
        for counted, after in ((False, 0.0), (True, 0.0), (False, 0.5), (True, 0.5), (True, 0.0)):
            (delivery,) = await hear.some(member)
            seen.append(delivery.attempt)
            began = time.monotonic()
            await delivery.retry(after, counted=counted)
            (delivery,) = await hear.some(member)
            assert time.monotonic() - began >= after
            await delivery.retry(0, counted=False)
        (delivery,) = await hear.some(member)
        await delivery.ack()
        assert [*seen, delivery.attempt] == [1, 1, 2, 2, 3, 4]
        assert await bus.state.tries("a", "order.created") == set()


async def test_each_delivery_is_ended_once(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        (delivery,) = await hear.some(member)
        await delivery.ack()
        await delivery.retry(0)
        await delivery.bury("no")
        assert await hear.nothing(member)
        assert await bus.dead_letters(5) == []


async def test_an_idle_member_holds_nothing_that_another_could_handle(bus: NatsBus, event: Make, hear: Any) -> None:
    names = [*NAMES, "ticket.sold", "ticket.locked"]
    async with bus.subscribe("a", names) as idle, bus.subscribe("a", names) as busy:
        assert await hear.nothing(idle)
        events = [event(name) for name in names for _ in range(5)]
        await bus.publish(events)
        found = await hear.all(busy, 15, within=3)
        assert {one.id for one in hear.events(found)} == {one.id for one in events}
        assert {one.attempt for one in found} == {1}
        for delivery in found:
            await delivery.ack()


async def test_no_more_than_asked_for_is_received(bus: NatsBus, event: Make, hear: Any) -> None:
    names = [*NAMES, "ticket.sold", "ticket.locked"]
    async with bus.subscribe("a", names) as member:
        await bus.publish([event(name) for name in names for _ in range(3)])
        found: list[Any] = []
        while len(found) < 9:
            got = await hear.some(member, 2)
            assert 1 <= len(got) <= 2
            found += got
        assert len({one.event.id for one in found}) == 9


async def test_a_dead_letter_is_shown_replayed_to_its_group_alone_and_dropped(
    bus: NatsBus, event: Make, hear: Any
) -> None:
    async with bus.subscribe("a:b", NAMES) as member, bus.subscribe("c", NAMES) as other:
        poison = event()
        await bus.publish([poison])
        for delivery in await hear.some(other):
            await delivery.ack()
        for _ in range(2):
            (delivery,) = await hear.some(member)
            await delivery.retry(0)
        (delivery,) = await hear.some(member)
        await delivery.bury("bad\nbut ürgent")
        (letter,) = await bus.dead_letters(5)
        assert (letter.group, letter.event, letter.attempts, letter.error) == ("a:b", poison, 3, "bad\nbut ürgent")
        assert await bus.dead_letters(5) == [letter]
        assert await bus.replay_dead_letter(letter.id)
        assert not await bus.drop_dead_letter(letter.id)
        (delivery,) = await hear.some(member)
        assert (delivery.event, delivery.attempt) == (poison, 1)
        assert await hear.nothing(other)
        await delivery.bury("worse")
        (letter,) = await bus.dead_letters(5)
        assert letter.error == "worse"
        assert await bus.drop_dead_letter(letter.id)
        assert await bus.dead_letters(5) == []
        assert not await bus.replay_dead_letter(letter.id)
        assert not await bus.replay_dead_letter("nonsense")
        assert not await bus.drop_dead_letter("99999999999999999999999")


async def test_dead_letters_are_listed_oldest_first(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as member:
        events = [event() for _ in range(5)]
        for sent in events:
            await bus.publish([sent])
            (delivery,) = await hear.some(member)
            await delivery.bury("bad")
        letters = await bus.dead_letters(3)
        assert [letter.event for letter in letters] == events[:3]
        await bus.drop_dead_letter(letters[1].id)
        assert [letter.event for letter in await bus.dead_letters(10)] == [events[0], *events[2:]]


async def test_a_broadcast_reaches_every_listener_from_now_on(bus: NatsBus, event: Make, hear: Any) -> None:
    await bus.publish([event()])
    async with bus.broadcast(NAMES) as one, bus.broadcast([*NAMES, "ticket.sold"]) as two:
        order, ticket = event(), event("ticket.sold")
        await bus.publish([order, ticket])
        assert hear.events(await hear.some(one)) == [order]
        assert hear.events(await hear.all(two, 2)) == [order, ticket]
        assert await hear.nothing(one)


async def test_what_a_listener_was_too_late_for_is_there_the_next_time(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.broadcast(NAMES) as listener:
        assert await hear.nothing(listener)
        sent = [event() for _ in range(5)]
        await bus.publish(sent)
        found = [*await hear.some(listener, 1), *await hear.some(listener, 1), *await hear.all(listener, 3)]
        assert hear.events(found) == sent


async def test_an_event_that_is_published_again_arrives_again(bus: NatsBus, event: Make, hear: Any) -> None:
    sent = event()
    async with bus.subscribe("a", NAMES) as member:
        for _ in range(3):
            await bus.publish([sent])
            (delivery,) = await hear.some(member)
            assert delivery.event == sent
            await delivery.ack()


async def test_an_event_that_is_too_large_is_refused_and_nothing_is_sent(bus: NatsBus, event: Make, hear: Any) -> None:
    large = event(data=b'"' + b"x" * 1_100_000 + b'"')
    async with bus.subscribe("a", NAMES) as member:
        with pytest.raises(Refused, match="max_payload"):
            await bus.publish([event(), large])
        small = event()
        await bus.publish([small])
        assert hear.events(await hear.some(member)) == [small]


async def test_names_that_nats_has_no_subject_for_are_refused(bus: NatsBus, event: Make, hear: Any) -> None:
    for name in ("order created", "order.*", "a..b", "_to.a"):
        with pytest.raises(Refused, match="name of an event"):
            await bus.publish([event(name)])


async def test_members_of_two_releases_get_what_they_can_handle(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", NAMES) as old, bus.subscribe("a", [*NAMES, "ticket.sold"]) as new:
        order, ticket = event(), event("ticket.sold")
        await bus.publish([ticket, order])
        (delivery,) = await hear.some(new, 1)
        rest = await hear.some(old if delivery.event == ticket else new, 1)
        assert {one.id for one in hear.events([delivery, *rest])} == {order.id, ticket.id}
        await delivery.ack()
        await rest[0].ack()
        await bus.publish([event("ticket.sold")])
        assert await hear.nothing(old)


async def test_names_that_a_group_once_subscribed_to_stay_subscribed(bus: NatsBus, event: Make, hear: Any) -> None:
    async with bus.subscribe("a", [*NAMES, "ticket.sold"]):
        pass
    async with bus.subscribe("a", NAMES):
        sent = event("ticket.sold")
        await bus.publish([sent])
    async with bus.subscribe("a", ["ticket.sold"]) as member:
        assert hear.events(await hear.some(member)) == [sent]


async def test_a_group_is_replayed_from_a_number_while_its_members_run(bus: NatsBus, event: Make, hear: Any) -> None:
    events = [event() for _ in range(5)]
    async with bus.subscribe("a", NAMES) as member, bus.subscribe("b", NAMES) as other:
        await bus.publish(events)
        for delivery in [*await hear.all(member, 5), *await hear.all(other, 5)]:
            await delivery.ack()
        waiting = asyncio.create_task(hear.all(member, 3))
        await asyncio.sleep(0)
        await bus.replay("a", sequence=3)
        again = await waiting
        assert hear.events(again) == events[2:]
        for delivery in again:
            await delivery.ack()
        assert await hear.nothing(member)
        assert await hear.nothing(other)
    with pytest.raises(LookupError, match="nobody"):
        await bus.replay("nobody", sequence=1)


async def test_a_group_is_replayed_from_a_time_and_keeps_what_it_had_not_ended(
    bus: NatsBus, event: Make, hear: Any
) -> None:
    names = [*NAMES, "ticket.sold"]
    async with bus.subscribe("a", names) as member:
        first, second, third = event(), event("ticket.sold"), event()
        await bus.publish([first])
        (open_one,) = await hear.some(member)
        await open_one.retry(0)
        await asyncio.sleep(0.05)
        since = datetime.now(UTC)
        await bus.publish([second, third])
        for delivery in await hear.all(member, 3):
            if delivery.event == first:
                assert delivery.attempt == 2
                await delivery.retry(1, counted=False)
            else:
                await delivery.ack()
        await bus.replay("a", since=since - timedelta(milliseconds=20))
        found = {delivery.event.id: delivery for delivery in await hear.all(member, 3)}
        assert set(found) == {first.id, second.id, third.id}
        assert found[first.id].attempt == 2
        assert found[second.id].attempt == 1


async def test_a_group_has_no_more_begun_than_may_be_and_goes_on_when_one_is_ended(
    url: str, event: Make, hear: Any
) -> None:
    async with open_bus(f"{url}&pending=3", Context()) as bus, bus.subscribe("a", NAMES) as member:
        events = [event() for _ in range(6)]
        await bus.publish(events)
        held = await hear.all(member, 3)
        assert await hear.nothing(member)
        await held[0].ack()
        await held[1].retry(0)
        assert len(await hear.all(member, 2)) == 2


async def test_what_is_no_event_is_put_aside_and_stalls_nobody(bus: NatsBus, event: Make, hear: Any) -> None:
    prefix = bus.connection.settings.prefix
    async with bus.subscribe("a", NAMES) as member, bus.broadcast(NAMES) as listener:
        await bus.connection.call(lambda jetstream: jetstream.publish(f"{prefix}.order.created.v1", b"hello"))
        sent = event()
        await bus.publish([sent])
        assert hear.events(await hear.all(member, 1)) == [sent]
        assert hear.events(await hear.all(listener, 1)) == [sent]
    assert await bus.dead_letters(5) == []
    aside = await bus.connection.call(lambda jetstream: jetstream.get_msg(f"{prefix}-dead", seq=1))
    assert aside.data == b"hello"


async def test_an_event_in_plain_structured_mode_is_read(bus: NatsBus, event: Make, hear: Any) -> None:
    sent = event()
    subject = f"{bus.connection.settings.prefix}.order.created.v1"
    async with bus.subscribe("a", NAMES) as member:
        await bus.connection.call(lambda jetstream: jetstream.publish(subject, sent.to_json()))
        assert hear.events(await hear.all(member, 1)) == [sent]


async def test_events_that_all_groups_acknowledged_are_kept_no_longer_with_interest(
    url: str, stream: str, event: Make, hear: Any
) -> None:
    async with (
        open_bus(f"{url}&retention=interest", Context()) as bus,
        bus.subscribe("a", NAMES) as one,
        bus.subscribe("b", NAMES) as two,
    ):
        await bus.publish([event() for _ in range(4)])
        for member in (one, two):
            for delivery in await hear.all(member, 4):
                await delivery.ack()
        left = 4
        async with asyncio.timeout(5):
            while left:
                info = await bus.connection.call(lambda jetstream: jetstream.stream_info(stream))
                left = info.state.messages
        await bus.replay("a", sequence=1)
        assert await hear.nothing(one)
