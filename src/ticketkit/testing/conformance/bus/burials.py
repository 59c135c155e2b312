"""Dead letters: what a group could not handle is kept, shown, and delivered again when told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ticketkit.backends.spec import Capability
from ticketkit.testing.conformance.bus.post import (
    GROUP,
    ORDER,
    OTHER,
    acknowledge,
    event,
    events,
    ids,
    known,
    nothing,
    take,
    take_all,
)
from ticketkit.testing.conformance.conformance import Conformance, Opener
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus, DeadLetter
    from ticketkit.events.envelope import Envelope


class Burials(Conformance):
    """Poison goes to the dead letters of its group, and nowhere else."""

    @promise()
    async def test_what_is_buried_is_in_the_dead_letters(self, backend: Bus) -> None:
        """A buried event is a dead letter of its group, with its attempts and the error, and comes no more."""
        sent = event()
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish([sent])
            (got,) = await take(member)
            await got.retry(0)
            (got,) = await take(member)
            await got.bury("ValueError('✗ no such seat\nin row F')")
            await nothing(member, "it was buried")
        (letter,) = await backend.dead_letters(10)
        assert (letter.group, letter.event, letter.attempts) == (GROUP, sent, 2)
        assert letter.error == "ValueError('✗ no such seat\nin row F')"

    @promise()
    async def test_a_long_error_does_not_keep_poison_from_being_buried(self, backend: Bus) -> None:
        """Whatever the error says, the event is buried; the error may be shortened."""
        await _bury(backend, GROUP, events(1), error="é\x00" * 20_000)
        (letter,) = await backend.dead_letters(10)
        assert letter.error.startswith("é")

    @promise()
    async def test_poison_does_not_stall_the_rest(self, backend: Bus) -> None:
        """Events that are buried or retried hold up none of the others of their group."""
        sent = events(30)
        poison = set(ids(sent[::3]))
        handled: list[str] = []
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(sent)
            while len(handled) < 20:
                for got in await take(member):
                    if got.event.id not in poison:
                        await got.ack()
                        handled.append(got.event.id)
                    elif got.attempt < 2:
                        await got.retry(0)
                    else:
                        await got.bury("poison")
            while len(await backend.dead_letters(100)) < 10:
                (got,) = await take(member)
                assert got.event.id in poison
                await (got.retry(0) if got.attempt < 2 else got.bury("poison"))
        assert sorted(handled) == sorted(set(ids(sent)) - poison)
        assert ids(letter.event for letter in await backend.dead_letters(100)) == sorted(poison)

    @promise()
    async def test_dead_letters_are_listed_oldest_first(self, backend: Bus) -> None:
        """Dead letters of all groups are listed oldest first, at most as many as asked for."""
        await known(backend, GROUP, OTHER)
        sent = events(3)
        for one, group in zip(sent, (GROUP, OTHER, GROUP), strict=True):
            await _bury(backend, group, [one])
        listed = await backend.dead_letters(10)
        assert [(letter.event, letter.group) for letter in listed] == list(
            zip(sent, (GROUP, OTHER, GROUP), strict=True)
        )
        assert len({letter.id for letter in listed}) == 3
        assert await backend.dead_letters(2) == listed[:2]

    @promise()
    async def test_a_dead_letter_is_replayed_to_its_group_only(self, backend: Bus) -> None:
        """A replayed dead letter comes to its group alone, as if for the first time, and is none any more."""
        await known(backend, OTHER)
        sent = event()
        letter = await _buried(backend, GROUP, sent)
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.subscribe(OTHER, [ORDER]) as other:
            await acknowledge(await take(other))
            assert await backend.replay_dead_letter(letter.id)
            (again,) = await take(member)
            assert (again.event, again.attempt) == (sent, 1)
            assert await backend.dead_letters(10) == []
            assert not await backend.replay_dead_letter(letter.id)
            await again.bury("again")
            await nothing(other, "another group's dead letter was replayed")
        (letter,) = await backend.dead_letters(10)
        assert (letter.event, letter.attempts, letter.error) == (sent, 1, "again")

    @promise()
    async def test_a_dead_letter_is_replayed_while_nobody_is_there(self, backend: Bus) -> None:
        """A dead letter that is replayed while its group has no member waits for one."""
        sent = event()
        letter = await _buried(backend, GROUP, sent)
        assert await backend.replay_dead_letter(letter.id)
        async with backend.subscribe(GROUP, [ORDER]) as member:
            assert ids(await take_all(member, [sent])) == [sent.id]

    @promise()
    async def test_a_dropped_dead_letter_is_gone(self, backend: Bus) -> None:
        """A dropped dead letter is gone for good, and only that one."""
        first, second = events(2)
        gone, stays = await _buried(backend, GROUP, first), await _buried(backend, GROUP, second)
        assert await backend.drop_dead_letter(gone.id)
        assert [letter.id for letter in await backend.dead_letters(10)] == [stays.id]
        assert not await backend.drop_dead_letter(gone.id)
        assert not await backend.replay_dead_letter(gone.id)

    @promise()
    async def test_an_unknown_dead_letter_is_none(self, backend: Bus) -> None:
        """Replaying or dropping what is no dead letter says so, whatever the id looks like."""
        strange = [
            "0",
            "1",
            "nonsense",
            "-1:payments",
            f"{'9' * 30}:{GROUP}",
            "9" * 30,
            "🎟:é",
            "a b",
            "../..",
            "x" * 500,
        ]
        for id in strange:
            assert not await backend.replay_dead_letter(id), id
            assert not await backend.drop_dead_letter(id), id

    @promise(needs=[Capability.DURABLE])
    async def test_dead_letters_survive_reopening(self, opener: Opener) -> None:
        """Dead letters survive that the bus is closed and opened, and can be replayed then."""
        sent = event()
        async with opener() as bus:
            await _bury(bus, GROUP, [sent])
        async with opener() as bus:
            (letter,) = await bus.dead_letters(10)
            assert (letter.group, letter.event, letter.error) == (GROUP, sent, "bad")
            assert await bus.replay_dead_letter(letter.id)
            async with bus.subscribe(GROUP, [ORDER]) as member:
                assert ids(await take_all(member, [sent])) == [sent.id]


async def _bury(bus: Bus, group: str, sent: list[Envelope], *, error: str = "bad") -> None:
    """Publish these events, and bury them in a group."""
    wanted = {one.id for one in sent}
    async with bus.subscribe(group, [ORDER]) as member:
        await bus.publish(sent)
        while wanted:
            (got,) = await take(member)
            if got.event.id in wanted:
                await got.bury(error)
                wanted.discard(got.event.id)
            else:
                await got.ack()


async def _buried(bus: Bus, group: str, sent: Envelope) -> DeadLetter:
    await _bury(bus, group, [sent])
    return next(letter for letter in await bus.dead_letters(10) if letter.event.id == sent.id)
