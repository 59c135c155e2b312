"""Plugins: the hooks that they implement, and how they are found, loaded and isolated.

A plugin is a module or an object with functions named like the hooks of `ticketkit.plugins.hooks`. A distribution
names it under the entry-point group `ticketkit`; an app hands its own to `Plugins.load`.
"""

from ticketkit.plugins.hooks import HOOKS, hookimpl
from ticketkit.plugins.loading import Plugin, Plugins
from ticketkit.plugins.rules import FactsOutOfDate, Rule

__all__ = ["HOOKS", "FactsOutOfDate", "Plugin", "Plugins", "Rule", "hookimpl"]
