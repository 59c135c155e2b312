"""Each process is told what it needs, and no more."""

import pytest

from ticketkit.runtime.config import Config
from ticketkit.runtime.settings import Settings
from ticketkit.services.catalogue import ServiceName
from ticketkit_marketplace.combinations import ACCOUNTS, BUS, PAYMENTS, PROVIDER, STORAGE, TIMERS
from ticketkit_marketplace.deployment.keyring import (
    PASS_ID,
    PASSES,
    SESSION_ID,
    SESSION_PRIVATE,
    SESSION_PUBLIC,
    Keyring,
)
from ticketkit_marketplace.deployment.layout import API_URL, OPS_API_URL, OPS_METRICS, Layout, Part

KEYS = {
    SESSION_ID: "1",
    SESSION_PRIVATE: "private",
    SESSION_PUBLIC: '{"1": "public"}',
    PASS_ID: "1",
    PASSES: '{"1": "secret"}',
}
URLS = {
    STORAGE: "postgresql://db/inventory",
    ACCOUNTS: "postgresql://db/accounts?pool=3",
    PAYMENTS: "postgresql://db/payments",
    BUS: "nats://bus",
    TIMERS: "redis://timers",
}
# What is set where the command is started: only the first is everybody's.
OWN = {
    "TICKETKIT_HOLD": "60",
    "TICKETKIT_DATA_DIR": "elsewhere",
    PROVIDER: "stripe:?key=sk",
    SESSION_PRIVATE: "from outside",
    STORAGE: "sqlite:///old",
}


@pytest.fixture
def layout() -> Layout:
    return Layout(urls=URLS, keys=Keyring.of(KEYS), inherited=OWN, orders=2)


def parts(layout: Layout) -> "dict[str, Part]":
    return {part.name: part for part in layout.services()}


def test_there_is_a_process_for_each_service_and_as_many_of_orders_as_wanted(layout: Layout) -> None:
    found = parts(layout)
    assert list(found) == ["auth", "tickets", "orders-1", "orders-2", "expiration", "payments"]
    assert found["orders-2"].program == ("ticketkit", "serve", "orders")
    assert layout.web("http://api").program == ("ticketkit_marketplace", "web")


def test_each_gets_its_storage_and_keys_alone(layout: Layout) -> None:
    common = {"TICKETKIT_HOLD", BUS, SESSION_PUBLIC}
    assert {name: set(part.settings) - common for name, part in parts(layout).items()} == {
        "auth": {ACCOUNTS, SESSION_PRIVATE, SESSION_ID},
        "tickets": {STORAGE},
        "orders-1": {STORAGE, PASSES, PASS_ID},
        "orders-2": {STORAGE, PASSES, PASS_ID},
        "expiration": {TIMERS},
        "payments": {PAYMENTS, PROVIDER},
    }
    assert layout.web("http://api").settings == {
        "TICKETKIT_HOLD": "60",
        BUS: "nats://bus",
        PROVIDER: "stripe:?key=sk",
        API_URL: "http://api",
    }


def test_the_operations_page_looks_at_everything_and_signs_nothing(layout: Layout) -> None:
    part = layout.ops("http://api", ["http://a/metrics", "http://b/metrics"])
    assert part.program == ("ticketkit_marketplace", "ops")
    assert set(part.settings) == {
        "TICKETKIT_HOLD", BUS, SESSION_PUBLIC, STORAGE, ACCOUNTS, PAYMENTS, OPS_API_URL, OPS_METRICS
    }  # fmt: skip
    assert part.settings[OPS_METRICS] == "http://a/metrics,http://b/metrics"


def test_no_process_may_change_a_schema(layout: Layout) -> None:
    found = parts(layout)
    assert found["tickets"].settings[STORAGE] == "postgresql://db/inventory?migrate=no"
    assert found["auth"].settings[ACCOUNTS] == "postgresql://db/accounts?pool=3&migrate=no"
    assert layout.databases == {name: URLS[name] for name in (STORAGE, ACCOUNTS, PAYMENTS)}


def test_timers_are_the_storage_where_none_are_named() -> None:
    urls = {name: url for name, url in URLS.items() if name != TIMERS}
    layout = Layout(urls=urls, keys=Keyring.of(KEYS), inherited={})
    assert parts(layout)["expiration"].settings[STORAGE] == "postgresql://db/inventory?migrate=no"


def test_what_a_process_is_told_is_all_that_its_service_needs_outside_development(
    layout: Layout, tmp_path: "object", monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Keyring.kept(tmp_path, {})  # type: ignore[arg-type]
    layout = Layout(urls=URLS, keys=made, inherited={"TICKETKIT_ENVIRONMENT": "production"})
    for name, part in parts(layout).items():
        for setting, value in part.settings.items():
            monkeypatch.setenv(setting, value)
        config = Config.of(Settings(), services=frozenset({ServiceName(name)}))
        assert (config.keys.private is not None) == (name == "auth")
        for setting in part.settings:
            monkeypatch.delenv(setting)
