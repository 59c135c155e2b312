"""The bus and the timers on SQLite keep what the conformance kit asks for."""

from pathlib import Path

import pytest

from ticketkit.testing.conformance import BusConformance, Target, TimersConformance


class TestSqliteBus(BusConformance):
    @pytest.fixture
    def target(self, sqlite_file: Path) -> Target:
        return Target(url=f"sqlite:///{sqlite_file}?lease=1")


class TestSqliteTimers(TimersConformance):
    @pytest.fixture
    def target(self, sqlite_file: Path) -> Target:
        return Target(url=f"sqlite:///{sqlite_file}")
