"""The program `ticketkit`. Its commands are imported when they are called; plugins add their own."""

from __future__ import annotations

import importlib
from typing import Final

import click

from ticketkit.cli.loaded import loaded

COMMANDS: Final = {
    "dead": "ticketkit.cli.dead:dead",
    "doctor": "ticketkit.cli.doctor:doctor",
    "events": "ticketkit.cli.events:events",
    "import": "ticketkit.cli.importing:import_",
    "keys": "ticketkit.cli.keys:keys",
    "locks": "ticketkit.cli.locks:locks",
    "new-plugin": "ticketkit.cli.new_plugin:new_plugin",
    "operators": "ticketkit.cli.operators:operators",
    "plugins": "ticketkit.cli.plugins:plugins",
    "reconcile": "ticketkit.cli.reconcile:reconcile",
    "sales": "ticketkit.cli.sales:sales",
    "serve": "ticketkit.cli.serve:serve",
    "trace": "ticketkit.cli.trace:trace",
}
"""ticketkit's own commands: name → module and attribute."""


class Program(click.Group):
    """A group whose commands come from a table, imported late, and from plugins; the table wins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*COMMANDS, *(str(command.name) for command in loaded(ctx).commands())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; plugins are loaded only when it is none of ticketkit's own."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        return next((command for command in loaded(ctx).commands() if command.name == cmd_name), None)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ticketkit")
def main() -> None:
    """A framework for ticket marketplaces."""
