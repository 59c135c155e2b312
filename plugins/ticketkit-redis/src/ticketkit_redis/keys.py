"""The names of the keys. All of one marketplace have one hash tag, so scripts may name any of them together."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one marketplace.

    Attributes:
        prefix: What they begin with, in braces.
    """

    prefix: str

    def of(self, *parts: str) -> str:
        """A key; what is odd in a part is percent-encoded, so the colons between them are the only ones."""
        return ":".join((f"{{{self.prefix}}}", *(quote(part, safe="", errors="surrogatepass") for part in parts)))

    def events(self, name: str) -> str:
        """Stream of the events of a name."""
        return self.of("events", name)

    def again(self, group: str, name: str) -> str:
        """Stream of what a group gets once more, of one name."""
        return self.of("again", group, name)

    def delayed(self, group: str, name: str) -> str:
        """Sorted set of what a group gets once more, but not yet: copies, by the time when they are due."""
        return self.of("delayed", group, name)

    @property
    def groups(self) -> str:
        """Sorted set of the groups there are, each with a name of its events: `["orders", "charge.created"]`."""
        return self.of("groups")

    @property
    def dead(self) -> str:
        """Sorted set of the ids of dead letters, by the time of their burial."""
        return self.of("dead")

    def letter(self, id: str) -> str:
        """Hash of one dead letter."""
        return self.of("dead", id)

    @property
    def malformed(self) -> str:
        """Stream of entries that are no events: somebody else wrote them."""
        return self.of("malformed")

    @property
    def bell(self) -> str:
        """Channel on which it is told which names have something new."""
        return self.of("bell")

    @property
    def timers(self) -> tuple[str, str, str, str]:
        """Of timers: waiting (sorted by due time), held (sorted by end of the lease), due times, tokens."""
        return (
            self.of("timers", "waiting"),
            self.of("timers", "held"),
            self.of("timers", "due"),
            self.of("timers", "token"),
        )
