"""The backends on SQLite keep what backends promise."""

from pathlib import Path

import pytest

from ticketkit.testing.conformance import StorageConformance, Target


class TestSqliteStorage(StorageConformance):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return Target(url=f"sqlite:///{tmp_path / 'kit.db'}")
