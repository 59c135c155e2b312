"""How far groups are behind, where the bus knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from ticketkit.backends.bus import Measured
from ticketkit.testing.conformance.bus.post import GROUP, ORDER, OTHER, TICKET, WITHIN, acknowledge, events, known, take
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus


class Measuring(Conformance):
    """Those that tell how many events a group has still to handle tell the truth."""

    @promise()
    async def test_lag_is_what_waits_and_what_was_begun(self, backend: Bus) -> None:
        """`lag` counts what a group was not given yet, what its members hold and what waits for its next try."""
        bus = _measured(backend)
        await known(backend, OTHER)
        async with backend.subscribe(GROUP, [ORDER, TICKET]) as member:
            await _is(bus, {GROUP: 0, OTHER: 0})
            await backend.publish([*events(3), *events(2, TICKET)])
            await _is(bus, {GROUP: 5, OTHER: 3})
            got = await take(member, 5)
            await _is(bus, {GROUP: 5, OTHER: 3})
            await acknowledge(got[:2])
            await got[2].retry(60)
            await _is(bus, {GROUP: 3, OTHER: 3})
            await got[3].bury("bad")
            await _is(bus, {GROUP: 2, OTHER: 3})
            await got[4].ack()
            await _is(bus, {GROUP: 1, OTHER: 3})

    @promise()
    async def test_lag_is_told_of_a_group_without_members(self, backend: Bus) -> None:
        """The lag of a group whose members are gone grows with what is published, and ends when it is handled."""
        bus = _measured(backend)
        await known(backend, GROUP)
        await backend.publish(events(4))
        await _is(bus, {GROUP: 4})
        async with backend.subscribe(GROUP, [ORDER]) as member:
            held = await take(member, 4)
            await acknowledge(held[:1])
        await _is(bus, {GROUP: 3})
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await acknowledge(await take(member, 3))
            await _is(bus, {GROUP: 0})


def _measured(bus: Bus) -> Measured:
    if not isinstance(bus, Measured):
        pytest.skip("it does not say how far its groups are behind (Measured)")
    return bus


async def _is(bus: Measured, expected: dict[str, int]) -> None:
    """Wait until the lag is this: a look may be late by what is under way."""
    found: dict[str, int] = {}
    with anyio.move_on_after(WITHIN):
        while True:
            found = dict(await bus.lag())
            if found == expected:
                return
            await anyio.sleep(0.02)
    assert found == expected
