"""`ticketkit plugins`: what is installed, what it can, and what is broken and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from rich.table import Table

    from ticketkit.backends.spec import Backend
    from ticketkit.plugins import Plugin


@click.command
@click.option("--settings", is_flag=True, help="The parameters that the URL of each backend takes, too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the settings of each backend.")
@click.pass_context
def plugins(context: click.Context, *, settings: bool, as_json: bool) -> None:
    """List plugins: version, backends, capabilities, and what is broken, why, and what mends it."""
    found = loaded(context).listing()
    if as_json:
        click.echo(json.dumps([_plugin(plugin) for plugin in found], indent=2))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(_table(found))
    for plugin in (plugin for plugin in found if plugin.broken):
        console.print(f"[red]{escape(plugin.name)} is broken:[/] {escape(plugin.broken or '')}", soft_wrap=True)
        if plugin.mend:
            console.print(f"  → {escape(plugin.mend)}", soft_wrap=True)
    if settings:
        for backend in (backend for plugin in found if not plugin.broken for backend in plugin.backends):
            if backend.settings:
                console.print(f"\n[bold]{escape(backend.name)}[/] ({_schemes(backend)}:)", soft_wrap=True)
            for name, sentence in backend.settings.items():
                console.print(f"  {escape(name)}: {escape(sentence)}", soft_wrap=True)


def _table(found: list[Plugin]) -> Table:
    """A row for each backend; the plugin's name and version stand in the first."""
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "version", "backend", "schemes", "capabilities", "adds", box=None, pad_edge=False)
    for plugin in found:
        name = Text(plugin.name, style="red" if plugin.broken else "green")
        adds = "broken" if plugin.broken else ", ".join(_added(plugin))
        rows = [(at.kind.value, _schemes(at), ", ".join(_abilities(at))) for at in plugin.backends]
        first, *others = rows or [("", "", "")]
        table.add_row(name, plugin.version or "", *first, adds)
        for row in others:
            table.add_row("", "", *row, "")
    return table


def _schemes(backend: Backend) -> str:
    return ", ".join(backend.schemes)


def _abilities(backend: Backend) -> list[str]:
    """Capabilities, and most keys of a decision where that is limited."""
    most = [] if backend.max_entities is None else [f"max_entities={backend.max_entities}"]
    return [*sorted(capability.value for capability in backend.capabilities), *most]


def _added(plugin: Plugin) -> list[str]:
    return [hook.removeprefix("ticketkit_") for hook in plugin.hooks if hook != "ticketkit_backends"]


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "hooks": plugin.hooks,
        "backends": [_backend(backend) for backend in plugin.backends],
        "broken": plugin.broken,
        "mend": plugin.mend if plugin.broken else None,
    }


def _backend(backend: Backend) -> dict[str, Any]:
    return {
        "kind": backend.kind,
        "name": backend.name,
        "schemes": backend.schemes,
        "capabilities": sorted(backend.capabilities),
        "maxEntities": backend.max_entities,
        "apiVersion": backend.api_version,
        "checked": backend.check is not None,
        "settings": backend.settings,
    }
