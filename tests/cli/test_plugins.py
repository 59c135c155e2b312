"""`ticketkit plugins`, and how the program finds its commands."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import EntryPoint
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
            "apiVersion": 1,
            "settings": {"depth": "Metres."},
        }
    ]
    assert found["ships"]["broken"] is None
    assert "no_such_module_of_ours" in found["wreck"]["broken"]


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
