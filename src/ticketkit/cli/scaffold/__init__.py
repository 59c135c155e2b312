"""Writes the distribution of a new backend: `ticketkit new-plugin`."""

from ticketkit.cli.scaffold.distribution import Taken, generate
from ticketkit.cli.scaffold.naming import BadName, Naming

__all__ = ["BadName", "Naming", "Taken", "generate"]
