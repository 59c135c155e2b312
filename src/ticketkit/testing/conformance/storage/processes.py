"""Storage: several processes on one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.domain.entities import Holds, Order, holds_id
from ticketkit.domain.errors import LimitReached, TicketUnavailable
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command
from ticketkit.testing.conformance.storage.together import sorted_out, together, until
from ticketkit.testing.conformance.storage.workers import buy_all, claim, hold
from ticketkit.testing.conformance.worker import Worker

if TYPE_CHECKING:
    from ticketkit.testing.conformance.conformance import Opener
    from ticketkit.testing.conformance.target import Target

SHARED: Final = (Capability.MULTI_PROCESS,)
_HOLD: Final = f"{hold.__module__}:{hold.__name__}"
_BUY: Final = f"{buy_all.__module__}:{buy_all.__name__}"
_CLAIM: Final = f"{claim.__module__}:{claim.__name__}"
_HELD: Final = 0.8


class StorageProcesses(Conformance):
    """What holds in one process holds among several."""

    @promise(needs=SHARED)
    async def test_two_openings_sell_a_ticket_once(self, opener: Opener, stress: int) -> None:
        """Buyers in two processes who race for the same tickets get each of them once."""
        async with opener() as one, opener() as two:
            sides = Bazaar(one), Bazaar(two)
            ids = [ticket.id for ticket in await sides[0].offer(12 * stress)]
            calls = [side.place(f"{n}-{number}", id) for number, id in enumerate(ids) for n, side in enumerate(sides)]
            won, refused = sorted_out(await together(calls), TicketUnavailable)
            assert len(won) == len(refused) == len(ids)
            assert set(await sides[1].of_orders(ids)) == {order.id for order in won}

    @promise(needs=SHARED)
    async def test_two_openings_lose_no_update(self, opener: Opener, stress: int) -> None:
        """Decisions on one entity from two processes build on each other, also on one that did not exist."""
        number = 20 * stress
        async with opener() as one, opener() as two:
            sorted_out(await together(Bazaar(side).count("new") for _ in range(number) for side in (one, two)))
            assert await Bazaar(one).counts("new") == await Bazaar(two).counts("new") == [2 * number]

    @promise(needs=SHARED)
    async def test_two_openings_hold_what_does_not_exist_yet(self, opener: Opener, stress: int) -> None:
        """A new buyer's limit and a new command's id are held among processes before there is any row of them."""
        async with opener() as one, opener() as two:
            sides = Bazaar(one), Bazaar(two)
            for round_ in range(2 * stress):
                event = await sides[0].announce()
                tickets = await sides[0].offer(14, event_id=event.id)
                calls = [sides[number % 2].place(f"new-{round_}", one.id) for number, one in enumerate(tickets)]
                won, _ = sorted_out(await together(calls), LimitReached)
                assert len(won) == 10
                assert len((await one.get([Holds.key(holds_id(f"new-{round_}", event.id))])).popitem()[1].orders) == 10
                given = command()
                (ticket,) = await sides[0].offer()
                calls = [side.placed("b", ticket.id, given=given) for side in sides * 4]  # type: ignore[misc]
                answers, _ = sorted_out(await together(calls))
                assert sum(not answer.replayed for answer in answers) == 1
                assert {answer.one(Order).id for answer in answers} == {given.fresh[0]}

    @promise(needs=SHARED)
    async def test_what_one_opening_committed_the_other_reads(self, opener: Opener) -> None:
        """What was answered in one process is read in another at once: entities, answers and events."""
        async with opener() as one, opener() as two:
            for number in range(10):
                given = command()
                await Bazaar(one).count("seen", given=given)
                assert await Bazaar(two).counts("seen") == [number + 1]
                assert await two.outcome(given.id) is not None
            (subject,) = await Bazaar(one).tell()
            assert [event.subject for event in await Bazaar(two).publish()] == [subject]

    @promise(needs=SHARED)
    async def test_waiting_ends_soon_after_another_opening_commits(self, opener: Opener) -> None:
        """`wait_for_events` returns within a few seconds of a commit in another process."""
        async with opener() as one, opener() as two:
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    group.start_soon(one.wait_for_events, 60)
                    await anyio.sleep(0.1)
                    await Bazaar(two).tell()

    @promise(needs=SHARED, long=True, limit=60)
    async def test_processes_sell_a_ticket_once(self, target: Target, opener: Opener, stress: int) -> None:
        """Buyers in two real processes who race for the same tickets get each of them once."""
        async with opener() as backend:
            bazaar = Bazaar(backend)
            ids = [ticket.id for ticket in await bazaar.offer(30 * stress)]
            async with (
                Worker(BackendKind.STORAGE, target, _BUY, ids, "one") as one,
                Worker(BackendKind.STORAGE, target, _BUY, ids, "two") as two,
            ):
                assert [await one.hear(), await two.hear()] == ["begun", "begun"]
                sold = [*await one.hear(), *await two.hear()]
            assert sorted(id for id, _ in sold) == sorted(ids)
            assert dict(sold) == dict(zip(ids, await bazaar.of_orders(ids), strict=True))

    @promise(needs=SHARED, limit=60)
    async def test_a_late_commit_s_event_is_not_skipped(self, target: Target, opener: Opener) -> None:
        """An event whose commit comes late, after events that began later were published, is still claimed."""
        async with opener() as backend, Worker(BackendKind.STORAGE, target, _HOLD, "late", _HELD) as worker:
            bazaar = Bazaar(backend)
            assert await worker.hear() == "held"
            subjects = set(await bazaar.tell(2))
            subjects -= {event.subject for event in await bazaar.publish()}
            await worker.hear()
            subjects -= {event.subject for event in await bazaar.publish()}
            assert subjects in (set(), {"late-late"}), "an event was skipped"
            assert await bazaar.publish() == []
            totals = await backend.totals()
            assert totals.unpublished == 0, "an event waits that no relay ever gets"

    @promise(needs=SHARED, long=True, limit=60)
    async def test_what_another_process_shares_does_not_change(self, target: Target, opener: Opener) -> None:
        """What a decision of one process only reads is not changed by another process before it has committed."""
        async with opener() as backend:
            event = await Bazaar(backend).announce()
            async with Worker(BackendKind.STORAGE, target, _HOLD, "holder", _HELD, event.id) as worker:
                assert await worker.hear() == "held"
                began = time.monotonic()
                await Bazaar(backend).put(replace(event, name="Changed"))
                waited = time.monotonic() - began
                assert await worker.hear() == [2] or waited > _HELD / 2, "it was changed under a running decision"

    @promise(needs=SHARED, long=True, limit=60)
    async def test_a_dead_process_s_lease_is_taken_over(self, target: Target, opener: Opener) -> None:
        """Events that a relay process held when it was killed are another's once its lease ran out."""
        async with opener() as backend:
            bazaar = Bazaar(backend)
            await bazaar.tell(2)
            async with Worker(BackendKind.STORAGE, target, _CLAIM, 10, 0.5) as worker:
                lost = await worker.hear()
                worker.kill()
            assert len(lost) == 2
            found: list[str] = []

            async def claimed() -> bool:
                found.extend(claim.event.id for claim in await bazaar.claim())
                return len(found) == len(lost)

            await until(claimed, what="the events are claimed by another relay")
            assert found == lost

    @promise(needs=SHARED, limit=60)
    async def test_what_a_killed_process_held_is_free_again(self, target: Target, opener: Opener) -> None:
        """What a process held when it was killed in the middle of a decision is free again within seconds."""
        async with opener() as backend, Worker(BackendKind.STORAGE, target, _HOLD, "killed", 60) as worker:
            assert await worker.hear() == "held"
            worker.kill()
            with anyio.fail_after(15):
                await Bazaar(backend).count("killed")
            assert await Bazaar(backend).counts("killed") == [1]

    @promise(needs=SHARED, network=True, limit=60)
    async def test_a_frozen_process_stalls_only_what_it_holds(self, target: Target, opener: Opener) -> None:
        """A process that is stopped while it holds an entity delays nobody who wants others, and not the relay."""
        async with opener() as backend, Worker(BackendKind.STORAGE, target, _HOLD, "frozen", 0.2) as worker:
            bazaar = Bazaar(backend)
            assert await worker.hear() == "held"
            worker.freeze()
            with anyio.fail_after(8):
                for number in range(20):
                    await bazaar.count(f"free-{number}")
                await bazaar.tell(3)
                assert len(await bazaar.publish()) == 3
            worker.kill()
            with anyio.fail_after(20):
                await bazaar.count("frozen")

    @promise(needs=SHARED, network=True, long=True, limit=120)
    async def test_what_a_frozen_process_holds_is_free_in_the_end(self, target: Target, opener: Opener) -> None:
        """What a process holds that stays stopped is free again in bounded time, and its late commit is void."""
        async with opener() as backend, Worker(BackendKind.STORAGE, target, _HOLD, "frozen", 0.2) as worker:
            bazaar = Bazaar(backend)
            assert await worker.hear() == "held"
            worker.freeze()

            async def counted() -> bool:
                (result,) = await together([bazaar.count("frozen")])
                return not isinstance(result, Exception)

            await until(counted, seconds=90, what="what it holds is free")
            assert await bazaar.counts("frozen") == [1]
            worker.thaw()
            await worker.ended()
            (count,) = await bazaar.counts("frozen")
            told = [event.subject for event in await bazaar.publish()]
            assert count == 1 + told.count("late-frozen"), "an update was lost"
