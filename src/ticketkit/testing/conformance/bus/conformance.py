"""What a bus promises."""

from __future__ import annotations

from typing import ClassVar

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.bus.burials import Burials
from ticketkit.testing.conformance.bus.carrying import Carrying
from ticketkit.testing.conformance.bus.groups import Groups
from ticketkit.testing.conformance.bus.measured import Measuring
from ticketkit.testing.conformance.bus.members import Members
from ticketkit.testing.conformance.bus.options import Options
from ticketkit.testing.conformance.bus.outages import Outages
from ticketkit.testing.conformance.bus.publishing import Publishing
from ticketkit.testing.conformance.bus.retries import Retries

__all__ = ["BusConformance"]


class BusConformance(Publishing, Carrying, Groups, Retries, Burials, Members, Measuring, Outages, Options):
    """The promises of `ticketkit.backends.bus.Bus`: at least once, to each group, whoever dies.

    Give the target a short lease (`?lease=1`, or `Target(lease=...)`): tests of consumers' deaths wait for its end.
    """

    KIND: ClassVar[BackendKind] = BackendKind.BUS
