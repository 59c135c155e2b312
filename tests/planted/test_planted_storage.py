"""Each planted bug of a storage is caught by the test of the kit that names it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests.planted.catching import Planted, caught
from tests.planted.storage_bugs import BUGS, POSTGRESQL

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain.entities import TicketStatus
from ticketkit.testing.conformance.opening import loaded
from ticketkit.testing.conformance.storage.bazaar import Bazaar

CHEAP = "CheckThenAct", "AbsentNotHeld", "HighWaterMark"
LOCAL = [bug for bug in BUGS if bug.url != POSTGRESQL]


def _name(bug: Planted) -> str:
    return bug.plugin.partition(":")[2]


@pytest.fixture
def url(request: pytest.FixtureRequest, bug: Planted) -> Iterator[str]:
    """Of the planted backend; on PostgreSQL it names a new database."""
    if bug.url != POSTGRESQL:
        yield bug.url
        return
    server = request.getfixturevalue("postgresql_url")
    name = f"planted_{_name(bug).lower()}_{request.getfixturevalue('worker_id')}"
    asyncio.run(_execute(server, f'CREATE DATABASE "{name}"'))
    yield urlsplit(server)._replace(scheme="planted", path=f"/{name}").geturl()
    asyncio.run(_execute(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if _name(bug) in CHEAP else [pytest.mark.proof], id=_name(bug)) for bug in BUGS]
)
def test_the_kit_catches_a_planted_storage(bug: Planted, url: str, tmp_path: Path) -> None:
    assert caught(bug.kind, bug.plugin, url, tmp_path, only=bug.caught_by) == {bug.caught_by}


@pytest.mark.anyio
@pytest.mark.parametrize("bug", LOCAL, ids=_name)
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
