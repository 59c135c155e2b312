"""What the tests of every distribution share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio; one that is to run on Trio too parametrizes this."""
    return "asyncio"


@pytest.fixture
def untraced() -> Iterator[None]:
    """Pauses the measuring of coverage: a long search takes four times as long with it, and shows no new line."""
    measuring = coverage.Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    yield
    measuring.start()
