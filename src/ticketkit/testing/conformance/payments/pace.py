"""Promises of a provider that has a budget of calls a second: it says how long a call would wait."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from ticketkit.backends.payments import Paced
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import Till, insist
from ticketkit.testing.conformance.promise import promise

MANY: Final = 100_000
"""Calls that no budget of calls a second has at once."""
QUEUE: Final = 20
TURNS: Final = 100
"""So often is looked while the calls of the queue begin."""


class PacePromises(PaymentPromises):
    """What a buyer is told about waiting is a time, and true."""

    @promise()
    async def test_the_pace_is_a_time_that_is_longer_for_more_calls(self, till: Till) -> None:
        """The wait that is told is finite, never negative, never shorter for more calls, and some for very many."""
        waits = {calls: _paced(till).wait_for(calls) for calls in (1, 3, 30, 1000, MANY)}
        assert all(isfinite(wait) and wait >= 0 for wait in waits.values()), waits
        assert all(fewer <= more for fewer, more in pairwise(waits.values())), waits
        assert waits[MANY] > 0, f"{MANY} calls would not wait"

    @promise()
    async def test_calls_under_way_make_the_wait_longer(self, till: Till) -> None:
        """While calls are made or wait for their turn, the next ones are told to wait longer than before."""
        paced = _paced(till)
        before = longest = paced.wait_for(MANY)
        async with anyio.create_task_group() as group:
            for _ in range(QUEUE):
                group.start_soon(insist, till.prepare())
            for _ in range(TURNS):
                await anyio.lowlevel.checkpoint()
                longest = max(longest, paced.wait_for(MANY))
        assert longest > before, "calls that are made do not count"


def _paced(till: Till) -> Paced:
    if not isinstance(till.provider, Paced):
        pytest.skip("it has no budget of calls")
    return till.provider
