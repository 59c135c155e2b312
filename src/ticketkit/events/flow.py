"""Who says and who hears which event: what diagrams and the AsyncAPI document are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Events between participants: services and other consumer groups.

    Attributes:
        says: Names of the events that each participant publishes.
        hears: Names of the events that each consumes; each event goes to one member of its group.
        broadcast: Names of the events that every process of a participant hears.
    """

    says: Mapping[str, Sequence[str]]
    hears: Mapping[str, Sequence[str]]
    broadcast: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def participants(self) -> list[str]:
        """Everybody, in the order that they were named."""
        return list(dict.fromkeys((*self.says, *self.hears, *self.broadcast)))

    def events(self) -> set[str]:
        """The names of all events that are said or heard."""
        return {name for side in (self.says, self.hears, self.broadcast) for names in side.values() for name in names}

    def sayers(self, name: str) -> list[str]:
        """Who publishes an event."""
        return [who for who, names in self.says.items() if name in names]

    def hearers(self, name: str) -> list[str]:
        """Who hears an event, as a group or in every process."""
        return [
            who for who in self.participants() if name in self.hears.get(who, ()) or name in self.broadcast.get(who, ())
        ]
