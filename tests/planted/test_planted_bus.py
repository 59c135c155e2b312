"""Each planted bug of a bus is caught by the test of the kit that names it."""

from pathlib import Path

import pytest
from tests.planted.bus_bugs import BUGS
from tests.planted.catching import Planted, caught

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.testing.conformance.bus.post import GROUP, ORDER, event, take
from ticketkit.testing.conformance.opening import loaded

CHEAP = BUGS[0], BUGS[-1]


def _name(bug: Planted) -> str:
    return bug.plugin.partition(":")[2]


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if bug in CHEAP else [pytest.mark.proof], id=_name(bug)) for bug in BUGS]
)
def test_the_kit_catches_a_planted_bus(bug: Planted, tmp_path: Path) -> None:
    assert caught(bug.kind, bug.plugin, bug.url, tmp_path, only=bug.caught_by) == {bug.caught_by}


@pytest.mark.anyio
@pytest.mark.parametrize("bug", BUGS, ids=_name)
async def test_a_planted_bus_carries_an_event_all_the_same(bug: Planted, tmp_path: Path) -> None:
    """So that it is caught for its bug, and not because nothing works at all."""
    sent = event()
    url = bug.url.replace("TMP", str(tmp_path))
    async with (
        loaded([bug.plugin]).open(BackendKind.BUS, url, Context()) as bus,
        bus.subscribe(GROUP, [ORDER]) as member,
    ):
        await bus.publish([sent])
        (got,) = await take(member)
        assert (got.event.id, got.attempt) == (sent.id, 1)
        await got.ack()


@pytest.mark.proof
@pytest.mark.parametrize(
    ("plugin", "url"),
    [
        ("tests.planted.sound:PassingMemoryBus", "planted:?lease=1"),
        ("tests.planted.sound:PassingSqlBus", "planted:///TMP/market.db?lease=1"),
    ],
)
def test_what_the_bugs_are_planted_in_passes(plugin: str, url: str, tmp_path: Path) -> None:
    assert caught("bus", plugin, url, tmp_path) == set()
