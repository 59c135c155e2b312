"""What is for whoever runs it."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import pytest
from tests.http.conftest import Client, Publish

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.storage import Totals
from ticketkit.http.metrics import Metrics
from ticketkit.marketplace import Marketplace


async def test_it_lives_and_is_ready(stranger: Client) -> None:
    assert (await stranger.get("/healthz")).json() == {"status": "alive"}
    assert (await stranger.get("/readyz")).json() == {"status": "ready"}


async def test_what_is_missing_is_named(nobody: Client, market: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ready() -> dict[str, str]:
        return {"storage inventory": "can't be reached", "consumer orders": "not subscribed"}

    monkeypatch.setattr(market.runtime, "ready", ready)
    response = await nobody.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert [error["field"] for error in response.json()["errors"]] == ["storage inventory", "consumer orders"]
    assert (await nobody.get("/healthz")).status_code == 200


async def test_numbers_are_by_route_and_not_by_path(nobody: Client, publish: Publish) -> None:
    ticket = await publish()
    for path in (f"/api/tickets/{ticket['id']}", "/api/tickets/1", "/nowhere/1", "/nowhere/2"):
        await nobody.get(path)
    await nobody.request("STRANGE", "/healthz")
    text = (await nobody.get("/metrics")).text
    assert 'ticketkit_http_requests_total{method="GET",route="/api/tickets/{id}",status="200"} 1.0' in text
    assert 'ticketkit_http_requests_total{method="GET",route="/api/tickets/{id}",status="400"} 1.0' in text
    assert 'ticketkit_http_requests_total{method="GET",route="unknown",status="404"} 2.0' in text
    assert 'method="other"' in text
    assert 'ticketkit_http_request_seconds_count{method="POST",route="/api/tickets"} 1.0' in text
    assert 'kind="ticket"' in text
    assert ticket["id"] not in text


async def test_numbers_are_there_while_a_storage_is_not(
    nobody: Client, market: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def totals() -> dict[str, Totals]:
        raise Unavailable

    monkeypatch.setattr(market.runtime, "totals", totals)
    await nobody.get("/api/tickets")
    assert "ticketkit_http_requests_total" in (await nobody.get("/metrics")).text


def test_totals_of_storages_are_gauges() -> None:
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    totals = Totals({("order", "created"): 3}, 2, 1, datetime(2026, 1, 1, tzinfo=UTC), 4)
    metrics = Metrics()
    text = metrics.exposition({"main": totals}, now).decode()
    assert 'ticketkit_entities{kind="order",status="created",storage="main"} 3.0' in text
    assert 'ticketkit_outbox_unpublished{storage="main"} 2.0' in text
    assert 'ticketkit_outbox_age_seconds{storage="main"} 60.0' in text
    assert 'ticketkit_outbox_dead{storage="main"} 1.0' in text
    assert 'ticketkit_overdue_locks{storage="main"} 4.0' in text
    assert 'status="created"' not in metrics.exposition({"main": Totals()}, now).decode()


async def test_what_needs_people_about_payments_is_a_gauge_where_payments_runs(nobody: Client) -> None:
    assert 'ticketkit_payments_to_repair{provider="fake"} 0.0' in (await nobody.get("/metrics")).text
    metrics = Metrics()
    assert 'to_repair{provider="fake"} 2.0' in metrics.exposition({}, datetime.now(UTC), to_repair={"fake": 2}).decode()
    assert "to_repair{" not in Metrics().exposition({}, datetime.now(UTC)).decode()


async def test_the_lag_of_consumers_is_a_gauge(nobody: Client, market: Marketplace) -> None:
    text = (await nobody.get("/metrics")).text
    assert {line for line in text.splitlines() if line.startswith("ticketkit_consumer_lag{")} == {
        f'ticketkit_consumer_lag{{consumer="{name}"}} 0.0' for name in ("expiration", "orders", "payments")
    }
    metrics, now = Metrics(), datetime.now(UTC)
    assert 'ticketkit_consumer_lag{consumer="web"} 7.0' in metrics.exposition({}, now, lag={"web": 7}).decode()
    assert 'ticketkit_consumer_lag{consumer="web"}' not in metrics.exposition({}, now).decode(), "its bus is away"


@pytest.mark.parametrize("away", [True, False], ids=["away", "silent"])
async def test_numbers_are_there_while_the_bus_is_not(
    nobody: Client, market: Marketplace, monkeypatch: pytest.MonkeyPatch, *, away: bool
) -> None:
    async def lag() -> dict[str, int]:
        if away:
            raise Unavailable
        await anyio.sleep_forever()
        return {}

    monkeypatch.setattr(market.runtime.backends.bus, "lag", lag)
    monkeypatch.setattr("ticketkit.runtime.runtime.LAG_PATIENCE", 0.05)
    text = (await nobody.get("/metrics")).text
    assert "ticketkit_consumer_lag{" not in text
    assert "ticketkit_outbox_unpublished{" in text


def test_two_apps_have_numbers_of_their_own() -> None:
    first, second = Metrics(), Metrics()
    first.observe("/a", "GET", 200, 0.1)
    assert 'route="/a"' in first.exposition({}, datetime.now(UTC)).decode()
    assert 'route="/a"' not in second.exposition({}, datetime.now(UTC)).decode()
