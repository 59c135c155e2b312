"""What only some buses can: replay, and handing over inside the process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import pytest

from ticketkit.backends.bus import Bus, HandsOver
from ticketkit.backends.errors import CapabilityNotSupported
from ticketkit.backends.spec import Backend, Capability
from ticketkit.testing.conformance.bus.post import (
    GROUP,
    ORDER,
    OTHER,
    TICKET,
    acknowledge,
    event,
    events,
    ids,
    nothing,
    take,
    take_all,
)
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Delivery


class Options(Conformance):
    """What is declared works; what is not is refused."""

    @promise()
    async def test_a_bus_says_the_capabilities_of_its_plugin(self, backend: Bus, spec: Backend) -> None:
        """An open bus has the capabilities that its plugin declares."""
        assert backend.capabilities == spec.capabilities

    @promise(lacks=[Capability.REPLAY])
    async def test_replay_is_refused_when_it_is_not_declared(self, backend: Bus) -> None:
        """A bus that did not declare `replay` refuses it."""
        async with backend.subscribe(GROUP, [ORDER]):
            with pytest.raises(CapabilityNotSupported):
                await backend.replay(GROUP, since=datetime.now(UTC))
            with pytest.raises(CapabilityNotSupported):
                await backend.replay(GROUP, sequence=1)

    @promise(needs=[Capability.REPLAY])
    async def test_replay_from_a_time_reaches_one_group(self, backend: Bus) -> None:
        """A replay from a time delivers what was published since, of the group's names, to that group only."""
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.subscribe(OTHER, [ORDER]) as other:
            old, new = events(3), events(3)
            await backend.publish(old)
            await acknowledge([*await take(member, 3), *await take(other, 3)])
            await anyio.sleep(0.1)
            since = datetime.now(UTC)
            await anyio.sleep(0.1)
            await backend.publish([*new, event(TICKET)])
            await acknowledge([*await take(member, 3), *await take(other, 3)])
            await backend.replay(GROUP, since=since)
            found = await take(member, 3)
            assert ids(found) == ids(new)
            await acknowledge(found)
            await nothing(member, "it is older than the replay, or of another name")
            await nothing(other, "another group is replayed")

    @promise(needs=[Capability.REPLAY])
    async def test_replay_from_a_number_reaches_one_group(self, backend: Bus) -> None:
        """A replay from number 1 delivers all that the bus keeps, and what is published afterwards comes too."""
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.subscribe(OTHER, [ORDER]) as other:
            sent = events(3)
            await backend.publish(sent)
            await acknowledge([*await take(member, 3), *await take(other, 3)])
            await backend.replay(GROUP, sequence=1)
            await take_all(member, sent)
            more = events(1)
            await backend.publish(more)
            await take_all(member, more)
            assert ids(await take(other)) == ids(more)

    @promise(needs=[Capability.REPLAY])
    async def test_replay_of_an_unknown_group_is_refused(self, backend: Bus) -> None:
        """A group that was never subscribed can't be replayed to: LookupError."""
        with pytest.raises(LookupError):
            await backend.replay("nobody", since=datetime.now(UTC))

    @promise()
    async def test_what_is_handed_over_settles_when_all_groups_ended_it(self, backend: Bus) -> None:
        """An event that is handed over is settled once, when every group has ended it; a retry is no end."""
        bus = _hands_over(backend)
        settled: list[tuple[str, str | None]] = []
        async with backend.subscribe(GROUP, [ORDER]) as one, backend.subscribe(OTHER, [ORDER]) as other:
            (sent,) = events(1)
            await bus.hand_over([sent], lambda id, error: settled.append((id, error)))
            await (await take(one))[0].ack()
            await (await take(other))[0].retry(0)
            (again,) = await take(other)
            assert settled == []
            await again.ack()
            assert settled == [(sent.id, None)]
            await again.ack()
        assert settled == [(sent.id, None)]

    @promise()
    async def test_what_nobody_hears_is_settled_at_once(self, backend: Bus) -> None:
        """An event that no group names is settled when it is handed over."""
        bus = _hands_over(backend)
        settled: list[tuple[str, str | None]] = []
        async with backend.subscribe(GROUP, [ORDER]), backend.broadcast([TICKET]):
            sent = event(TICKET)
            await bus.hand_over([sent], lambda id, error: settled.append((id, error)))
            assert settled == [(sent.id, None)]

    @promise()
    async def test_a_burial_of_what_was_handed_over_is_told(self, backend: Bus) -> None:
        """A burial settles an event with its error once all ended it, and makes no dead letter of the bus."""
        bus = _hands_over(backend)
        settled: list[tuple[str, str | None]] = []
        async with backend.subscribe(GROUP, [ORDER]) as one, backend.subscribe(OTHER, [ORDER]) as other:
            (sent,) = events(1)
            await bus.hand_over([sent], lambda id, error: settled.append((id, error)))
            await (await take(one))[0].bury("no such seat")
            await (await take(other))[0].ack()
        ((id, error),) = settled
        assert id == sent.id
        assert "no such seat" in (error or "")
        assert await backend.dead_letters(5) == []

    @promise()
    async def test_leaving_does_not_settle(self, backend: Bus) -> None:
        """A member that leaves with an event in hand does not settle it: another member has to end it."""
        bus = _hands_over(backend)
        settled: list[str] = []
        async with backend.subscribe(GROUP, [ORDER]) as leaves:
            await bus.hand_over(events(1), lambda id, _: settled.append(id))
            late: list[Delivery] = await take(leaves)
        await late[0].ack()
        assert settled == []
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await acknowledge(await take(member))
        assert len(settled) == 1


def _hands_over(backend: Bus) -> HandsOver:
    if not isinstance(backend, HandsOver):
        pytest.skip("does not hand over: it keeps what is published")
    return backend
