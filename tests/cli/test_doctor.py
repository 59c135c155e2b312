"""`ticketkit doctor`: each seeded fault is found, with the line that mends it; where all is well, nothing is."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from importlib import metadata
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.findings import Finding, Severity
from ticketkit.backends.spec import API_VERSION, Backend, BackendKind, Capability, Context
from ticketkit.cli import main
from ticketkit.domain import tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.plugins import Plugins
from ticketkit.services import tokens
from ticketkit.services.commands import Commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("TICKETKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def signing(key_id: str = "7") -> dict[str, str]:
    """Settings of auth: a pair of keys of its own."""
    made = tokens.Keys.generate(key_id)
    return {
        "TICKETKIT_SESSION_KEY_ID": key_id,
        "TICKETKIT_SESSION_PRIVATE_KEY": made.private_pem().replace("\n", "\\n"),
        "TICKETKIT_SESSION_PUBLIC_KEYS": json.dumps({key_id: made.public_pem()}),
    }


@pytest.fixture
def well(tmp_path: Path) -> dict[str, str]:
    """Settings with which nothing is wrong: own keys, a database that is ready, and a bus on it."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    anyio.run(open_and_close, url)
    return {**signing(), "TICKETKIT_STORAGE_URL": url, "TICKETKIT_BUS_URL": url}


async def open_and_close(url: str) -> None:
    async with Plugins.load().open(BackendKind.STORAGE, url, Context()):
        pass


def run(*arguments: str, env: dict[str, str], plugins: Plugins | None = None) -> Result:
    result = CliRunner().invoke(main, ["doctor", *arguments], env=env, obj=plugins)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def found(*arguments: str, env: dict[str, str], plugins: Plugins | None = None) -> list[dict[str, str]]:
    result = run(*arguments, "--json", env=env, plugins=plugins)
    findings: list[dict[str, str]] = json.loads(result.stdout)["findings"]
    wrong = [finding for finding in findings if finding["severity"] != "note"]
    assert result.exit_code == (1 if wrong else 0)
    return findings


def only(findings: list[dict[str, str]], about: str) -> dict[str, str]:
    [one] = [finding for finding in findings if about in finding["about"]]
    return one


def file(path: Path, settings: dict[str, str]) -> str:
    path.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()), encoding="utf-8")
    return str(path)


def test_nothing_is_found_where_all_is_well(well: dict[str, str]) -> None:
    assert found(env=well) == []
    assert run(env=well).stdout == "Nothing is wrong.\n"


def test_services_alone_are_looked_at_as_they_would_be_started(well: dict[str, str]) -> None:
    for service in ("auth", "tickets", "orders", "expiration", "payments"):
        assert found(service, env=well) == []


def test_an_unknown_scheme_is_named_with_those_that_there_are(well: dict[str, str]) -> None:
    finding = only(found(env={**well, "TICKETKIT_STORAGE_URL": "abacus://beads"}), "storage")
    assert "No plugin has the storage scheme 'abacus'" in finding["what"]
    assert "sqlite" in finding["what"]
    assert "TICKETKIT_STORAGE_URL" in finding["mend"]


def test_a_plugin_that_is_not_installed_is_named_with_the_line_that_installs_it(well: dict[str, str]) -> None:
    points = [point for point in metadata.entry_points(group="ticketkit") if point.name != "stripe"]
    without = Plugins.load(entry_points=points)
    finding = only(found(env={**well, "TICKETKIT_PAYMENTS": "stripe"}, plugins=without), "payments")
    assert finding["severity"] == "error"
    assert finding["mend"] == "Install it: pip install ticketkit-stripe"


@pytest.mark.parametrize(("version", "mend"), [(API_VERSION + 1, "ticketkit"), (API_VERSION - 2, "harbour-bus")])
def test_the_api_version_of_a_plugin_is_named_with_what_to_install(
    well: dict[str, str], version: int, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = installed(monkeypatch, backend(api_version=version))
    findings = found(env={**well, "TICKETKIT_BUS_URL": "harbour://pier"}, plugins=plugins)
    [finding] = [finding for finding in findings if "api_version" in finding["what"]]
    assert (finding["about"], finding["severity"]) == ("bus", "error")
    assert finding["mend"].endswith(f"pip install --upgrade {mend}")


def test_a_broken_plugin_that_is_not_configured_is_a_warning(
    well: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = only(found(env=well, plugins=installed(monkeypatch, backend(api_version=99))), "plugin harbour")
    assert finding["severity"] == "warning"
    assert "nothing of it takes effect" in finding["what"]


def test_development_keys_are_a_note_in_development_and_an_error_elsewhere(well: dict[str, str]) -> None:
    bare = {name: value for name, value in well.items() if "SESSION" not in name}
    assert only(found(env=bare), "session keys")["severity"] == "note"
    assert run(env=bare).exit_code == 0
    production = {**bare, "TICKETKIT_ENVIRONMENT": "production"}
    finding = only(found(env=production), "session keys")
    assert finding["severity"] == "error"
    assert "ticketkit keys new" in finding["mend"]


def test_auth_without_its_private_key_is_found(well: dict[str, str]) -> None:
    lost = {name: value for name, value in well.items() if "PRIVATE" not in name}
    assert "TICKETKIT_SESSION_PRIVATE_KEY" in only(found("auth", env=lost), "session keys")["mend"]
    assert found("tickets", env=lost) == []


def test_a_missing_migration_is_named_with_the_command(well: dict[str, str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}?migrate=no"
    finding = only(found(env={**well, "TICKETKIT_STORAGE_URL": url}), "storage")
    assert (finding["severity"], finding["mend"]) == ("error", "ticketkit db upgrade")


def test_looking_makes_and_upgrades_nothing(well: dict[str, str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
    finding = only(found(env={**well, "TICKETKIT_STORAGE_URL": url}), "storage")
    assert (finding["severity"], "timers" in finding["about"]) == ("note", True)
    assert not (tmp_path / "folder").exists()
    assert not (tmp_path / ".data").exists()


def test_a_service_alone_with_a_backend_of_one_process_is_found(well: dict[str, str]) -> None:
    finding = only(found("tickets", env={**well, "TICKETKIT_BUS_URL": "memory:"}), "bus")
    assert "lives inside one process" in finding["what"]
    assert "TICKETKIT_BUS_URL" in finding["mend"]


def test_a_provider_that_forgets_and_timers_of_one_process_are_found_where_services_are_alone(
    well: dict[str, str],
) -> None:
    alone = {**well, "TICKETKIT_PAYMENTS": "fake", "TICKETKIT_TIMERS_URL": "memory:"}
    assert "forgets every payment" in only(found("payments", env=alone), "payments")["what"]
    assert "TICKETKIT_TIMERS_URL" in only(found("expiration", env=alone), "timers")["mend"]
    assert found(env=alone) == []


def test_a_setting_that_does_not_parse_is_named_without_its_value(well: dict[str, str]) -> None:
    finding = only(found(env={**well, "TICKETKIT_HOLD": "hunter2"}), "settings")
    assert "TICKETKIT_HOLD" in finding["what"]
    assert "hunter2" not in json.dumps(finding)


def test_play_money_in_production_is_a_warning(well: dict[str, str]) -> None:
    finding = only(found(env={**well, "TICKETKIT_ENVIRONMENT": "production"}), "payments")
    assert (finding["severity"], finding["mend"]) == ("warning", "TICKETKIT_PAYMENTS=stripe")


def test_a_data_folder_that_can_not_be_written_is_found(well: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    finding = only(found(env={**well, "TICKETKIT_DATA_DIR": str(tmp_path / "taken" / "data")}), "data folder")
    assert "TICKETKIT_DATA_DIR" in finding["mend"]


def test_dead_letters_are_found(well: dict[str, str]) -> None:
    anyio.run(list_two_tickets, well["TICKETKIT_STORAGE_URL"])
    anyio.run(bury_one, well["TICKETKIT_STORAGE_URL"])
    finding = only(found(env=well), "storage")
    assert "1 event could not be published" in finding["what"]
    assert "ticketkit dead list" in finding["mend"]


async def list_two_tickets(url: str) -> None:
    async with Plugins.load().open(BackendKind.STORAGE, url, Context()) as storage:
        listings = [tickets.Listing(title="Seat", price=Money.parse("10", "USD")) for _ in range(2)]
        command = Commands(new_id).ask("test", actor="seller", fresh=2)
        await storage.decide(
            Keys(), lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=listings), command
        )


async def bury_one(url: str) -> None:
    async with Plugins.load().open(BackendKind.STORAGE, url, Context()) as storage:
        [claim] = await storage.claim_events(1, timedelta(seconds=30))
        await storage.mark_failed(claim, error="too large for the bus", retry_in=None)


# --- several processes -----------------------------------------------------------------------------------------------


def test_tickets_and_orders_on_different_storages_are_found(well: dict[str, str], tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    anyio.run(list_two_tickets, well["TICKETKIT_STORAGE_URL"])
    anyio.run(open_and_close, other)
    tickets_file = file(tmp_path / "tickets.env", well)
    orders_file = file(tmp_path / "orders.env", {**well, "TICKETKIT_STORAGE_URL": other})
    finding = only(found(f"tickets={tickets_file}", f"orders={orders_file}", env={}), "storage of inventory")
    assert finding["severity"] == "error"
    assert "orders and tickets" in finding["what"] or "tickets and orders" in finding["what"]
    assert "TICKETKIT_STORAGE_URL" in finding["mend"]


def test_one_storage_by_two_names_is_one_storage(well: dict[str, str], tmp_path: Path) -> None:
    anyio.run(list_two_tickets, well["TICKETKIT_STORAGE_URL"])
    (tmp_path / "link").symlink_to(tmp_path)
    other = {**well, "TICKETKIT_STORAGE_URL": f"sqlite:///{tmp_path / 'link' / 'shop.db'}?busy=3"}
    files = file(tmp_path / "tickets.env", well), file(tmp_path / "orders.env", other)
    assert found(f"tickets={files[0]}", f"orders={files[1]}", env={}) == []


def test_processes_on_different_buses_and_with_different_keys_are_found(well: dict[str, str], tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'bus.db'}"
    anyio.run(open_and_close, other)
    changed = {**well, **signing("8"), "TICKETKIT_BUS_URL": other}
    files = file(tmp_path / "auth.env", well), file(tmp_path / "rest.env", changed)
    findings = found(f"auth={files[0]}", f"tickets,orders={files[1]}", env={})
    assert "TICKETKIT_BUS_URL" in only(findings, "bus")["mend"]
    assert "TICKETKIT_SESSION_PUBLIC_KEYS" in only(findings, "session keys")["mend"]


def test_later_files_win_and_the_environment_does_not_count(well: dict[str, str], tmp_path: Path) -> None:
    common = file(tmp_path / "common.env", {**well, "TICKETKIT_BUS_URL": "abacus:"})
    own = file(tmp_path / "own.env", {"TICKETKIT_BUS_URL": well["TICKETKIT_BUS_URL"]})
    assert found(f"tickets,orders={common},{own}", env={"TICKETKIT_STORAGE_URL": "abacus:"}) == []
    assert found("tickets", "--env-file", common, "--env-file", own, env={"TICKETKIT_HOLD": "nonsense"}) == []


@pytest.mark.parametrize("words", [["harbour=x.env"], ["tickets=no-such-file.env"], ["harbour"]])
def test_what_is_no_service_or_no_file_is_said_so(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.env").touch()
    result = run(*words, env={})
    assert result.exit_code == 2
    assert "is no service" in result.stderr or "no such file" in result.stderr


# --- what a backend's own check says ---------------------------------------------------------------------------------


def backend(
    check: Callable[[str, Context], Awaitable[Sequence[Finding]]] | None = None, *, api_version: int = API_VERSION
) -> Backend:
    def never(url: str, _context: Context) -> Any:
        raise AssertionError(url)

    return Backend(
        kind=BackendKind.BUS,
        name="Harbour",
        schemes=("harbour",),
        capabilities=frozenset({Capability.DURABLE, Capability.MULTI_PROCESS}),
        open=never,
        api_version=api_version,
        check=check,
    )


class _Distribution:
    name, version = "harbour-bus", "1.0"


def installed(monkeypatch: pytest.MonkeyPatch, *backends: Backend) -> Plugins:
    """All plugins, and one that is installed as `harbour`."""
    module = ModuleType("harbour_plugin")
    module.ticketkit_backends = lambda: list(backends)  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "harbour_plugin", module)
    point = EntryPoint(name="harbour", value="harbour_plugin", group="ticketkit")
    vars(point).update(dist=_Distribution())
    return Plugins.load(entry_points=[*metadata.entry_points(group="ticketkit"), point])


def checked(well: dict[str, str], monkeypatch: pytest.MonkeyPatch, check: Any, *arguments: str) -> list[dict[str, str]]:
    plugins = installed(monkeypatch, backend(check))
    url = "harbour://admiral:hunter2secret@pier:4222/7?token=abcdefgh"
    return found(*arguments, env={**well, "TICKETKIT_BUS_URL": url}, plugins=plugins)


def test_no_secret_is_shown_whatever_a_driver_says(well: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(url: str, _context: Context) -> list[Finding]:
        raise Unavailable(f"can't connect to {url} as admiral with hunter2secret")

    [finding] = checked(well, monkeypatch, check)
    assert "hunter2secret" not in json.dumps(finding)
    assert "abcdefgh" not in json.dumps(finding)
    assert "Start what is at harbour://pier:4222/7" in finding["mend"]


def test_a_backend_that_gives_no_answer_is_found_in_time(well: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_url: str, _context: Context) -> list[Finding]:
        await anyio.sleep(60)
        return []

    [finding] = checked(well, monkeypatch, check, "--limit", "0.2")
    assert "gave no answer within 0.2 s" in finding["what"]


def test_a_backend_is_not_opened_when_its_check_says_so(well: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_url: str, _context: Context) -> list[Finding]:
        return [Finding(severity=Severity.NOTE, what="There is no pier yet.", mend="Build one", unopened=True)]

    [finding] = checked(well, monkeypatch, check)
    assert finding == {"severity": "note", "about": "bus", "what": "There is no pier yet.", "mend": "Build one"}


def test_a_backend_without_a_check_is_not_opened_either(well: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = checked(well, monkeypatch, None)
    assert (finding["severity"], finding["about"]) == ("note", "bus")
    assert "has no check of its own" in finding["what"]
