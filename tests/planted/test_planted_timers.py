"""Each planted bug of timers is caught by the test of the kit that names it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.planted.catching import Planted, caught
from tests.planted.timers_bugs import BUGS

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.backends.timers import Due
from ticketkit.testing.conformance.opening import loaded

CHEAP = BUGS[0], BUGS[7]


def _name(bug: Planted) -> str:
    return bug.plugin.partition(":")[2]


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if bug in CHEAP else [pytest.mark.proof], id=_name(bug)) for bug in BUGS]
)
def test_the_kit_catches_planted_timers(bug: Planted, tmp_path: Path) -> None:
    assert caught(bug.kind, bug.plugin, bug.url, tmp_path, only=bug.caught_by) == {bug.caught_by}


@pytest.mark.anyio
@pytest.mark.parametrize("bug", BUGS, ids=_name)
async def test_planted_timers_fire_all_the_same(bug: Planted, tmp_path: Path) -> None:
    """So that they are caught for their bug, and not because nothing works at all."""
    url = bug.url.replace("TMP", str(tmp_path))
    async with loaded([bug.plugin]).open(BackendKind.TIMERS, url, Context()) as timers:
        await timers.schedule("order", datetime.now(UTC) - timedelta(seconds=2))
        found: list[Due] = []
        while not found:
            await timers.wait(0.2)
            found = list(await timers.claim(5, timedelta(seconds=5)))
        assert [timer.key for timer in found] == ["order"]
        await timers.done(found[0])


@pytest.mark.proof
def test_what_the_bugs_are_planted_in_passes(tmp_path: Path) -> None:
    assert caught("timers", "tests.planted.sound:SoundTimers", "planted:", tmp_path) == set()
