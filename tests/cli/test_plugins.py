"""`ticketkit plugins`, and how the program finds its commands."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit.cli import COMMANDS, main
from ticketkit.plugins import Plugins

WRECK = EntryPoint(name="wreck", value="no_such_module_of_ours", group="ticketkit")


def never(url: str, context: Context) -> Any:
    raise AssertionError(url)


def run(*args: str, **hooks: Any) -> Result:
    plugin = ModuleType("ships")
    for name, answer in hooks.items():
        setattr(plugin, f"ticketkit_{name}", lambda answer=answer: answer)
    return CliRunner().invoke(main, args, obj=Plugins.load([plugin], entry_points=[WRECK]))


HARBOUR = Backend(
    kind=BackendKind.BUS,
    name="Harbour",
    schemes=("harbour", "quay"),
    capabilities=frozenset({Capability.MULTI_PROCESS, Capability.DURABLE}),
    open=never,
    settings={"depth": "Metres."},
)


def test_plugins_are_listed_with_backends_and_capabilities_and_what_is_broken_and_why() -> None:
    done = run("plugins", backends=[HARBOUR], rules=[])
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["ships", "bus", "harbour,", "quay", "durable,", "multi_process", "rules"] in rows
    assert ["wreck", "broken"] in rows
    assert "wreck is broken: ModuleNotFoundError: No module named 'no_such_module_of_ours'" in done.stdout


def test_as_json_settings_are_there_too() -> None:
    found = {plugin["name"]: plugin for plugin in json.loads(run("plugins", "--json", backends=[HARBOUR]).stdout)}
    assert found["ships"]["backends"] == [
        {
            "kind": "bus",
            "name": "Harbour",
            "schemes": ["harbour", "quay"],
            "capabilities": ["durable", "multi_process"],
            "maxEntities": None,
            "apiVersion": 1,
            "checked": False,
            "settings": {"depth": "Metres."},
        }
    ]
    assert found["ships"]["broken"] is None
    assert "no_such_module_of_ours" in found["wreck"]["broken"]


def test_the_parameters_of_urls_are_listed_when_asked_for() -> None:
    assert "depth: Metres." in run("plugins", "--settings", backends=[HARBOUR]).stdout
    assert "depth: Metres." not in run("plugins", backends=[HARBOUR]).stdout


def test_the_most_keys_of_a_decision_are_listed_with_the_capabilities() -> None:
    storage = replace(HARBOUR, kind=BackendKind.STORAGE, max_entities=100, capabilities=frozenset())
    assert "max_entities=100" in run("plugins", backends=[storage]).stdout
    listed = json.loads(run("plugins", "--json", backends=[storage]).stdout)
    assert next(plugin for plugin in listed if plugin["name"] == "ships")["backends"][0]["maxEntities"] == 100


OURS = {
    "memory": [("storage", "memory"), ("bus", "memory"), ("timers", "memory"), ("payments", "fake")],
    "nats": [("bus", "nats, tls")],
    "redis": [("bus", "redis, rediss"), ("timers", "redis, rediss")],
    "sql": [("storage", "postgresql, postgres"), ("timers", "postgresql, postgres"), ("bus", "sqlite")],
}

BROKEN = {
    "raises": ("raise OSError('the sea is rough')", "OSError: the sea is rough"),
    "missing": ("import no_such_driver_of_ours", "No module named 'no_such_driver_of_ours'"),
    "newer": (
        (
            "from dataclasses import replace\nfrom ticketkit.memory import plugin\n"
            "def ticketkit_backends():\n"
            "    return [replace(plugin.ticketkit_backends()[0], schemes=('sea',), api_version=9)]"
        ),
        "has api_version 9, which is newer",
    ),
    "taken": (
        "from ticketkit.memory import plugin\nticketkit_backends = plugin.ticketkit_backends",
        "plugin memory has the bus scheme 'memory' already",
    ),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_all_of_ours_are_listed_beside_one_that_is_broken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken one is a module in a file, under an entry point as an installer writes it."""
    code, why = BROKEN[name]
    (tmp_path / f"wreck_{name}.py").write_text(code, encoding="utf-8")
    (tmp_path / "wreck-1.0.dist-info").mkdir()
    (tmp_path / "wreck-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wreck\nVersion: 1.0\n")
    (tmp_path / "wreck-1.0.dist-info" / "entry_points.txt").write_text(f"[ticketkit]\nwreck = wreck_{name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = CliRunner().invoke(main, ["plugins", "--json"])
    found = {plugin["name"]: plugin for plugin in json.loads(done.stdout)}
    assert why in found["wreck"]["broken"]
    assert (found["wreck"]["distribution"], found["wreck"]["version"]) == ("wreck", "1.0")
    for ours, backends in OURS.items():
        assert found[ours]["broken"] is None
        listed = [(at["kind"], ", ".join(at["schemes"])) for at in found[ours]["backends"]]
        assert set(backends) <= set(listed)
    shown = CliRunner().invoke(main, ["plugins"]).stdout
    assert f"wreck is broken: {found['wreck']['broken']}" in shown
    assert f"→ {found['wreck']['mend']}" in shown
    assert "pip install" in found["wreck"]["mend"]


def test_commands_of_plugins_are_part_of_the_program() -> None:
    commands = [click.Command("sail", callback=lambda: click.echo("ahoy"), help="Set sail.")]
    assert run("sail", commands=commands).stdout == "ahoy\n"
    assert "Set sail." in run("--help", commands=commands).stdout
    assert run("row", commands=commands).exit_code == 2


def test_a_plugin_does_not_replace_a_command_of_ticketkit() -> None:
    done = run("plugins", commands=[click.Command("plugins", callback=lambda: click.echo("ahoy"))])
    assert "ahoy" not in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_of_the_table_exists_and_has_help(name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_the_program_says_its_version_without_loading_anything_more() -> None:
    code = (
        "import sys, ticketkit.cli as c; c.main(['--version'], standalone_mode=False);"
        "print([n for n in ('pydantic', 'rich', 'starlette', 'ticketkit.plugins', 'anyio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_program() -> None:
    done = subprocess.run([sys.executable, "-m", "ticketkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ticketkit, version ")
