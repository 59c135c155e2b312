"""What doctor is told about a server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis as Client

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.findings import Finding, Severity
from ticketkit.backends.spec import Context
from ticketkit.testing.servers import Redis
from ticketkit_redis.plugin import ticketkit_backends

pytestmark = pytest.mark.anyio


async def look(url: str, context: Context | None = None) -> dict[str, Finding]:
    """Findings of both backends, which must be the same, by the line that mends them."""
    told = []
    for backend in ticketkit_backends():
        assert backend.check is not None
        told.append({finding.mend: finding for finding in await backend.check(url, context or Context())})
    assert told[0] == told[1]
    return told[0]


def line(name: str, value: str) -> str:
    return f"redis-cli CONFIG SET {name} {value} && redis-cli CONFIG REWRITE"


@pytest.mark.parametrize(
    ("fsync", "mend", "severity"),
    [
        (None, line("appendonly", "yes"), Severity.ERROR),
        ("no", line("appendfsync", "everysec"), Severity.WARNING),
        ("everysec", line("appendfsync", "always"), Severity.NOTE),
    ],
)
async def test_what_a_crash_would_lose_is_told(fsync: str | None, mend: str, severity: Severity) -> None:
    with Redis(fsync=fsync) as server:
        found = await look(server.url)
    assert {mend: finding.severity for mend, finding in found.items()} == {mend: severity}


async def test_nothing_is_told_of_a_server_that_is_well_and_nothing_is_changed_there() -> None:
    with Redis(fsync="always") as server:
        assert await look(server.url) == {}
        async with Client(port=server.port) as admin:
            assert await admin.dbsize() == 0


async def test_a_server_that_throws_keys_away_is_told() -> None:
    with Redis(fsync="always", settings={"maxmemory-policy": "allkeys-lru"}) as server:
        ((mend, finding),) = (await look(server.url)).items()
    assert mend == line("maxmemory-policy", "noeviction")
    assert finding.severity is Severity.ERROR
    assert "allkeys-lru" in finding.what


async def test_a_clock_that_is_off_is_told() -> None:
    class Slow:
        def now(self) -> datetime:
            return datetime.now(UTC) - timedelta(minutes=1)

        async def sleep(self, seconds: float) -> None:
            raise AssertionError

    with Redis(fsync="always") as server:
        (finding,) = (await look(server.url, Context(clock=Slow()))).values()
    assert "60 s ahead" in finding.what


async def test_a_user_that_may_not_see_the_configuration_is_told_the_rest() -> None:
    with Redis(settings={"maxmemory-policy": "allkeys-lru"}) as server:
        async with Client(port=server.port) as admin:
            rules = ("default", "-@dangerous", "+info")
            await admin.execute_command("ACL", "SETUSER", *rules)  # type: ignore[no-untyped-call]
            assert list(await look(server.url)) == [line("maxmemory-policy", "noeviction")]


async def test_a_server_that_is_away_a_replica_or_has_another_password_is_refused(
    event: Callable[..., object],
) -> None:
    with Redis(settings={"requirepass": "secret"}) as server:
        with pytest.raises(Misconfigured) as caught:
            await look(server.url)
        assert "redis://user:password@host" in caught.value.mend
        mine = server.url.replace("//", "//:secret@")
        async with Client.from_url(mine) as admin:
            await admin.replicaof("127.0.0.1", "7")
            with pytest.raises(Misconfigured) as caught:
                await look(mine)
            assert caught.value.mend == "Name its primary in the URL: redis://127.0.0.1:7"
    with pytest.raises(Unavailable):
        await look(server.url)
