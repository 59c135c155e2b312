"""Fixtures that pytest finds by itself where ticketkit is installed.

`market` is a whole marketplace on memory backends and a virtual clock:

    async def test_a_lock_ends(market):
        ...
        await market.clock.advance(minutes=15)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ticketkit.testing import reporting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from ticketkit.marketplace import Marketplace
    from ticketkit.testing.servers import Server

pytest.register_assert_rewrite("ticketkit.testing.conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the conformance kit."""
    reporting.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """The mark of the conformance kit, and its report."""
    config.addinivalue_line("markers", f"{reporting.MARK}: a promise of the conformance kit")
    config.pluginmanager.register(reporting.Report(config), "ticketkit-report")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The short form of the conformance kit."""
    reporting.select(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Known gaps and new promises of the conformance kit, and what is to be written next."""
    return (yield from reporting.judge(item, call))


@pytest.fixture
def market_options() -> dict[str, Any]:
    """Arguments of the `Marketplace` of the fixture `market`; override it in your tests to change them."""
    return {}


@pytest.fixture
async def market(market_options: dict[str, Any]) -> AsyncIterator[Marketplace]:
    """A running marketplace on memory backends, with a virtual clock that only `market.clock.advance` moves."""
    from ticketkit.marketplace import Marketplace
    from ticketkit.memory import VirtualClock

    async with Marketplace(**{"clock": VirtualClock(), "drain": 0.5, **market_options}) as running:
        yield running


@pytest.fixture
async def market_client(market: Marketplace) -> AsyncIterator[Any]:
    """An HTTP client (httpx2) of the marketplace of the fixture `market`."""
    import httpx2

    transport = httpx2.ASGITransport(app=market.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server for this session: its superuser's URL; `TICKETKIT_TEST_POSTGRESQL_URL` names another."""
    from ticketkit.testing.servers import PostgreSQL

    yield from _url("TICKETKIT_TEST_POSTGRESQL_URL", PostgreSQL)


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """A NATS server with JetStream for this session; `TICKETKIT_TEST_NATS_URL` names another."""
    from ticketkit.testing.servers import Nats

    yield from _url("TICKETKIT_TEST_NATS_URL", Nats)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server for this session; `TICKETKIT_TEST_REDIS_URL` names another."""
    from ticketkit.testing.servers import Redis

    yield from _url("TICKETKIT_TEST_REDIS_URL", Redis)


def _url(variable: str, start: Callable[[], Server]) -> Iterator[str]:
    if given := os.environ.get(variable):
        yield given
        return
    with start() as server:
        yield server.url
