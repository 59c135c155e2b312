"""Each planted bug of a storage is caught by the test of the kit that names it."""

from pathlib import Path

import pytest
from tests.planted.catching import Planted, caught
from tests.planted.storage_bugs import BUGS

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain.entities import TicketStatus
from ticketkit.testing.conformance.conformance import loaded
from ticketkit.testing.conformance.storage.bazaar import Bazaar

CHEAP = BUGS[0], BUGS[23], BUGS[24]


def _name(bug: Planted) -> str:
    return bug.plugin.partition(":")[2]


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if bug in CHEAP else [pytest.mark.proof], id=_name(bug)) for bug in BUGS]
)
def test_the_kit_catches_a_planted_storage(bug: Planted, tmp_path: Path) -> None:
    assert caught(bug.kind, bug.plugin, bug.url, tmp_path, only=bug.caught_by) == {bug.caught_by}


@pytest.mark.anyio
@pytest.mark.parametrize("bug", BUGS, ids=_name)
async def test_a_planted_storage_sells_a_ticket_all_the_same(bug: Planted, tmp_path: Path) -> None:
    """So that it is caught for its bug, and not because nothing works at all."""
    url = bug.url.replace("TMP", str(tmp_path))
    async with loaded([bug.plugin]).open(BackendKind.STORAGE, url, Context()) as storage:
        bazaar = Bazaar(storage)
        (ticket,) = await bazaar.offer()
        order = await bazaar.place("buyer", ticket.id)
        sold = await bazaar.ticket(ticket.id)
        assert (sold.status, sold.order_id) == (TicketStatus.LOCKED, order.id)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("SoundMemoryStorage", "planted:"),
        ("SoundLockingStorage", "planted:"),
        ("SoundSqlStorage", "planted:///TMP/market.db"),
    ],
)
def test_what_the_bugs_are_planted_in_passes(name: str, url: str, tmp_path: Path) -> None:
    assert caught("storage", f"tests.planted.storage_planting:{name}", url, tmp_path) == set()
