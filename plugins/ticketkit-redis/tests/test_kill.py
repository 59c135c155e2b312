"""Consumers and the server are killed at random, for a while: no event is lost, none is cut too early."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Redis
from ticketkit_redis.bus import open_bus

pytestmark = pytest.mark.anyio

CONSUMER = """
import asyncio, os, random, sys
from ticketkit.backends.errors import Unavailable
from ticketkit.backends.spec import Context
from ticketkit_redis.bus import open_bus

async def end(delivery, handled):
    await asyncio.sleep(random.random() / 50)
    try:
        if delivery.attempt == 1 and random.random() < 0.2:
            await delivery.retry(random.random() / 5)
            return
        os.write(handled, delivery.event.id.encode() + b"\\n")
        await delivery.ack()
    except Unavailable:
        pass

async def main(url, group, path):
    handled = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    while True:
        try:
            async with open_bus(url, Context()) as bus, bus.subscribe(group, ["order.created"]) as member:
                while True:
                    await asyncio.gather(*(end(one, handled) for one in await member.receive(random.randint(1, 40))))
        except Unavailable:
            await asyncio.sleep(0.05)

asyncio.run(main(*sys.argv[1:]))
"""


class Consumers:
    """Two processes of each of two groups."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._children: dict[tuple[str, int], asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        for group in ("a", "b"):
            for number in (1, 2):
                if (group, number) not in self._children:
                    self._children[group, number] = await asyncio.create_subprocess_exec(
                        sys.executable, "-c", CONSUMER, self._url, group, str(self._folder / group)
                    )

    async def kill(self, *which: tuple[str, int]) -> None:
        for key in which or list(self._children):
            child = self._children.pop(key)
            child.kill()
            await child.wait()

    def handled(self, group: str) -> set[str]:
        path = self._folder / group
        return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()


@pytest.mark.proof
async def test_nothing_is_lost_while_consumers_and_server_are_killed(
    server: Redis, event: Callable[..., Envelope], tmp_path: Path
) -> None:
    chance = random.Random(7)
    url = f"{server.url}?lease=1&timeout=1&keep=0.2"
    published: set[str] = set()
    async with open_bus(url, Context()) as bus:
        for group in ("a", "b"):
            async with bus.subscribe(group, ["order.created"]):
                pass
        consumers = Consumers(url, tmp_path)
        over = asyncio.Event()

        async def publish() -> None:
            while not over.is_set():
                batch = [event() for _ in range(chance.randint(1, 40))]
                while True:
                    try:
                        await bus.publish(batch)
                        break
                    except Unavailable:
                        await asyncio.sleep(0.05)
                published.update(one.id for one in batch)
                await asyncio.sleep(0.03)

        publishing = asyncio.ensure_future(publish())
        try:
            await consumers.start()
            for turn in range(30):
                await asyncio.sleep(chance.uniform(0.2, 1.0))
                await consumers.kill((chance.choice("ab"), chance.choice((1, 2))))
                if turn % 5 == 4:
                    server.kill()
                    server.start()
                await consumers.start()
            over.set()
            await publishing
            async with asyncio.timeout(60):
                for group in ("a", "b"):
                    while not published <= consumers.handled(group):  # noqa: ASYNC110 - other processes write
                        await asyncio.sleep(0.1)
            await bus.trim()
            left = await bus._server.listening.xlen(bus._server.keys.events("order.created"))
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await consumers.kill()
    assert len(published) > 1000
    assert left < len(published) / 2
