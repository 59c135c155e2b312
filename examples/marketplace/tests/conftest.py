"""What the tests of the example share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> "Iterator[Path]":
    """A folder that everybody may enter, as pytest's own is not: as root, PostgreSQL runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix="ticketkit-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
