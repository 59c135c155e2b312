"""The bus and the timers in memory keep what the conformance kit asks for."""

import pytest

from ticketkit.testing.conformance import BusConformance, Target, TimersConformance


class TestMemoryBus(BusConformance):
    @pytest.fixture
    def target(self) -> Target:
        return Target(url="memory:")


class TestMemoryTimers(TimersConformance):
    @pytest.fixture
    def target(self) -> Target:
        return Target(url="memory:")
