"""The timers on PostgreSQL keep what the conformance kit asks for."""

from typing import Any

import pytest

from ticketkit.testing.conformance import Target, TimersConformance


class TestPostgresqlTimers(TimersConformance):
    @pytest.fixture
    def target(self, postgresql_kit_database: tuple[str, Any]) -> Target:
        url, admin = postgresql_kit_database
        return Target(url=url, reset=admin.empty)
