"""The memory backends keep what backends promise."""

import pytest

from ticketkit.testing.conformance import StorageConformance, Target


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    def target(self) -> Target:
        return Target(url="memory:")
