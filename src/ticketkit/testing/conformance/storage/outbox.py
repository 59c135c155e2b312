"""Storage: events wait, are claimed for a while, published, tried again, and kept when they can't be."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio
import pytest

from ticketkit.backends.errors import Refused
from ticketkit.backends.spec import Capability
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import Ticket, key_of
from ticketkit.domain.errors import NotFound
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import LEASE, Bazaar, command, renamed
from ticketkit.testing.conformance.storage.together import sorted_out, together, until

if TYPE_CHECKING:
    from ticketkit.backends.storage import Claimed, Storage
    from ticketkit.testing.conformance.conformance import Opener

SHORT: Final = timedelta(seconds=0.3)
_ERROR: Final = "the bus said no: \u2603"


class StorageOutbox(Conformance):
    """No event lost, and each published by one relay at a time."""

    @promise()
    async def test_events_are_claimed_oldest_first(self, backend: Storage) -> None:
        """Events that wait are claimed in the order of their commits, and `limit` is the most."""
        bazaar = Bazaar(backend)
        subjects = await bazaar.tell(6)
        first, second = await bazaar.claim(4), await bazaar.claim(4)
        assert [claim.event.subject for claim in (*first, *second)] == subjects
        assert (len(first), len(second)) == (4, 2)
        assert {claim.attempts for claim in first} == {0}
        assert await bazaar.claim() == []

    @promise()
    async def test_two_relays_never_hold_the_same_event(self, backend: Storage, stress: int) -> None:
        """Relays that claim at once get different events, all of them together."""
        bazaar = Bazaar(backend)
        subjects = {ticket.id for ticket in await bazaar.offer(60 * stress)}
        results = await together(bazaar.claim(7) for _ in range(14 * stress))
        claims = [claim for batch in sorted_out(results)[0] for claim in batch]
        assert len({claim.event.id for claim in claims}) == len(claims), "two relays hold one event"
        assert {claim.event.subject for claim in claims} == subjects

    @promise()
    async def test_a_published_event_is_not_claimed_again(self, backend: Storage) -> None:
        """What is marked as published is not claimed again, not even after its lease."""
        bazaar = Bazaar(backend)
        await bazaar.tell(2)
        claims = await bazaar.claim(lease=SHORT)
        await backend.mark_published(claims)
        await backend.mark_published([])
        assert (await backend.totals()).unpublished == 0
        await anyio.sleep(SHORT.total_seconds() * 1.5)
        assert await bazaar.claim() == []

    @promise()
    async def test_the_lease_of_a_dead_relay_is_taken_over(self, backend: Storage) -> None:
        """An event that a relay claimed and never marked is another's after the lease, and not before."""
        bazaar = Bazaar(backend)
        await bazaar.tell(2)
        started = time.monotonic()
        lost = await bazaar.claim(lease=SHORT)
        found = await bazaar.claim()
        if time.monotonic() - started < SHORT.total_seconds():
            assert found == [], "the lease has not run out"
        found = found or await _claimed(bazaar, 2)
        assert [claim.event for claim in found] == [claim.event for claim in lost]
        assert {claim.token for claim in found}.isdisjoint({claim.token for claim in lost})
        assert {claim.attempts for claim in found} == {0}, "a relay that died is not the event's fault"

    @promise()
    async def test_a_late_mark_as_published_is_void(self, backend: Storage) -> None:
        """A relay whose lease was taken over can't mark the event as published."""
        bazaar = Bazaar(backend)
        await bazaar.tell()
        late = await bazaar.claim(lease=SHORT)
        (mine,) = await _claimed(bazaar, 1)
        await backend.mark_published(late)
        assert (await backend.totals()).unpublished == 1
        await backend.mark_failed(mine, error=_ERROR, retry_in=timedelta(0))
        assert len(await _claimed(bazaar, 1)) == 1, "the relay that holds it could not give it back"

    @promise()
    async def test_a_late_mark_as_failed_is_void(self, backend: Storage) -> None:
        """A relay whose lease was taken over can neither give the event back nor bury it."""
        bazaar = Bazaar(backend)
        await bazaar.tell()
        (late,) = await bazaar.claim(lease=SHORT)
        (mine,) = await _claimed(bazaar, 1)
        await backend.mark_failed(late, error=_ERROR, retry_in=timedelta(0))
        assert await bazaar.claim() == [], "the event was taken from the relay that holds it"
        await backend.mark_failed(late, error=_ERROR, retry_in=None)
        assert await backend.dead_events(10) == []
        await backend.mark_published([mine])
        assert (await backend.totals()).unpublished == 0
        await backend.mark_failed(mine, error=_ERROR, retry_in=None)
        assert await backend.dead_events(10) == [], "it was published already"

    @promise()
    async def test_a_failed_event_waits_for_its_next_try(self, backend: Storage) -> None:
        """An event that is given back is not claimed before its time, and then again; others don't wait for it."""
        bazaar = Bazaar(backend)
        await bazaar.tell(2)
        failed, other = await bazaar.claim()
        before = time.monotonic()
        await backend.mark_failed(failed, error=_ERROR, retry_in=timedelta(seconds=1))
        await backend.mark_failed(other, error=_ERROR, retry_in=timedelta(0))
        assert [claim.event for claim in await _claimed(bazaar, 1)] == [other.event]
        (again,) = await _claimed(bazaar, 1)
        assert time.monotonic() - before >= 0.9
        assert again.event == failed.event

    @promise()
    async def test_an_event_older_than_published_ones_is_still_claimed(self, backend: Storage) -> None:
        """An event that is free again is claimed although newer ones were published: there is no high-water mark."""
        bazaar = Bazaar(backend)
        await bazaar.tell(3)
        oldest, *newer = await bazaar.claim()
        await backend.mark_published(newer)
        await backend.mark_failed(oldest, error=_ERROR, retry_in=timedelta(0))
        assert [claim.event for claim in await _claimed(bazaar, 1)] == [oldest.event]

    @promise()
    async def test_only_counted_failures_count(self, backend: Storage) -> None:
        """`attempts` counts failures that the event itself caused, and no outage of the bus."""
        bazaar = Bazaar(backend)
        await bazaar.tell()
        for number, counted in enumerate((False, True, False, True)):
            (claim,) = await _claimed(bazaar, 1)
            assert claim.attempts == number // 2
            await backend.mark_failed(claim, error=_ERROR, retry_in=timedelta(0), counted=counted)
        (claim,) = await _claimed(bazaar, 1)
        assert claim.attempts == 2

    @promise()
    async def test_dead_letters_are_kept(self, backend: Storage) -> None:
        """An event that can't be published becomes a dead letter: kept whole with its error, and not claimed."""
        bazaar = Bazaar(backend)
        await bazaar.tell(3)
        claims = await bazaar.claim()
        for claim in claims[:2]:
            await backend.mark_failed(claim, error=_ERROR, retry_in=None)
        dead = await backend.dead_events(10)
        assert [letter.event for letter in dead] == [claim.event for claim in claims[:2]]
        assert {(letter.error, letter.attempts) for letter in dead} == {(_ERROR, 1)}
        assert [letter.event for letter in await backend.dead_events(1)] == [claims[0].event]
        totals = await backend.totals()
        assert (totals.dead, totals.unpublished) == (2, 1)
        assert await bazaar.claim() == []

    @promise()
    async def test_dead_and_published_events_are_published_again_on_demand(self, backend: Storage) -> None:
        """`replay_event` makes a dead or published event wait again, the same one, and tells when there is none."""
        bazaar = Bazaar(backend)
        await bazaar.tell(2)
        dead, published = await bazaar.claim()
        await backend.mark_failed(dead, error=_ERROR, retry_in=None)
        await backend.mark_published([published])
        assert await backend.replay_event(dead.event.id)
        assert await backend.replay_event(published.event.id)
        assert await backend.dead_events(10) == []
        again = await _claimed(bazaar, 2)
        assert sorted(claim.event.id for claim in again) == sorted([dead.event.id, published.event.id])
        assert {claim.attempts for claim in again} == {0}
        assert not await backend.replay_event("unknown")

    @promise()
    async def test_only_dead_letters_are_dropped(self, backend: Storage) -> None:
        """`drop_event` deletes a dead letter, and nothing that waits or was published."""
        bazaar = Bazaar(backend)
        await bazaar.tell(2)
        first, second = await bazaar.claim()
        assert not await backend.drop_event(first.event.id)
        await backend.mark_failed(first, error=_ERROR, retry_in=None)
        assert await backend.drop_event(first.event.id)
        assert not await backend.drop_event(first.event.id)
        await backend.mark_published([second])
        assert not await backend.drop_event(second.event.id)
        totals = await backend.totals()
        assert (totals.dead, totals.unpublished) == (0, 0)

    @promise()
    async def test_events_that_wait_are_told_with_their_tries(self, backend: Storage) -> None:
        """`waiting_events` tells of what is to be published, held or tried before or not, oldest first."""
        bazaar = Bazaar(backend)
        await bazaar.tell(5)
        published, dead, failed, held, other = await bazaar.claim()
        await backend.mark_published([published])
        await backend.mark_failed(dead, error=_ERROR, retry_in=None)
        await backend.mark_failed(failed, error=_ERROR, retry_in=timedelta(minutes=1))
        found = await backend.waiting_events(10)
        assert [kept.event for kept in found] == [claim.event for claim in (failed, held, other)]
        assert [(kept.state.value, kept.attempts, kept.error, kept.ended_at) for kept in found[:2]] == [
            ("waiting", 1, _ERROR, None),
            ("waiting", 0, "", None),
        ]
        assert await backend.waiting_events(1) == found[:1]

    @promise()
    async def test_events_about_some_aggregates_are_found_whatever_became_of_them(self, backend: Storage) -> None:
        """`events_about` tells of waiting, failed, published and dead events, oldest first, and of no others."""
        bazaar = Bazaar(backend)
        before = await backend.now()
        subjects = await bazaar.tell(5)
        published, dead, failed, waiting, other = await bazaar.claim()
        await backend.mark_published([published, other])
        await backend.mark_failed(dead, error=_ERROR, retry_in=None)
        await backend.mark_failed(failed, error=_ERROR, retry_in=timedelta(minutes=1))
        found = await backend.events_about([*reversed(subjects[:4]), "unknown"])
        assert [kept.event for kept in found] == [claim.event for claim in (published, dead, failed, waiting)]
        assert [(kept.state.value, kept.attempts, kept.error) for kept in found] == [
            ("published", 0, ""),
            ("dead", 1, _ERROR),
            ("waiting", 1, _ERROR),
            ("waiting", 0, ""),
        ]
        ended = [kept.ended_at for kept in found]
        assert ended[2:] == [None, None], "an event that waits has not ended"
        assert all(at is not None and at >= before for at in ended[:2])
        assert await backend.events_about([]) == []

    @promise()
    async def test_events_about_an_aggregate_are_bounded(self, backend: Storage) -> None:
        """`limit` keeps the oldest, `since` leaves out what was committed before, and a replayed event waits again."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        for _ in range(3):
            await backend.decide(
                Keys.of(key_of(ticket)), lambda state: renamed(state.require(Ticket, ticket.id), "new"), command()
            )
        listed, *rest = await backend.events_about([ticket.id])
        assert [kept.event.aggregateversion for kept in (listed, *rest)] == [1, 2, 3, 4]
        assert await backend.events_about([ticket.id], limit=2) == [listed, rest[0]]
        later = rest[0].event.time + timedelta(microseconds=1)
        since = [kept for kept in rest if kept.event.time >= later]
        assert await backend.events_about([ticket.id], since=later) == since
        await bazaar.publish()
        await backend.replay_event(listed.event.id)
        again, *published = await backend.events_about([ticket.id])
        assert again == listed
        assert {kept.state.value for kept in published} == {"published"}

    @promise()
    async def test_waiting_ends_soon_after_a_commit(self, backend: Storage) -> None:
        """`wait_for_events` returns soon after an event was committed, or at once when one waits already."""
        bazaar = Bazaar(backend)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(backend.wait_for_events, 60)
                await anyio.sleep(0.1)
                await bazaar.tell()
            await backend.wait_for_events(60)

    @promise()
    async def test_waiting_ends_after_its_time(self, backend: Storage) -> None:
        """`wait_for_events` returns after its time although nothing was committed, and soon after a next try is due."""
        bazaar = Bazaar(backend)
        with anyio.fail_after(5):
            await backend.wait_for_events(0)
            await backend.wait_for_events(0.3)
        await bazaar.tell()
        (claim,) = await bazaar.claim()
        await backend.mark_failed(claim, error=_ERROR, retry_in=timedelta(seconds=0.3))
        assert len(await until(bazaar.claim, seconds=5, what="the next try is claimed")) == 1

    @promise()
    async def test_a_refused_decision_tells_nothing(self, backend: Storage) -> None:
        """No event of a decision that was refused is ever published."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        await bazaar.publish()
        results = await together(bazaar.place("buyer", ticket.id, "unknown") for _ in range(5))
        assert len(sorted_out(results, NotFound, Refused)[1]) == 5
        assert await bazaar.publish() == []

    @promise(needs=[Capability.DURABLE])
    async def test_leases_and_dead_letters_are_there_after_opening_again(self, opener: Opener) -> None:
        """What waits, what is leased until when, and what is dead survive the end of the process."""
        async with opener() as backend:
            bazaar = Bazaar(backend)
            await bazaar.tell(3)
            dead, _ = await bazaar.claim(2, lease=LEASE)
            await backend.mark_failed(dead, error=_ERROR, retry_in=None)
        async with opener() as backend:
            assert [letter.event for letter in await backend.dead_events(10)] == [dead.event]
            (waiting,) = await Bazaar(backend).claim()
            assert waiting.event.id > dead.event.id
            with pytest.raises(AssertionError, match="claimed"):
                await until(Bazaar(backend).claim, seconds=0.2, what="the leased one is claimed")


async def _claimed(bazaar: Bazaar, number: int) -> list[Claimed]:
    found: list[Claimed] = []

    async def claim() -> bool:
        found.extend(await bazaar.claim(number - len(found)))
        return len(found) == number

    await until(claim, seconds=10, what=f"{number} events are free to be claimed")
    return found
