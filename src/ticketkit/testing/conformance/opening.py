"""How the kit finds the backend under test; without pytest, for its child processes do it too."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ticketkit.backends.clock import SystemClock
from ticketkit.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterable


class KitClock(SystemClock):
    """A clock of its own for each opening, so that no backend takes two of them for one process."""


def loaded(names: Iterable[str]) -> Plugins:
    """The installed plugins, and those that a target names: `module` or `module:object`."""
    found = []
    for name in names:
        module, _, attribute = name.partition(":")
        implementation: Any = import_module(module)
        if attribute:
            implementation = getattr(implementation, attribute)
            implementation = implementation() if isinstance(implementation, type) else implementation
        found.append(implementation)
    return Plugins.load(found)
