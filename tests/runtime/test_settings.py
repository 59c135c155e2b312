"""Settings: from `TICKETKIT_*`, with bad values named and secrets kept."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.marketplace import Marketplace
from ticketkit.runtime.config import ALL, Config
from ticketkit.runtime.settings import Environment, Settings, development_keys
from ticketkit.services.catalogue import ServiceName
from ticketkit.services.tokens import Keys


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("TICKETKIT_"):
            monkeypatch.delenv(name)


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"TICKETKIT_{name}", value)
    return Settings()


def test_without_any_all_is_in_one_file_and_the_fake_provider_keeps_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, DATA_DIR="data")
    folder = Path("data").absolute()
    assert found.storage() == found.accounts() == found.payment_storage() == found.timers()
    assert found.storage() == f"sqlite:///{folder / 'ticketkit.db'}"
    assert found.bus_url.get_secret_value() == "memory:"
    assert found.provider() == f"fake://{folder / 'fake-payments.jsonl'}"
    assert found.policy() == Policy()
    assert found.environment is Environment.DEVELOPMENT


def test_each_boundary_can_have_a_storage_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        STORAGE_URL="memory://all",
        AUTH_STORAGE_URL="memory://accounts",
        PAYMENTS_STORAGE_URL="memory://payments",
        TIMERS_URL="memory://timers",
        BUS_URL="memory://bus",
        PAYMENTS="fake:",
    )
    config = Config.of(found)
    assert (config.storage, config.accounts, config.payment_storage) == (
        "memory://all",
        "memory://accounts",
        "memory://payments",
    )
    assert (config.bus, config.timers, config.provider) == ("memory://bus", "memory://timers", "fake:")


def test_one_storage_is_for_all_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, STORAGE_URL="memory://all")
    assert {found.storage(), found.accounts(), found.payment_storage(), found.timers()} == {"memory://all"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("900", timedelta(minutes=15)), ("0.5", timedelta(seconds=0.5)), ("PT15M", timedelta(minutes=15))],
)
def test_a_duration_is_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch, text: str, expected: timedelta) -> None:
    names = ("HOLD", "PAYMENT_GRACE", "PAYMENT_WINDOW", "SESSION_LIFETIME", "TOKEN_LIFETIME")
    found = settings(monkeypatch, **dict.fromkeys(names, text))
    for name in names:
        assert getattr(found, name.lower()) == expected


def test_policies_come_from_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        HOLD="60",
        PAYMENT_GRACE="5",
        PAYMENT_WINDOW="30",
        TICKETS_PER_ORDER="4",
        TICKETS_ON_HOLD="6",
        ON_DECLINE="keep",
    )
    assert found.policy() == Policy(
        hold=timedelta(minutes=1),
        payment_grace=timedelta(seconds=5),
        payment_window=timedelta(seconds=30),
        tickets_per_order=4,
        tickets_on_hold=6,
        on_decline=OnDecline.KEEP,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOLD", "-5"),
        ("HOLD", "0"),
        ("HOLD", "soon"),
        ("PAYMENT_GRACE", "1.2.3"),
        ("TICKETS_PER_ORDER", "0"),
        ("TICKETS_ON_HOLD", "many"),
        ("ON_DECLINE", "shout"),
        ("ENVIRONMENT", "moon"),
        ("DRAIN", "-1"),
        ("SIGN_IN_PER_MINUTE", "0"),
        ("HOLD", "nan"),
        ("HOLD", "inf"),
        ("TOKEN_LIFETIME", "²"),
        ("SESSION_PUBLIC_KEYS", "no JSON"),
        ("SESSION_PUBLIC_KEYS", "[1]"),
        ("TRUSTED_PROXIES", "gateway"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(monkeypatch, **{name: value})
    [error] = refused.value.errors()
    assert error["loc"] == (name.lower(),)


def test_public_keys_are_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys.generate("7")
    found = settings(monkeypatch, SESSION_PUBLIC_KEYS=json.dumps({"7": keys.public_pem()}))
    assert found.keys().public_pem("7") == keys.public_pem()
    assert found.keys().private is None


def test_an_empty_value_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, STORAGE_URL="", HOLD="") == Settings()


@pytest.mark.parametrize("value", ["*", "10.0.0.0/8", "10.0.0.0/8, fd00::/8,127.0.0.1"])
def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert settings(monkeypatch, TRUSTED_PROXIES=value).trusted_proxies == value


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        STORAGE_URL="postgresql://user:hunter2@host/db",
        AUTH_STORAGE_URL="postgresql://user:hunter2@host/a",
        PAYMENTS_STORAGE_URL="postgresql://user:hunter2@host/p",
        BUS_URL="nats://user:hunter2@host",
        TIMERS_URL="redis://:hunter2@host",
        PAYMENTS="stripe://hunter2",
        SESSION_PRIVATE_KEY="hunter2",
    )
    for shown in (repr(found), str(found), repr(found.model_dump())):
        assert "hunter2" not in shown


def test_the_development_keys_are_for_development(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch).keys().public_pem() == development_keys().public_pem()
    with pytest.raises(Misconfigured, match="TICKETKIT_SESSION_PRIVATE_KEY"):
        settings(monkeypatch, ENVIRONMENT="production").keys()


@pytest.mark.parametrize("name", ["private", "public"])
def test_the_development_key_is_refused_outside_development_also_when_it_is_given(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys = development_keys()
    choices: dict[str, dict[str, Any]] = {
        "private": {"session_private_key": SecretStr(keys.private_pem())},
        "public": {"session_public_keys": {"other": keys.public_pem(), "1": Keys.generate().public_pem()}},
    }
    given = choices[name]
    found = Settings(environment=Environment.PRODUCTION, storage_url=SecretStr("memory:"), **given)
    with pytest.raises(Misconfigured, match="development session key is refused"):
        found.keys()
    with pytest.raises(Misconfigured, match="development session key is refused"):
        Marketplace.of(found)


def test_outside_development_cookies_are_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys.generate()
    secrets = {"SESSION_PRIVATE_KEY": keys.private_pem().replace("\n", "\\n"), "PASS_KEYS": '{"1": "%s"}' % ("x" * 32)}
    found = settings(monkeypatch, ENVIRONMENT="production", **secrets)
    assert Config.of(found).secure_cookies
    assert found.keys().public_pem() == keys.public_pem()
    assert not Config.of(Settings(environment=Environment.DEVELOPMENT)).secure_cookies


def test_outside_development_passes_need_a_key_that_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    private = Keys.generate().private_pem().replace("\n", "\\n")
    bare = settings(monkeypatch, ENVIRONMENT="production", SESSION_PRIVATE_KEY=private)
    with pytest.raises(Misconfigured, match="TICKETKIT_PASS_KEYS"):
        Config.of(bare)
    assert Config.of(bare, services=frozenset({ServiceName.PAYMENTS})).pass_keys.secrets
    short = settings(monkeypatch, ENVIRONMENT="production", SESSION_PRIVATE_KEY=private, PASS_KEYS='{"1": "short"}')
    with pytest.raises(Misconfigured, match="at least 32 bytes"):
        Config.of(short)


def test_a_key_that_cant_be_read_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="ticketkit keys new") as refused:
        settings(monkeypatch, SESSION_PRIVATE_KEY="hunter2").keys()
    assert "hunter2" not in str(refused.value)


def test_settings_become_a_marketplace(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, STORAGE_URL="memory:", DRAIN="3", CURRENCY="EUR")
    market = Marketplace.of(found, services=["tickets"])
    assert market.config.services == {ServiceName.TICKETS}
    assert (market.config.drain, market.config.currency) == (3, "EUR")
    assert Marketplace.of(found).config.services == ALL
    assert Marketplace.of(found, identity=lambda _: None).config.services == ALL - {ServiceName.AUTH}
