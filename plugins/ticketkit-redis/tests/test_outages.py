"""Servers that die, freeze, fill up, lose data or become replicas: bounded errors, and nothing lost."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Redis
from ticketkit_redis.bus import RedisBus, open_bus
from ticketkit_redis.timers import open_timers

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]


@pytest.fixture
def own_url(server: Redis) -> str:
    return f"{server.url}?lease=1&timeout=0.5"


@pytest.fixture
async def own_bus(own_url: str) -> AsyncIterator[RedisBus]:
    async with open_bus(own_url, Context()) as bus:
        yield bus


@pytest.fixture
async def admin(server: Redis) -> AsyncIterator[Client]:
    async with Client(port=server.port) as client:
        yield client


async def gather(subscription: Any, wanted: set[str], *, seconds: float = 15) -> int:
    """Receive and acknowledge until all have come, over whatever outage; returns how many deliveries there were."""
    got: set[str] = set()
    count = 0
    async with asyncio.timeout(seconds):
        while not wanted <= got:
            try:
                for delivery in await subscription.receive(64):
                    await delivery.ack()
                    got.add(delivery.event.id)
                    count += 1
            except Unavailable:
                await asyncio.sleep(0.05)
    return count


async def back(call: Callable[[], Awaitable[Any]], *, seconds: float = 15) -> None:
    """Call until the server is found to be back."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await call()
                return
            except Unavailable:
                await asyncio.sleep(0.05)


def ids(events: list[Envelope]) -> set[str]:
    return {event.id for event in events}


async def test_what_was_published_survives_a_killed_server_and_the_same_subscriptions_go_on(
    server: Redis, own_bus: RedisBus, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with own_bus.subscribe("a", NAMES) as member, own_bus.broadcast(NAMES) as listener:
        before, after = [event() for _ in range(50)], [event() for _ in range(5)]
        await own_bus.publish(before)
        held = list(await member.receive(10))
        await held[0].ack()
        await held[1].retry(0.1)
        server.kill()
        with pytest.raises(Unavailable):
            await own_bus.publish(after)
        with pytest.raises(Unavailable):
            await member.receive(1)
        with pytest.raises(Unavailable):
            await held[2].ack()
        with pytest.raises(Unavailable):
            await listener.receive(1)
        server.start()
        await own_bus.publish(after)
        stream = own_bus._server.keys.events("order.created")
        assert (await own_bus._server.listening.xpending(stream, "a"))["pending"] == 8  # leases survive too
        for delivery in held[2:]:
            await delivery.ack()
        await gather(member, ids([*before[10:], *after]) | {held[1].event.id})
        heard: list[str] = []
        while len(heard) < 55:
            heard += [delivery.event.id for delivery in await listener.receive(100)]
    assert heard == [one.id for one in [*before, *after]]
    assert "was lost" not in caplog.text


async def test_a_frozen_server_is_unavailable_in_bounded_time_and_loses_nothing(
    server: Redis, own_bus: RedisBus, event: Make
) -> None:
    async with own_bus.subscribe("a", NAMES) as member:
        events = [event() for _ in range(10)]
        await own_bus.publish(events[:5])
        server.pause()
        try:
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await member.receive(5)
                with pytest.raises(Unavailable):
                    await own_bus.publish(events[5:])
                with pytest.raises(Unavailable):
                    await own_bus.dead_letters(1)
        finally:
            server.resume()
        await own_bus.publish(events[5:])
        await gather(member, ids(events))


async def test_many_who_wait_for_a_frozen_server_all_hear_of_it_in_bounded_time(
    server: Redis, own_bus: RedisBus, event: Make
) -> None:
    server.pause()
    try:
        async with asyncio.timeout(5):
            tries = [own_bus.publish([event()]) for _ in range(40)]
            results = await asyncio.gather(*tries, return_exceptions=True)
    finally:
        server.resume()
    assert {type(result) for result in results} == {Unavailable}


async def test_a_claim_whose_answer_was_lost_is_given_again_at_once(own_url: str, server: Redis, event: Make) -> None:
    # A lease that nobody would wait for: what is claimed and lost comes again because the member looks for it.
    async with open_bus(own_url.replace("lease=1", "lease=600"), Context()) as bus, bus.subscribe("a", NAMES) as member:
        await bus.publish([event()])
        for delivery in await member.receive(1):  # from now on the server knows the script
            await delivery.ack()
        events = [event() for _ in range(5)]
        await bus.publish(events)
        server.pause()
        with pytest.raises(Unavailable):
            await member.receive(5)
        server.resume()
        stream = bus._server.keys.events("order.created")
        async with asyncio.timeout(10):
            while (await bus._server.listening.xpending(stream, "a"))["pending"] < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await gather(member, ids(events)) == 5


async def test_timers_survive_a_killed_server(server: Redis, own_url: str) -> None:
    async with open_timers(own_url, Context()) as timers:
        await timers.schedule("order", datetime.now(UTC))
        server.kill()
        with pytest.raises(Unavailable):
            await timers.claim(1, timedelta(seconds=1))
        with pytest.raises(Unavailable):
            await timers.wait(1)
        server.start()
        assert [timer.key for timer in await timers.claim(1, timedelta(seconds=1))] == ["order"]


async def test_a_server_that_lost_everything_is_said_aloud_and_goes_on(
    event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with Redis(fsync=None) as server:
        async with (
            open_bus(f"{server.url}?timeout=1", Context()) as bus,
            bus.subscribe("a", NAMES) as member,
            bus.broadcast(NAMES) as listener,
        ):
            await bus.publish([event()])
            (delivery,) = await member.receive(1)
            await listener.receive(1)
            server.kill()
            server.start()
            await back(delivery.ack)  # of what is gone: nothing to do
            later = [event(), event()]
            await back(partial(bus.publish, later))
            await gather(member, ids(later))
            heard: list[str] = []
            while len(heard) < 2:
                heard += [delivery.event.id for delivery in await listener.receive(5)]
            assert set(heard) == ids(later)
    assert "group a was lost by the server" in caplog.text
    assert "no append-only file" in caplog.text


async def test_a_removed_group_is_made_again_and_gets_what_is_still_there(
    own_bus: RedisBus, admin: Client, event: Make
) -> None:
    async with own_bus.subscribe("a", NAMES) as member:
        await admin.xgroup_destroy(own_bus._server.keys.events("order.created"), "a")
        sent = event()
        await own_bus.publish([sent])
        await gather(member, {sent.id})


async def test_a_group_that_lost_one_of_its_names_is_made_again_while_others_are_busy(
    own_bus: RedisBus, admin: Client, event: Make
) -> None:
    async with own_bus.subscribe("a", [*NAMES, "ticket.sold"]) as member:
        await admin.delete(own_bus._server.keys.events("order.created"))
        lost = event()
        await own_bus.publish([lost])
        got: set[str] = set()
        async with asyncio.timeout(10):
            while lost.id not in got:
                await own_bus.publish([event("ticket.sold") for _ in range(3)])
                for delivery in await member.receive(64):
                    await delivery.ack()
                    got.add(delivery.event.id)


async def test_closing_takes_a_bounded_time_while_the_server_is_frozen(
    server: Redis, own_url: str, event: Make
) -> None:
    try:
        async with asyncio.timeout(10):
            async with open_bus(own_url, Context()) as bus, bus.subscribe("a", NAMES) as member:
                await bus.publish([event()])
                held = await member.receive(1)
                server.pause()
        assert held
    finally:
        server.resume()


async def test_a_full_server_is_unavailable_and_still_lets_events_end(
    own_bus: RedisBus, admin: Client, event: Make
) -> None:
    async with own_bus.subscribe("a", NAMES) as member:
        await own_bus.publish([event(), event()])
        first, second = await member.receive(2)
        await admin.config_set("maxmemory", "1mb")
        with pytest.raises(Unavailable, match="maxmemory"):
            await own_bus.publish([event()])
        await first.ack()
        with pytest.raises(Unavailable):
            await second.retry(0)
        await admin.config_set("maxmemory", "0")
        await second.retry(0)
        await gather(member, {second.event.id})


async def test_a_server_that_can_not_save_says_why(
    own_bus: RedisBus, admin: Client, event: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    await admin.config_set("dir", str(folder))
    await admin.config_set("save", "900 1")
    shutil.rmtree(folder)
    await admin.bgsave()
    async with asyncio.timeout(10):
        while (await admin.info("persistence"))["rdb_last_bgsave_status"] != "err":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    with pytest.raises(Unavailable, match=r"MISCONF|snapshots"):
        await own_bus.publish([event()])
    await admin.config_set("save", "")  # else it tries again when it is told to end


async def test_a_primary_that_becomes_a_replica_is_unavailable_until_it_is_a_primary_again(
    own_bus: RedisBus, admin: Client, event: Make
) -> None:
    with Redis() as other:
        async with own_bus.subscribe("a", NAMES) as member:
            await admin.replicaof("127.0.0.1", str(other.port))
            with pytest.raises(Unavailable):
                await own_bus.publish([event()])
            with pytest.raises(Unavailable):
                await member.receive(1)
            await admin.replicaof("NO", "ONE")
            sent = event()
            await own_bus.publish([sent])
            await gather(member, {sent.id})


async def test_publish_waits_for_as_many_replicas_as_it_was_told(own_url: str, server: Redis, event: Make) -> None:
    async with open_bus(f"{own_url}&wait=1", Context()) as bus, bus.subscribe("a", NAMES) as member:
        with pytest.raises(Unavailable, match="0 of 1 replicas"):
            await bus.publish([event()])
        with Redis(fsync=None) as replica:
            async with Client(port=replica.port) as client:
                await client.replicaof("127.0.0.1", str(server.port))
                sent = event()
                await back(partial(bus.publish, [sent]))
                stream = bus._server.keys.events("order.created")
                assert await client.xlen(stream) >= 1
        await gather(member, {sent.id})


WORKER = """
import asyncio, sys
from ticketkit.backends.spec import Context
from ticketkit_redis.bus import open_bus

async def main():
    async with open_bus(sys.argv[1], Context()) as bus, bus.subscribe("a", ["order.created"]) as member:
        print("ready", flush=True)
        held = await member.receive(5)
        print(len(held), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_is_taken_over(url: str, bus: RedisBus, event: Make) -> None:
    events = [event() for _ in range(8)]
    async with bus.subscribe("a", NAMES) as member:
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url, stdout=asyncio.subprocess.PIPE)
        assert worker.stdout is not None
        try:
            assert await asyncio.wait_for(worker.stdout.readline(), 20) == b"ready\n"
            await bus.publish(events)
            assert int(await asyncio.wait_for(worker.stdout.readline(), 20)) > 0
        finally:
            worker.kill()
            await worker.wait()
            worker._transport.close()  # type: ignore[attr-defined] # the pipe is read to its end by nobody
        assert await gather(member, ids(events)) == 8
