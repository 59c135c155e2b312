"""The bus: groups, broadcast, leases, retries, dead letters."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from ticketkit.backends.errors import CapabilityNotSupported, Refused
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import MAX_BODY, Envelope
from ticketkit_redis.bus import RedisBus, open_bus

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]
Receive = Callable[..., Any]


async def test_each_group_gets_each_event_once_among_its_members(bus: RedisBus, event: Make, receive: Receive) -> None:
    events = [event() for _ in range(20)]
    async with bus.subscribe("a", NAMES) as one, bus.subscribe("a", NAMES) as two, bus.subscribe("b", NAMES) as other:
        await bus.publish(events)
        mine, more, all_of_b = await receive(one, 10), await receive(two, 10), await receive(other)
        for delivery in (*mine, *more, *all_of_b):
            await delivery.ack()
    assert {delivery.event.id for delivery in (*mine, *more)} == {one.id for one in events}
    assert [delivery.event for delivery in all_of_b] == events


async def test_a_group_gets_what_was_published_while_nobody_was_there(
    bus: RedisBus, event: Make, receive: Receive
) -> None:
    await bus.publish([event()])
    async with bus.subscribe("a", NAMES):
        pass
    later = event()
    await bus.publish([later, event("ticket.sold")])
    async with bus.subscribe("a", NAMES) as member:
        assert [delivery.event for delivery in await receive(member)] == [later]


async def test_what_a_dead_member_had_comes_again_and_its_late_words_are_void(
    url: str, bus: RedisBus, event: Make, receive: Receive, silent: Receive
) -> None:
    async with open_bus(url, Context()) as dying, dying.subscribe("a", NAMES) as dead:
        await bus.publish([event()])
        (late,) = await receive(dead)
        dead._held.clear()  # type: ignore[attr-defined] # nobody renews its lease any more
        async with bus.subscribe("a", NAMES) as heir:
            (again,) = await receive(heir)
            assert (again.event, again.attempt) == (late.event, 1)
            await late.ack()
            await late.retry(0)
            await late.bury("late")
            assert await bus.dead_letters(5) == []
            await again.retry(0)
            (third,) = await receive(heir)
            assert third.attempt == 2
            await third.ack()
            assert await silent(heir)


async def test_words_about_an_earlier_lease_of_the_same_member_are_void(
    bus: RedisBus, event: Make, receive: Receive, silent: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        (late,) = await receive(member)
        member._held.clear()  # type: ignore[attr-defined]
        (again,) = await receive(member)
        await late.ack()
        await late.retry(0)
        await late.bury("late")
        assert await bus.dead_letters(5) == []
        await again.bury("bad")
        assert [letter.error for letter in await bus.dead_letters(5)] == ["bad"]


async def test_the_lease_of_a_living_member_is_renewed(
    bus: RedisBus, event: Make, receive: Receive, silent: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member, bus.subscribe("a", NAMES) as other:
        await bus.publish([event()])
        (delivery,) = await receive(member)
        assert await silent(other, 2.5)  # two and a half leases
        await delivery.ack()


async def test_a_forgotten_delivery_comes_again(bus: RedisBus, event: Make, receive: Receive) -> None:
    async with bus.subscribe("a", NAMES) as member:
        sent = event()
        await bus.publish([sent])
        await receive(member)
        gc.collect()
        (again,) = await receive(member)
        assert again.event == sent


async def test_a_member_that_leaves_gives_back_what_it_has_not_ended(
    bus: RedisBus, event: Make, receive: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event(), event()])
        first, second = await receive(member)
        await first.ack()
    async with bus.subscribe("a", NAMES) as member:
        (again,) = await asyncio.wait_for(member.receive(5), 0.9)  # before any lease ends
        assert (again.event, again.attempt) == (second.event, 1)


async def test_a_retry_waits_and_counts_only_when_told(bus: RedisBus, event: Make, receive: Receive) -> None:
    loop = asyncio.get_running_loop()
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        for after, counted, attempt in ((0.4, False, 1), (0.0, True, 2), (0.4, True, 3), (0.0, False, 3)):
            (delivery,) = await receive(member)
            began = loop.time()
            await delivery.retry(after, counted=counted)
            (delivery,) = await receive(member)
            assert after <= loop.time() - began < after + 1
            assert delivery.attempt == attempt
            await delivery.retry(0, counted=False)


async def test_what_waits_for_its_retry_outlives_its_member(bus: RedisBus, event: Make, receive: Receive) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        (delivery,) = await receive(member)
        await delivery.retry(0.3)
    async with bus.subscribe("a", NAMES) as member:
        (delivery,) = await receive(member)
        assert delivery.attempt == 2


async def test_a_dead_letter_is_shown_replayed_and_dropped(bus: RedisBus, event: Make, receive: Receive) -> None:
    async with bus.subscribe("a:b", NAMES) as member, bus.subscribe("b", NAMES) as other:
        poison = event()
        await bus.publish([poison])
        (delivery,) = await receive(member)
        await delivery.bury("bad")
        (letter,) = await bus.dead_letters(5)
        assert (letter.group, letter.event, letter.attempts, letter.error) == ("a:b", poison, 1, "bad")
        assert await bus.replay_dead_letter(letter.id)
        assert not await bus.drop_dead_letter(letter.id)
        (delivery,) = await receive(member)
        assert delivery.attempt == 1
        await delivery.bury("worse")
        assert await bus.drop_dead_letter(letter.id)
        assert await bus.dead_letters(5) == []
        assert not await bus.replay_dead_letter("nonsense")
        assert len(await receive(other)) == 1


async def test_dead_letters_come_oldest_first_and_at_most_as_many_as_asked(
    bus: RedisBus, event: Make, receive: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event() for _ in range(5)])
        buried = await receive(member)
        for delivery in reversed(buried):
            await delivery.bury("bad")
    assert [letter.event for letter in await bus.dead_letters(3)] == [one.event for one in reversed(buried)][:3]
    assert await bus.dead_letters(0) == []


async def test_a_broadcast_reaches_every_listener_from_now_on(
    bus: RedisBus, event: Make, receive: Receive, silent: Receive
) -> None:
    await bus.publish([event()])
    async with bus.broadcast(NAMES) as one, bus.broadcast([*NAMES, "ticket.sold"]) as two:
        order, ticket = event(), event("ticket.sold")
        await bus.publish([order, ticket])
        assert [delivery.event for delivery in await receive(one)] == [order]
        assert {delivery.event.id for delivery in await receive(two)} == {order.id, ticket.id}
        assert await silent(one)


async def test_a_cancelled_receive_takes_nothing_with_it(bus: RedisBus, event: Make, receive: Receive) -> None:
    got: set[str] = set()
    events = [event() for _ in range(60)]
    async with bus.subscribe("a", NAMES) as member, bus.subscribe("a", NAMES) as other:
        for number, one in enumerate(events):
            task = asyncio.ensure_future(member.receive(1))
            await bus.publish([one])
            for _ in range(number % 12):
                await asyncio.sleep(0)
            task.cancel()
            for result in await asyncio.gather(task, return_exceptions=True):
                if not isinstance(result, BaseException):
                    got.update(delivery.event.id for delivery in result)
                    for delivery in result:
                        await delivery.ack()
        began = asyncio.get_running_loop().time()
        while len(got) < len(events):
            for delivery in await receive(other):
                got.add(delivery.event.id)
                await delivery.ack()
        assert asyncio.get_running_loop().time() - began < 0.9  # handed back, not found after their lease


async def test_too_large_an_event_is_refused_and_none_of_its_batch_sent(
    bus: RedisBus, event: Make, receive: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        with pytest.raises(Refused, match="too large"):
            await bus.publish([event(), event(data=b'"' + b"x" * MAX_BODY + b'"')])
        largest = event(data=b'"' + b"x" * (MAX_BODY - 2) + b'"')
        await bus.publish([largest])
        assert [delivery.event for delivery in await receive(member)] == [largest]


async def test_what_is_no_event_is_set_aside_and_stalls_nothing(
    bus: RedisBus, event: Make, receive: Receive, caplog: pytest.LogCaptureFixture
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        stream = bus._server.keys.events("order.created")
        await bus._server.listening.xadd(stream, {"what": "ever"})
        await bus._server.listening.xadd(stream, {"a": "{}", "d": "{}"})
        good = event()
        await bus.publish([good])
        found = await receive(member)
        while not found:
            found = await receive(member)
        assert [delivery.event for delivery in found] == [good]
    assert await bus._server.listening.xlen(bus._server.keys.malformed) == 2
    assert "is set aside" in caplog.text


async def test_poison_that_is_tried_again_and_again_keeps_nothing_new_from_coming(
    bus: RedisBus, event: Make, receive: Receive
) -> None:
    async with bus.subscribe("a", [*NAMES, "ticket.sold"]) as member:
        poison = [event(), event()]
        await bus.publish(poison)
        new = [event(name) for name in (*NAMES, "ticket.sold")]
        for delivery in await receive(member):
            await delivery.retry(0)
        await bus.publish(new)
        got: set[str] = set()
        for _ in range(12):
            (delivery,) = await receive(member, 1)
            if delivery.event in poison:
                await delivery.retry(0)
            else:
                await delivery.ack()
                got.add(delivery.event.id)
        assert got == {one.id for one in new}


async def test_nothing_is_lost_over_a_clean_close_with_events_in_flight(
    url: str, bus: RedisBus, event: Make, receive: Receive
) -> None:
    events = [event() for _ in range(40)]
    async with open_bus(url, Context()) as closing, closing.subscribe("a", NAMES) as member:
        await bus.publish(events)
        done = await receive(member, 25)
        for delivery in done[:10]:
            await delivery.ack()
    async with bus.subscribe("a", NAMES) as member:
        rest: set[str] = set()
        while len(rest) < 30:
            rest.update(delivery.event.id for delivery in await receive(member))
    assert rest == {one.id for one in events} - {delivery.event.id for delivery in done[:10]}


async def test_names_of_members_that_left_or_died_are_forgotten(
    url: str, bus: RedisBus, event: Make, receive: Receive
) -> None:
    async with bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        for delivery in await receive(member):
            await delivery.ack()
        stream = bus._server.keys.events("order.created")
        assert len(await bus._server.listening.xinfo_consumers(stream, "a")) == 1
    client = bus._server.listening
    assert await client.xinfo_consumers(stream, "a") == []
    await client.xreadgroup("a", "ghost", {stream: ">"})
    quick = url.replace("lease=1", "lease=0.05")
    async with open_bus(quick, Context()) as other, other.subscribe("a", NAMES) as member:
        receiving = asyncio.ensure_future(member.receive(1))
        async with asyncio.timeout(10):
            while "ghost" in str(await client.xinfo_consumers(stream, "a")):  # noqa: ASYNC110 - the server's clock
                await asyncio.sleep(0.02)
        receiving.cancel()


async def test_replay_of_what_was_handled_is_refused(bus: RedisBus) -> None:
    with pytest.raises(CapabilityNotSupported, match="replay"):
        await bus.replay("a", sequence=1)


async def test_the_lag_of_a_group_that_read_nothing_yet_is_counted_up_to_a_bound(
    bus: RedisBus, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.publish([event() for _ in range(250)])
    async with bus.subscribe("late", NAMES):
        pass
    await bus.publish([event() for _ in range(230)])
    assert await bus.lag() == {"late": 230}
    monkeypatch.setattr("ticketkit_redis.bus.COUNTED", 100)
    assert (await bus.lag())["late"] in (100, 230)  # the server of some releases knows it


async def test_a_group_that_was_removed_has_no_lag(bus: RedisBus, event: Make) -> None:
    for group in ("gone", "there"):
        async with bus.subscribe(group, [*NAMES, "ticket.sold"]):
            pass
    await bus.publish([event(), event("ticket.sold")])
    for name in (*NAMES, "ticket.sold"):
        stream = bus._server.keys.events(name)
        await bus._server.shielded(bus._server._client.xgroup_destroy(stream, "gone"))
    assert await bus.lag() == {"there": 2}
