"""What the tests of every distribution share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is not of the short form of the conformance kit is a proof."""
    for item in items:
        mark = item.get_closest_marker("ticketkit_promise")
        if mark is not None and mark.kwargs["long"]:
            item.add_marker(pytest.mark.proof)


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
