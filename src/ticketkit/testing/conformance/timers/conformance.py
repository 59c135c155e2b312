"""What timers promise."""

from __future__ import annotations

from typing import ClassVar

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.timers.changes import Changes
from ticketkit.testing.conformance.timers.claims import Claims
from ticketkit.testing.conformance.timers.due import DueTimes
from ticketkit.testing.conformance.timers.outages import Outages

__all__ = ["TimersConformance"]


class TimersConformance(DueTimes, Claims, Changes, Outages):
    """The promises of `ticketkit.backends.timers.Timers`: never early, at least once, replaced and cancelled."""

    KIND: ClassVar[BackendKind] = BackendKind.TIMERS
