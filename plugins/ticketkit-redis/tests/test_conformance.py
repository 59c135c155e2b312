"""Bus and timers on Redis keep what the conformance kit asks for."""

import pytest

from ticketkit.ids import new_id
from ticketkit.testing.conformance import BusConformance, Target, TimersConformance


class TestRedisBus(BusConformance):
    @pytest.fixture
    def target(self, redis_url: str) -> Target:
        return Target(url=f"{redis_url}?prefix={new_id()}&lease=1&timeout=2")


class TestRedisTimers(TimersConformance):
    @pytest.fixture
    def target(self, redis_url: str) -> Target:
        return Target(url=f"{redis_url}?prefix={new_id()}&timeout=2")
