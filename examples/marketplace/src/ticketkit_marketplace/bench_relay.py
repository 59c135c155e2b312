"""Events a second from an outbox on PostgreSQL to a bus, beside raw pipelined publish of the same bytes.

Ours: `Relay.once` until the outbox is empty: rows claimed with a lease, published, acknowledged, marked. Raw: nats-py's
`publish_async` with `Nats-Msg-Id`, each acknowledged by JetStream; redis-py's pipelines of `XADD`. What raw sends is
made beforehand. Rounds alternate, so that both see the same machine. Servers are in their default configuration:
JetStream writes through every two minutes, Redis every second.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import uvloop

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain import tickets
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.plugins import Plugins
from ticketkit.runtime.relay import BATCH, Relay
from ticketkit.testing.servers import Nats, PostgreSQL, Redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ticketkit.backends.storage import Storage
    from ticketkit.events.envelope import Envelope

    Publish = Callable[[Sequence[Envelope]], Awaitable[float]]
    """Publishes all of them; seconds that it took."""

_AT_ONCE: Final = 1_000
_STREAM: Final = "raw"


def measure(*, rounds: int = 3, events: int = 16 * BATCH) -> dict[str, Any]:
    """Measure each bus, by turns with raw publish.

    Args:
        rounds: Of each.
        events: A round.

    Returns:
        For each bus `ours` and `raw` (events a second, medians), `ratio` (median of each round's) and the rounds.
    """
    with PostgreSQL() as database, Nats(sync="2m") as nats, Redis() as redis:
        buses = {"nats": (nats.url, partial(_raw_nats, nats.url)), "redis": (redis.url, partial(_raw_redis, redis.url))}
        return {
            name: uvloop.run(_measure(database.create(name), url, raw, rounds=rounds, events=events))
            for name, (url, raw) in buses.items()
        }


async def _measure(database: str, url: str, raw: Any, *, rounds: int, events: int) -> dict[str, Any]:
    plugins = Plugins.load()
    found: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, database, Context()))
        bus = await stack.enter_async_context(plugins.open(BackendKind.BUS, url, Context()))
        publish: Publish = await stack.enter_async_context(raw())
        relay = Relay(storage, bus, clock=SystemClock(), name="bench")
        for _ in range(rounds + 1):
            waiting = await _fill(storage, events)
            began = perf_counter()
            while await relay.once():
                pass
            ours = perf_counter() - began
            found.append((events / ours, events / await publish(waiting)))
    del found[0]  # the first one warms up
    return {
        "ours": round(statistics.median(ours for ours, _ in found)),
        "raw": round(statistics.median(raw for _, raw in found)),
        "ratio": round(statistics.median(ours / raw for ours, raw in found), 2),
        "rounds": [(round(ours), round(raw)) for ours, raw in found],
        "events": events,
    }


async def _fill(storage: Storage, number: int) -> list[Envelope]:
    """Commit tickets, an event each; what waits in the outbox then."""
    for start in range(0, number, _AT_ONCE):
        count = min(_AT_ONCE, number - start)
        command = Command(id=new_id(), fresh=tuple(new_id() for _ in range(count)))
        listings = [tickets.Listing(title="Orchestra", price=Money(5000 + n, "USD")) for n in range(count)]
        decision = partial(tickets.list_tickets, command=command, seller_id="seller", listings=listings)
        await storage.decide(Keys(), decision, command)
    seen = await storage.claim_events(number, timedelta(milliseconds=1))  # a lease that is over at once
    return [claim.event for claim in seen]


@asynccontextmanager
async def _raw_nats(url: str) -> AsyncIterator[Publish]:
    import nats

    from ticketkit_nats.subjects import Subjects, message_of

    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name=_STREAM, subjects=[f"{_STREAM}.>"])
    subjects = Subjects(_STREAM)

    async def publish(events: Sequence[Envelope]) -> float:
        sent = [(subjects.of(one), *message_of(one)) for one in events]
        for (_, _, headers), one in zip(sent, events, strict=True):
            headers["Nats-Msg-Id"] = one.id
        began = perf_counter()
        await asyncio.gather(
            *[await stream.publish_async(subject, data, headers=headers) for subject, data, headers in sent]
        )
        return perf_counter() - began

    try:
        yield publish
    finally:
        await client.close()


@asynccontextmanager
async def _raw_redis(url: str) -> AsyncIterator[Publish]:
    import redis.asyncio

    from ticketkit_redis.entries import packed

    client = redis.asyncio.Redis.from_url(url)

    async def publish(events: Sequence[Envelope]) -> float:
        sent: list[Any] = [{"a": attributes, "d": body} for _, attributes, body in map(packed, events)]
        began = perf_counter()
        for start in range(0, len(sent), BATCH):
            pipeline = client.pipeline(transaction=False)
            for fields in sent[start : start + BATCH]:
                pipeline.xadd(_STREAM, fields)
            await pipeline.execute()
        return perf_counter() - began

    try:
        yield publish
    finally:
        await client.aclose()
