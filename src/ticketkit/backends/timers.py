"""The timers protocol: due times that survive restarts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.backends.spec import Capability


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that is due, held for a while by who claimed it.

    Attributes:
        key: As it was scheduled.
        due: As it was scheduled, UTC.
        token: Names this lease.
    """

    key: str
    due: datetime
    token: str


class Timers(Protocol):
    """Keeps due times. Never early; at least once; late only while nobody claims. Methods may raise `Unavailable`."""

    capabilities: frozenset[Capability]

    async def schedule(self, key: str, due: datetime) -> None:
        """Set a timer; one of the same key is replaced, also while it is claimed (its old lease is void then)."""
        ...

    async def cancel(self, key: str) -> None:
        """Remove a timer, if there is one."""
        ...

    async def claim(self, limit: int, lease: timedelta) -> Sequence[Due]:
        """Take timers that are due by the backend's clock, longest due first.

        Claimed ones are passed over until their lease runs out.
        """
        ...

    async def done(self, timer: Due) -> None:
        """Remove a claimed timer; void when its lease was taken over or it was scheduled anew."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return when a timer may be due, or after the time; spurious returns are fine."""
        ...
