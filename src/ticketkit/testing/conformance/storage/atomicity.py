"""Storage: all of a commit or nothing, whatever dies and whenever."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.spec import CHECKPOINTS, BackendKind, Capability
from ticketkit.domain.entities import Holds, Ticket
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar
from ticketkit.testing.conformance.storage.together import together, until
from ticketkit.testing.conformance.storage.workers import do_many, do_one, effect, take_effect
from ticketkit.testing.conformance.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ticketkit.backends.storage import Answer, Storage
    from ticketkit.testing.conformance.conformance import Opener
    from ticketkit.testing.conformance.proxy import Proxy
    from ticketkit.testing.conformance.target import Target

KILLED: Final = -9
_DO_ONE: Final = f"{do_one.__module__}:{do_one.__name__}"
_DO_MANY: Final = f"{do_many.__module__}:{do_many.__name__}"


class StorageAtomicity(Conformance):
    """State, event, mark and answer are committed together, over kills and cut connections."""

    @promise(needs=[Capability.DURABLE], limit=60)
    async def test_death_before_the_commit_leaves_nothing(self, target: Target, opener: Opener) -> None:
        """A process that is killed after deciding, or after writing, but before its commit leaves no trace."""
        for checkpoint in CHECKPOINTS[:2]:
            await _die_at(target, opener, checkpoint)
            async with opener() as backend:
                assert await effects(backend, checkpoint) == 0, f"killed at {checkpoint}, and something was written"
                await _repeat(backend, checkpoint)

    @promise(needs=[Capability.DURABLE], limit=60)
    async def test_death_after_the_commit_leaves_all(self, target: Target, opener: Opener) -> None:
        """A process that is killed right after its commit, before anybody is told, leaves all of it."""
        checkpoint = CHECKPOINTS[2]
        await _die_at(target, opener, checkpoint)
        async with opener() as backend:
            assert await effects(backend, checkpoint) == 1, f"killed at {checkpoint}, and it is gone"
            await _repeat(backend, checkpoint)

    @promise(needs=[Capability.DURABLE], limit=60)
    async def test_what_was_answered_survives_the_kill(self, target: Target, opener: Opener) -> None:
        """Of a process that is killed under load all that it answered is there, and the rest wholly or not at all."""
        await _kill_under_load(target, opener, "kill", after=12, seed=1)

    @promise(needs=[Capability.DURABLE], long=True, limit=120)
    async def test_kills_at_random_moments_leave_all_or_nothing(
        self, target: Target, opener: Opener, stress: int
    ) -> None:
        """The same at many random moments, one kill after the other on the same data."""
        for seed in range(6 * stress):
            await _kill_under_load(target, opener, f"kill-{seed}", after=seed * 17 % 60, seed=seed)

    @promise(network=True, limit=60)
    async def test_a_cut_connection_gives_no_false_answer(self, target: Target, opener: Opener, proxy: Proxy) -> None:
        """When the connection is cut before, in or after a commit, the answer is true or unknown, never a false no."""
        for checkpoint in CHECKPOINTS:
            await _cut_at(target, opener, proxy, checkpoint, swallow=False)

    @promise(network=True, limit=60)
    async def test_a_lost_commit_answer_has_one_effect(self, target: Target, opener: Opener, proxy: Proxy) -> None:
        """When the answer to COMMIT is lost, the caller gets the truth or `OutcomeUnknown`, and there is one effect."""
        for round_ in range(3):
            await _cut_at(target, opener, proxy, CHECKPOINTS[1], swallow=True, round_=round_)

    @promise(network=True, limit=60)
    async def test_a_server_that_is_away_is_unavailable(self, target: Target, opener: Opener, proxy: Proxy) -> None:
        """While the server can't be reached every call is `Unavailable` or `OutcomeUnknown`, and then works again."""
        async with opener(target.through(proxy.port)) as backend:
            bazaar = Bazaar(backend)
            await bazaar.count("before")
            proxy.leave()
            results = await together([*(bazaar.count("away") for _ in range(3)), bazaar.ticket("x"), backend.totals()])
            for result in results:
                assert isinstance(result, Unavailable | OutcomeUnknown), repr(result)
            assert isinstance(results[-1], Unavailable), "a read has no outcome that could be unknown"
            proxy.mend()

            async def works() -> bool:
                (result,) = await together([bazaar.count("after")])
                return not isinstance(result, Exception)

            await until(works, seconds=20, what="it works again")

    @promise(network=True, limit=60)
    async def test_cut_connections_lose_no_event(self, target: Target, opener: Opener, proxy: Proxy) -> None:
        """Under load with cuts again and again, each command has one effect, one event and one answer, or none."""
        names = [f"cut-{number}" for number in range(40)]
        async with opener(target.through(proxy.port)) as backend:

            async def insist(name: str) -> None:
                for _ in range(100):
                    (result,) = await together([take_effect(backend, name)])
                    if not isinstance(result, Exception):
                        return
                    assert isinstance(result, Unavailable | OutcomeUnknown), repr(result)
                    await anyio.sleep(0.02)

            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(insist, name)
                for _ in range(6):
                    await anyio.sleep(0.02)
                    proxy.cut()
        async with opener() as backend:
            assert [await effects(backend, name) for name in names] == [1] * len(names)
            subjects = [event.subject for event in await Bazaar(backend).publish()]
            assert sorted(subjects) == sorted(f"ticket-{name}" for name in names)


async def effects(backend: Storage, name: str) -> int:
    """How often a command of `effect` had its effect: all of its parts agree.

    Raises:
        AssertionError: They do not.
    """
    reads, _, given = effect(name)
    found = await backend.get(reads.all)
    counts = [one.count for one in found.values() if isinstance(one, Holds)]
    versions = [one.version for one in found.values() if isinstance(one, Ticket)]
    record = await backend.outcome(given.id)
    times = max(counts, default=0)
    assert counts == ([times] * 2 if times else []), f"half of {name} is there: {counts}"
    assert versions == ([times] if times else []), f"half of {name} is there: {found}"
    assert (record is not None) == bool(times), f"the record of {name} and its effect disagree"
    return times


async def _events(backend: Storage, names: Iterable[str]) -> dict[str, int]:
    wanted = {f"ticket-{name}": name for name in names}
    found = dict.fromkeys(wanted.values(), 0)
    for event in await Bazaar(backend).publish():
        if event.subject in wanted:
            found[wanted[event.subject]] += 1
    return found


async def _die_at(target: Target, opener: Opener, checkpoint: str) -> None:
    async with opener():
        pass  # made ready: what a first opening commits is not what is tested
    async with Worker(BackendKind.STORAGE, target, _DO_ONE, checkpoint, die_at=checkpoint) as worker:
        status = await worker.ended()
        assert status in (0, KILLED), worker.errors()
        assert status == KILLED, (
            f"The storage never came to the checkpoint {checkpoint!r}. Call context.checkpoint({checkpoint!r}) in each "
            "commit of decide (see ticketkit.backends.spec.CHECKPOINTS): the kit kills the process there."
        )
        assert worker.told == []


async def _repeat(backend: Storage, name: str) -> None:
    """Give the command again, as a client would that got no answer: one effect, one event."""
    before = await effects(backend, name)
    answer = await take_effect(backend, name)
    assert answer.replayed == bool(before)
    assert await effects(backend, name) == 1
    assert await _events(backend, [name]) == {name: 1}


async def _kill_under_load(target: Target, opener: Opener, name: str, *, after: int, seed: int) -> None:
    async with Worker(BackendKind.STORAGE, target, _DO_MANY, name, 2000) as worker:
        for _ in range(1 + after):
            await worker.hear()
        await anyio.sleep(random.Random(seed).random() * 0.02)  # noqa: S311 - a failure can be run again
        worker.kill()
        await worker.ended()
        answered = {told for told in worker.told if told != "begun"}
    tried = [f"{name}-{number}" for number in range(max(answered, default=0) + 8)]
    async with opener() as backend:
        done = {one: await effects(backend, one) for one in tried}
        assert {done[f"{name}-{number}"] for number in answered} <= {1}, "an answered command is gone"
        assert set(done.values()) <= {0, 1}
        assert await _events(backend, tried) == done, "events and effects disagree"


async def _cut_at(
    target: Target, opener: Opener, proxy: Proxy, checkpoint: str, *, swallow: bool, round_: int = 0
) -> None:
    name = f"{checkpoint}-{'lost' if swallow else 'cut'}-{round_}"
    armed = False

    def reached(found: str) -> None:
        nonlocal armed
        if armed and found == checkpoint:
            armed = False
            if swallow:
                proxy.swallow()
            else:
                proxy.cut()

    async with opener(target.through(proxy.port), checkpoint=reached) as backend:
        # What a driver asks the server before it first sends a statement must not be what is lost.
        for number in range(6):
            await take_effect(backend, f"{name}-ready-{number}")
        await together(take_effect(backend, f"{name}-ready-{number}") for number in range(6, 12))
        swallowed = proxy.swallowed
        armed = True
        result: Answer | Exception | None = None

        async def ask() -> None:
            nonlocal result
            (result,) = await together([take_effect(backend, name)])

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            if swallow:
                await until(_told(lambda: proxy.swallowed > swallowed), what="the server answered into the void")
                proxy.mend()
        assert not armed, f"the storage never called context.checkpoint({checkpoint!r})"
        async with opener() as direct:
            done = await effects(direct, name)
            if isinstance(result, Unavailable):
                assert done == 0, "it said that nothing has happened, and it had"
            elif isinstance(result, Exception):
                assert isinstance(result, OutcomeUnknown), repr(result)
            else:
                assert done == 1, f"it said that it was done, and it had {done} effects"

        async def again() -> bool:
            (found,) = await together([take_effect(backend, name)])
            return not isinstance(found, Exception)

        await until(again, seconds=20, what="the same command is answered")
        assert await effects(backend, name) == 1
        assert await _events(backend, [name]) == {name: 1}


def _told(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return condition()

    return ask
