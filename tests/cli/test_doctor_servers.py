"""`ticketkit doctor` on real servers: what is wrong with them is found, and what is well is left in peace."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest
from click.testing import CliRunner

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.spec import BackendKind, Context
from ticketkit.cli import main
from ticketkit.plugins import Plugins
from ticketkit.runtime.doctor import Process, examine
from ticketkit.runtime.settings import Settings
from ticketkit.services import tokens
from ticketkit.testing.servers import Nats, PostgreSQL, Redis
from ticketkit.testing.servers.server import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


class MinuteLate(SystemClock):
    """A machine's clock that is a minute behind."""

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("TICKETKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """A server of which the database `ready` has ticketkit's tables; `strict` asks for a password."""
    with PostgreSQL() as server:
        anyio.run(opened, BackendKind.STORAGE, server.create("ready"))
        server.sql("CREATE ROLE clerk LOGIN PASSWORD 'right-password'")
        yield server


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    """A server that writes through and tells it, with ticketkit's streams."""
    with watched(sync="always") as server:
        anyio.run(opened, BackendKind.BUS, server.url)
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A server that writes each command to disk before it answers."""
    with Redis(fsync="always") as server:
        yield server


@contextmanager
def watched(*, sync: str, config: str = "", login: str = "") -> Iterator[Nats]:
    """A NATS server with monitoring."""
    port = free_port()
    url = f"nats://{login}{{host}}:{{port}}?monitor=http://{HOST}:{port}"
    with Nats(sync=sync, config=f'http: "{HOST}:{port}"\n{config}', url=url) as server:
        yield server


async def opened(kind: BackendKind, url: str) -> None:
    async with Plugins.load().open(kind, url, Context()):
        pass


def found(*more: str, storage: str, bus: str, timers: str | None = None) -> list[dict[str, str]]:
    made = tokens.Keys.generate("7")
    settings = {
        "TICKETKIT_SESSION_KEY_ID": "7",
        "TICKETKIT_SESSION_PRIVATE_KEY": made.private_pem(),
        "TICKETKIT_STORAGE_URL": storage,
        "TICKETKIT_BUS_URL": bus,
        **({"TICKETKIT_TIMERS_URL": timers} if timers else {}),
    }
    result = CliRunner().invoke(main, ["doctor", "--json", *more], env=settings)
    assert result.exit_code in (0, 1), result.output
    findings: list[dict[str, str]] = json.loads(result.stdout)["findings"]
    assert result.exit_code == (1 if [one for one in findings if one["severity"] != "note"] else 0)
    return findings


def ready(server: PostgreSQL) -> str:
    return f"{server.url.rpartition('/')[0]}/ready"


def only(findings: list[dict[str, str]], about: str) -> dict[str, str]:
    [one] = [finding for finding in findings if about in finding["about"]]
    return one


def test_nothing_is_found_on_postgresql_nats_and_redis_that_are_well(
    postgresql: PostgreSQL, nats: Nats, redis: Redis
) -> None:
    assert found(storage=ready(postgresql), bus=nats.url) == []
    assert found(storage=ready(postgresql), bus=redis.url, timers=redis.url) == []


@pytest.mark.parametrize("which", ["postgresql", "nats", "redis"])
def test_a_server_that_is_away_is_named_with_its_setting(which: str, postgresql: PostgreSQL, nats: Nats) -> None:
    port = free_port()
    away = {
        "postgresql": {"storage": f"postgresql://clerk:secret1@{HOST}:{port}/shop"},
        "nats": {"bus": f"nats://clerk:secret1@{HOST}:{port}"},
        "redis": {"bus": f"redis://:secret1@{HOST}:{port}/0"},
    }[which]
    [place] = away
    finding = only(found(**{"storage": ready(postgresql), "bus": nats.url, **away}), place)
    assert finding["severity"] == "error"
    assert str(port) in finding["what"]
    assert f"TICKETKIT_{place.upper()}_URL" in finding["mend"]
    assert "secret1" not in json.dumps(finding)


def test_a_server_that_is_frozen_holds_nobody_up(postgresql: PostgreSQL) -> None:
    with Redis(fsync="always", url="redis://{host}:{port}/0?timeout=1") as server:
        server.pause()
        begin = time.monotonic()
        finding = only(found("--limit", "0.5", storage=ready(postgresql), bus=server.url), "bus")
        assert time.monotonic() - begin < 10
        server.resume()
    assert "gave no answer within 0.5 s" in finding["what"]


def test_a_wrong_password_of_postgresql_is_found(postgresql: PostgreSQL, nats: Nats) -> None:
    hba = postgresql.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"host all clerk {HOST}/32 scram-sha-256\n{before}")
    postgresql.sql("SELECT pg_reload_conf()")
    url = ready(postgresql).replace("postgres@", "clerk:wrong-password@")
    finding = only(found(storage=url, bus=nats.url), "storage")
    assert "password" in finding["what"]
    assert "user and password in the URL" in finding["mend"]
    assert "wrong-password" not in json.dumps(finding)


def test_a_wrong_password_of_nats_is_found(postgresql: PostgreSQL) -> None:
    users = 'authorization { users: [{ user: clerk, password: "right-password" }] }'
    with watched(sync="always", config=users, login="clerk:wrong-password@") as server:
        finding = only(found(storage=ready(postgresql), bus=server.url), "bus")
    assert "refuses these credentials" in finding["what"]
    assert "wrong-password" not in json.dumps(finding)


def test_a_wrong_password_of_redis_is_found(postgresql: PostgreSQL) -> None:
    with Redis(
        fsync="always", settings={"requirepass": "right-password"}, url="redis://:wrong-password@{host}:{port}/0"
    ) as server:
        finding = only(found(storage=ready(postgresql), bus=server.url), "bus")
    assert "password" in finding["what"].lower() + finding["mend"].lower()
    assert "wrong-password" not in json.dumps(finding)


def test_a_database_without_its_schema_is_found_and_left_as_it_is(postgresql: PostgreSQL, nats: Nats) -> None:
    url = postgresql.create("bare")
    finding = only(found(storage=f"{url}?migrate=no", bus=nats.url), "storage")
    assert (finding["severity"], finding["mend"]) == ("error", "ticketkit db upgrade")
    assert only(found(storage=url, bus=nats.url), "storage")["severity"] == "note"
    assert postgresql.sql("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'ticketkit%'", database="bare") == "0"


def test_an_old_schema_is_found(postgresql: PostgreSQL, nats: Nats) -> None:
    url = postgresql.create("old")
    anyio.run(opened, BackendKind.STORAGE, url)
    postgresql.sql("UPDATE ticketkit_alembic_version SET version_num = '0001'", database="old")
    finding = only(found(storage=f"{url}?migrate=no", bus=nats.url), "storage")
    assert "has schema 0001" in finding["what"]
    assert finding["mend"] == "ticketkit db upgrade"


def test_redis_without_its_append_only_file_is_found(postgresql: PostgreSQL) -> None:
    with Redis(fsync=None) as server:
        finding = only(found(storage=ready(postgresql), bus=server.url, timers=server.url), "bus")
    assert "timers" in finding["about"]
    assert finding["severity"] == "error"
    assert "appendonly yes" in finding["mend"]


def test_nats_that_acknowledges_before_fsync_is_found(postgresql: PostgreSQL) -> None:
    with watched(sync="2m") as server:
        anyio.run(opened, BackendKind.BUS, server.url)
        finding = only(found(storage=ready(postgresql), bus=server.url), "bus")
    assert finding["severity"] == "warning"
    assert "sync_interval: always" in finding["mend"]


def test_a_stream_with_other_subjects_is_found(postgresql: PostgreSQL, nats: Nats) -> None:
    url = f"{nats.url}&prefix=other"
    finding = next(one for one in found(storage=ready(postgresql), bus=url) if "subjects" in one["what"])
    assert finding["severity"] == "error"
    assert "nats stream edit ticketkit --subjects='other.>'" in finding["mend"]


def test_streams_that_are_missing_are_a_note_and_are_not_made(postgresql: PostgreSQL, nats: Nats) -> None:
    url = f"{nats.url}&stream=another"
    for _ in range(2):
        findings = found(storage=ready(postgresql), bus=url)
        assert {(finding["about"], finding["severity"]) for finding in findings} == {("bus", "note")}
        assert "no stream another" in findings[0]["what"]


async def test_a_clock_that_is_off_by_a_minute_is_found(postgresql: PostgreSQL, nats: Nats, redis: Redis) -> None:
    settings = Settings.model_validate({"storage_url": ready(postgresql), "bus_url": nats.url, "timers_url": redis.url})
    found = await examine([Process(settings=settings)], Plugins.load(), context=Context(clock=MinuteLate()))
    off = {one.about: one.finding for one in found if "clock" in one.finding.what}
    assert {about.split()[0] for about in off} == {"storage", "bus", "timers"}
    seconds = [re.search(r"clock is (\d+) s ahead of this process's", finding.what) for finding in off.values()]
    assert all(found is not None and 55 <= int(found[1]) <= 65 for found in seconds)
    assert all("timedatectl" in finding.mend for finding in off.values())


def test_tickets_and_orders_on_two_databases_of_one_server_are_found(
    postgresql: PostgreSQL, nats: Nats, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("env")
    other = postgresql.create("second")
    anyio.run(opened, BackendKind.STORAGE, other)
    made = tokens.Keys.generate("7").private_pem().replace("\n", "\\n")
    for name, url in (("tickets", ready(postgresql)), ("orders", other)):
        lines = {"SESSION_PRIVATE_KEY": made, "STORAGE_URL": url, "BUS_URL": nats.url}
        text = "".join(f"TICKETKIT_{key}='{value}'\n" for key, value in lines.items())
        (folder / f"{name}.env").write_text(text, encoding="utf-8")
    words = [f"{name}={folder / name}.env" for name in ("tickets", "orders")]
    result = CliRunner().invoke(main, ["doctor", "--json", *words])
    [finding] = json.loads(result.stdout)["findings"]
    assert (result.exit_code, finding["severity"], finding["about"]) == (1, "error", "storage of inventory")
    assert "Give both the same TICKETKIT_STORAGE_URL" in finding["mend"]
