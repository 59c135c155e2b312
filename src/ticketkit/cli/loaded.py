"""The plugins of one run of the program, loaded when they are first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from ticketkit.plugins import Plugins


def loaded(context: click.Context) -> Plugins:
    """The plugins: those that the caller of the program gave as `obj`, else those that are installed."""
    from ticketkit.plugins import Plugins

    root = context.find_root()
    if root.obj is None:
        root.obj = Plugins.load()
    found: Plugins = root.obj
    return found
