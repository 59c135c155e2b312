"""Backends are opened each once, and a service alone gets none that others can't share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.services.stage import Stage

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.events.catalogue import LiveEventCreated
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.config import ALL, TRADE, Config
from ticketkit.runtime.opening import SETTINGS
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit.services.commands import Commands
from ticketkit.services.tickets import Tickets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ticketkit.events.envelope import Event


def config(services: Iterable[ServiceName] = ALL, **options: Any) -> Config:
    return Config(services=frozenset(services), clock=VirtualClock(), drain=0.1, **options)


async def test_boundaries_of_one_url_have_one_storage() -> None:
    async with Marketplace(config=config()) as market:
        backends = market.runtime.backends
        assert len({id(storage) for storage in backends.storages.values()}) == 1
        assert list(backends.distinct) == ["accounts+inventory+payments"]


async def test_boundaries_of_several_urls_have_storages_of_their_own() -> None:
    async with Marketplace(config=config(payment_storage="memory://opening-payments")) as market:
        assert sorted(market.runtime.backends.distinct) == ["accounts+inventory", "payments"]


@pytest.mark.parametrize(
    ("service", "boundaries", "timers", "provider"),
    [
        (ServiceName.AUTH, {Boundary.ACCOUNTS}, False, False),
        (ServiceName.TICKETS, {Boundary.INVENTORY}, False, False),
        (ServiceName.ORDERS, {Boundary.INVENTORY}, False, False),
        (ServiceName.PAYMENTS, {Boundary.PAYMENTS}, False, True),
        (ServiceName.EXPIRATION, set(), True, False),
    ],
)
async def test_a_service_opens_what_it_needs_and_nothing_else(
    service: ServiceName, boundaries: set[Boundary], *, timers: bool, provider: bool
) -> None:
    unknown = "nowhere:"
    urls: dict[str, Any] = {
        "storage": "memory:" if Boundary.INVENTORY in boundaries else unknown,
        "accounts": "memory:" if Boundary.ACCOUNTS in boundaries else unknown,
        "payment_storage": "memory:" if Boundary.PAYMENTS in boundaries else unknown,
        "timers": "memory:" if timers else unknown,
        "provider": "fake" if provider else unknown,
    }
    async with Marketplace(config=config({service}, alone=False, **urls)) as market:
        backends = market.runtime.backends
        assert set(backends.storages) == boundaries
        assert (backends.timers is not None, backends.provider is not None) == (timers, provider)


async def test_who_only_looks_reads_every_storage_and_publishes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    urls: dict[str, Any] = {"storage": url, "accounts": url, "payment_storage": url, "timers": url}
    looking = config((), looks=frozenset(Boundary), alone=False, **urls)
    async with Marketplace(config=looking) as market:
        inventory = market.runtime.storage(Boundary.INVENTORY)
        await Tickets(inventory, Commands(new_id)).announce(
            "house", name="Hamilton", venue="Richard Rodgers", starts_at=datetime(2030, 1, 1, 20, tzinfo=UTC)
        )
        await market.clock.advance(minutes=20)
        assert (await inventory.totals()).unpublished == 1
        assert (await market.operations.locks()).items == ()
        assert market.runtime.backends.provider is None
        with pytest.raises(NotRunning):
            _ = market.tickets
    heard: list[str] = []
    serving = Marketplace(config=config(**urls))

    @serving.on(LiveEventCreated, consumer="tests")
    async def hear(event: Event[LiveEventCreated]) -> None:
        heard.append(event.data.name)

    async with serving:
        await serving.runtime.drain(10)
        assert heard == ["Hamilton"]


@pytest.mark.parametrize("service", sorted(TRADE - {ServiceName.EXPIRATION}))
async def test_a_service_alone_refuses_a_storage_inside_the_process(service: ServiceName) -> None:
    with pytest.raises(Misconfigured, match="TICKETKIT_STORAGE_URL") as refused:
        async with Marketplace(config=config({service})):
            pass
    assert "ticketkit serve" in str(refused.value)
    assert "lives inside one process" in str(refused.value)


@pytest.mark.parametrize("service", sorted(ALL))
async def test_a_service_alone_refuses_a_bus_inside_the_process(service: ServiceName, tmp_path: Path) -> None:
    stage = Stage()
    url = "stage:shared"
    timers, provider = f"sqlite:///{tmp_path / 'timers.db'}", f"fake://{tmp_path / 'books.jsonl'}"
    given = config({service}, storage=url, accounts=url, payment_storage=url, timers=timers, provider=provider)
    given = replace(given, clock=stage.clock)
    with pytest.raises(Misconfigured, match="TICKETKIT_BUS_URL"):
        async with Marketplace(config=given, plugins=[stage]):
            pass
    async with Marketplace(config=replace(given, bus="stage:bus"), plugins=[stage]) as market:
        assert await market.runtime.ready() == {}


@pytest.mark.parametrize(
    ("service", "part", "setting"),
    [
        (ServiceName.TICKETS, "storage", "TICKETKIT_STORAGE_URL"),
        (ServiceName.AUTH, "accounts", "TICKETKIT_AUTH_STORAGE_URL"),
        (ServiceName.PAYMENTS, "payment_storage", "TICKETKIT_PAYMENTS_STORAGE_URL"),
        (ServiceName.EXPIRATION, "timers", "TICKETKIT_TIMERS_URL"),
    ],
)
async def test_what_is_refused_is_named_by_its_own_setting(service: ServiceName, part: str, setting: str) -> None:
    stage = Stage()
    urls = {"storage": "stage:shared", "accounts": "stage:shared", "payment_storage": "stage:shared", part: "memory:"}
    with pytest.raises(Misconfigured, match=f"Set {setting} to one that processes share"):
        async with Marketplace(config=config({service}, bus="stage:bus", **urls), plugins=[stage]):
            pass


async def test_payments_alone_refuses_a_provider_that_forgets_payments() -> None:
    stage = Stage()
    given = config({ServiceName.PAYMENTS}, payment_storage="stage:shared", bus="stage:bus", provider="fake")
    with pytest.raises(Misconfigured, match="set TICKETKIT_PAYMENTS to a real one"):
        async with Marketplace(config=given, plugins=[stage]):
            pass


async def test_an_app_with_its_own_users_is_whole_without_auth() -> None:
    async with Marketplace(config=config(TRADE)) as market:
        assert await market.runtime.ready() == {}


def test_the_settings_that_are_named_exist() -> None:
    from ticketkit.runtime.settings import Settings

    for name in SETTINGS.values():
        assert name.removeprefix("TICKETKIT_").lower() in Settings.model_fields


async def test_an_unknown_scheme_is_refused_without_showing_the_url() -> None:
    with pytest.raises(Misconfigured) as refused:
        async with Marketplace("nowhere://user:hunter2@host", clock=VirtualClock()):
            pass
    assert "hunter2" not in str(refused.value)
    assert "nowhere" in str(refused.value)


@pytest.mark.parametrize("kind", ["storage", "bus"])
async def test_a_backend_that_is_away_at_the_start_is_told_and_leaves_nothing_open(kind: str) -> None:
    stage = Stage()
    market = stage.market(bus="stage:bus")
    backend = stage.storage() if kind == "storage" else stage.bus()
    backend.goes("open")
    with pytest.raises(Unavailable):
        async with market:
            pass
    backend.comes_back()
    async with market:
        assert await market.runtime.ready() == {}
