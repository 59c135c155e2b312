"""The bus on NATS keeps what the conformance kit asks for."""

import pytest

from ticketkit.testing.conformance import BusConformance, Target


class TestNatsBus(BusConformance):
    @pytest.fixture
    def target(self, nats_url: str, stream: str) -> Target:
        return Target(url=f"{nats_url}?stream={stream}&lease=1&timeout=2")
