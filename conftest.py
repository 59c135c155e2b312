"""What the tests of every distribution share."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio; one that is to run on Trio too parametrizes this."""
    return "asyncio"
