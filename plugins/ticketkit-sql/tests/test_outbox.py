"""Events between commit and bus: leases, retries, dead letters, purging."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from ticketkit.backends.spec import Context
from ticketkit.domain.decision import Changes, Keys
from ticketkit_sql import outbox, reads, schema
from ticketkit_sql.storage import open_storage

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


async def test_what_one_relay_holds_no_other_gets(market: Any) -> None:
    await market.offer(10)
    one, two = await asyncio.gather(market.storage.claim_events(6, LEASE), market.storage.claim_events(6, LEASE))
    ids = [claim.event.id for claim in (*one, *two)]
    assert len(ids) == len(set(ids)) == 10


async def test_the_lease_of_a_dead_relay_is_taken_over_and_its_late_mark_is_void(market: Any) -> None:
    await market.offer()
    (late,) = await market.storage.claim_events(1, LEASE)
    assert await market.storage.claim_events(1, LEASE) == []
    market.clock.advance(seconds=30)
    (taken,) = await market.storage.claim_events(1, LEASE)
    await market.storage.mark_published([late])
    await market.storage.mark_failed(late, error="late", retry_in=None)
    assert (await market.storage.totals()).unpublished == 1
    await market.storage.mark_published([taken])
    assert (await market.storage.totals()).unpublished == 0


async def test_a_failed_event_waits_and_counts_only_its_own_failures(market: Any) -> None:
    await market.offer()
    (claim,) = await market.storage.claim_events(1, LEASE)
    await market.storage.mark_failed(claim, error="away", retry_in=timedelta(seconds=5), counted=False)
    assert await market.storage.claim_events(1, LEASE) == []
    market.clock.advance(seconds=5)
    (claim,) = await market.storage.claim_events(1, LEASE)
    assert claim.attempts == 0
    await market.storage.mark_failed(claim, error="bad", retry_in=timedelta(0))
    (claim,) = await market.storage.claim_events(1, LEASE)
    assert claim.attempts == 1


async def test_a_dead_event_is_shown_replayed_and_dropped(market: Any) -> None:
    await market.offer(2)
    for claim in await market.storage.claim_events(2, LEASE):
        await market.storage.mark_failed(claim, error="never", retry_in=None)
    dead = await market.storage.dead_events(5)
    assert [(one.attempts, one.error) for one in dead] == [(1, "never")] * 2
    first, second = (one.event.id for one in dead)
    assert await market.storage.replay_event(first)
    assert await market.storage.drop_event(second)
    assert not await market.storage.drop_event(second)
    assert not await market.storage.replay_event("unknown")
    assert [claim.event.id for claim in await market.storage.claim_events(5, LEASE)] == [first]


async def test_a_published_event_can_be_published_again(market: Any) -> None:
    await market.offer()
    (claim,) = await market.storage.claim_events(1, LEASE)
    await market.storage.mark_published([claim])
    assert await market.storage.replay_event(claim.event.id)
    assert [one.event for one in await market.storage.claim_events(1, LEASE)] == [claim.event]


async def test_waiting_ends_with_a_commit(market: Any) -> None:
    waiting = asyncio.create_task(market.storage.wait_for_events(3600))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await market.offer()
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_waiting_on_a_file_ends_with_a_look(market: Any) -> None:
    clock = market.clock.twin()
    async with open_storage(market.url, Context(clock=clock)) as other:
        await market.storage.mark_published(await market.storage.claim_events(5, LEASE))
        waiting = asyncio.create_task(other.wait_for_events(60))
        await asyncio.sleep(0.02)
        await market.offer()
        assert not waiting.done()
        clock.advance(seconds=1)  # it looks
        await asyncio.wait_for(waiting, 5)


async def test_purging_keeps_what_is_still_needed(market: Any) -> None:
    await market.offer()
    (claim,) = await market.storage.claim_events(1, LEASE)
    await market.storage.mark_published([claim])
    market.clock.advance(hours=2)
    await market.offer()  # unpublished
    mark = market.command(consumer="orders", event_id="e1")
    await market.storage.decide(Keys(), lambda _: Changes(), mark)
    market.clock.advance(hours=1)
    now = market.clock.now()
    old = now - timedelta(hours=2)
    assert await market.storage.purge(events_before=old, commands_before=now, marks_before=old) == 3
    assert (await market.storage.totals()).unpublished == 1
    assert await market.storage.outcome(mark.id) is not None


def test_what_is_about_something_is_found_by_indexes(tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path / 'x.db'}")
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    plan: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def explain(connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> None:
        cursor = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        plan.extend(str(row[-1]) for row in cursor)

    with engine.connect() as connection:
        outbox.about(connection, subjects=["a", "b"], since=None, limit=5)
        reads.webhooks_about(connection, references=["a", "b"], limit=5)
    engine.dispose()
    steps = [step.partition(" USING INDEX ")[::2] for step in plan if "ticketkit_" in step]
    assert steps == [
        ("SEARCH ticketkit_outbox", "ix_ticketkit_outbox_about (subject=?)"),
        ("SEARCH ticketkit_outbox", "ix_ticketkit_outbox_waiting (free_at>?)"),
        ("SCAN ticketkit_outbox", "ix_ticketkit_outbox_dead"),
        ("SEARCH ticketkit_webhooks", "ix_ticketkit_webhooks_about (reference=?)"),
    ]
