"""What the URL and the environment say: `stripe:?methods=card`, and secrets beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketkit.backends.errors import Misconfigured

API_VERSION: Final = "2026-10-28.endive"
"""Of Stripe's API: what is asked for in every call, and what every webhook has to be of."""

BASE: Final = "https://api.stripe.com"
LIVE_RATE: Final = 80.0
"""Calls a second in live mode: four fifths of Stripe's limit of 100 for an account (docs.stripe.com/rate-limits)."""
TEST_RATE: Final = 20.0
"""The same in test mode and sandboxes, where the limit is 25."""
ENDPOINT_RATE: Final = 20.0
"""Calls a second of one endpoint: four fifths of Stripe's limit of 25 (docs.stripe.com/rate-limits)."""

PREFIX: Final = "TICKETKIT_STRIPE_"
SETTINGS: Final = {
    "key": f"The secret or restricted key; better in {PREFIX}SECRET_KEY, or a file that {PREFIX}SECRET_KEY_FILE names.",
    "webhook_secret": "Secrets of the webhook endpoint, `whsec_…`, several with commas while one is rolled; better in "
    f"{PREFIX}WEBHOOK_SECRET, or a file that {PREFIX}WEBHOOK_SECRET_FILE names.",
    "publishable_key": f"What the buyer's form starts Stripe.js with; also {PREFIX}PUBLISHABLE_KEY.",
    "methods": "Payment methods, with commas, by Stripe's names (default `card`). One that can't hold money takes it "
    "at once; all but cards need `return_url`.",
    "return_url": "Where a bank sends the buyer back to, after a redirect.",
    "account": "The connected account that charges are made on (`acct_…`; default: the key's own).",
    "rate": "Calls a second of this process (default 80 with a live key, 20 with a test key).",
    "endpoint_rate": "Calls a second of one endpoint (default 20).",
    "timeout": "Seconds to wait for an answer, after which it counts as lost (default 10; at most 30).",
    "connect_timeout": "Seconds to wait for a connection (default 5; at most 10).",
    "base": f"Address of the API (default `{BASE}`); another is for simulators, and refused with a live key.",
}
"""URL parameters, for `Backend.settings`."""

_KEY: Final = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]+")
_PUBLISHABLE: Final = re.compile(r"pk_(test|live)_[A-Za-z0-9_]+")
_METHOD: Final = re.compile(r"[a-z][a-z0-9_]*")

_HOLDING: Final = """
    affirm afterpay_clearpay alma amazon_pay billie card cashapp kakao_pay klarna kr_card link mobilepay naver_pay payco
    paypal revolut_pay samsung_pay satispay scalapay sequra sunbit
"""
HOLDING: Final = frozenset(_HOLDING.split())
"""Methods that can hold money: those with a `capture_method` of their own in `payment_method_options` of the API."""


class _Environment(BaseSettings):
    """What the environment says."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None
    webhook_secret: SecretStr | None = None
    webhook_secret_file: Path | None = None
    publishable_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """URL and environment, understood. No text of it shows a secret.

    Attributes:
        key: Secret or restricted key.
        live: Whether it moves real money.
        webhook_secrets: Any of them may have signed a webhook; empty where none can be verified.
        publishable_key: For the buyer's form.
        methods: Payment methods, Stripe's names.
        return_url: Where a redirect ends.
        account: A connected account; None for the key's own.
        rate: Calls a second.
        endpoint_rate: Calls a second of one endpoint.
        timeout: Seconds for an answer.
        connect_timeout: Seconds for a connection.
        base: Address of the API, without a slash at its end.
    """

    key: str = field(repr=False)
    live: bool
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    publishable_key: str | None = None
    methods: tuple[str, ...] = ("card",)
    return_url: str | None = None
    account: str | None = None
    rate: float = TEST_RATE
    endpoint_rate: float = ENDPOINT_RATE
    timeout: float = 10.0
    connect_timeout: float = 5.0
    base: str = BASE

    @property
    def client(self) -> dict[str, str]:
        """What the buyer's client starts Stripe.js with: part of each action."""
        given = {"publishable_key": self.publishable_key, "account": self.account}
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read a URL, and the environment for what it leaves out.

        Raises:
            Misconfigured: A part is wrong or missing, or a parameter unknown. The message never has a secret.
        """
        parts = urlsplit(url)
        if (parts.scheme or url) != "stripe" or parts.netloc or parts.path.strip("/") not in ("", "stripe"):
            raise Misconfigured("ticketkit-stripe opens stripe: and its parameters.", mend="TICKETKIT_PAYMENTS=stripe:")
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - SETTINGS.keys():
            known = ", ".join(SETTINGS)
            raise Misconfigured(f"{', '.join(sorted(unknown))}: no such parameter of stripe:. There are: {known}.")
        environment = _Environment()
        key, live = _key(found.get("key") or _secret(environment.secret_key, environment.secret_key_file))
        return cls(
            key=key,
            live=live,
            webhook_secrets=_webhook_secrets(
                found.get("webhook_secret") or _secret(environment.webhook_secret, environment.webhook_secret_file)
            ),
            publishable_key=_publishable(found.get("publishable_key") or environment.publishable_key, live=live),
            account=_account(found.get("account")),
            base=_base(found.get("base", BASE), live=live),
            **_methods(found),
            rate=_number(found, "rate", default=LIVE_RATE if live else TEST_RATE),
            endpoint_rate=_number(found, "endpoint_rate", default=ENDPOINT_RATE),
            timeout=_number(found, "timeout", default=10.0, most=30.0),
            connect_timeout=_number(found, "connect_timeout", default=5.0, most=10.0),
        )


def _secret(value: SecretStr | None, file: Path | None) -> str | None:
    if value is not None or file is None:
        return value.get_secret_value() if value is not None else None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Misconfigured(f"The secret in {file} can't be read: {reason}.") from None


def _key(text: str | None) -> tuple[str, bool]:
    if not text:
        raise Misconfigured(
            "Stripe needs a secret key, and there is none.",
            mend=f"export {PREFIX}SECRET_KEY=sk_test_... (dashboard.stripe.com/test/apikeys)",
        )
    if (found := _KEY.fullmatch(text)) is None:
        kind = "the publishable key, which is for the buyer's form" if _PUBLISHABLE.fullmatch(text) else "no key"
        raise Misconfigured(
            f"Stripe's secret key begins with sk_test_, sk_live_, rk_test_ or rk_live_; this is {kind}.",
            mend=f"export {PREFIX}SECRET_KEY=sk_test_...",
        )
    return text, found[1] == "live"


def _webhook_secrets(text: str | None) -> tuple[str, ...]:
    secrets = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if any(not secret.startswith("whsec_") for secret in secrets):
        raise Misconfigured(
            "A secret of a webhook endpoint begins with whsec_; one that is given does not.",
            mend=f"export {PREFIX}WEBHOOK_SECRET=whsec_... (dashboard.stripe.com/webhooks shows it)",
        )
    return secrets


def _publishable(text: str | None, *, live: bool) -> str | None:
    if not text:
        return None
    if (found := _PUBLISHABLE.fullmatch(text)) is None:
        raise Misconfigured(
            "Stripe's publishable key begins with pk_test_ or pk_live_; this does not.",
            mend=f"export {PREFIX}PUBLISHABLE_KEY=pk_test_...",
        )
    if (found[1] == "live") != live:
        raise Misconfigured(
            f"The publishable key is of {found[1]} mode, and the secret key of the other.",
            mend=f"export {PREFIX}PUBLISHABLE_KEY=pk_{'live' if live else 'test'}_...",
        )
    return text


def _account(text: str | None) -> str | None:
    if text and not re.fullmatch(r"acct_[A-Za-z0-9]+", text):
        raise Misconfigured(f"account={text}: it is the id of a connected account, acct_....")
    return text or None


def _base(text: str, *, live: bool) -> str:
    base = text.rstrip("/")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise Misconfigured(f"base= is an address such as {BASE}.")
    if live and base != BASE:
        raise Misconfigured(
            f"A live key is only sent to {BASE}: base= is for simulators, and for keys that begin with sk_test_.",
            mend="Leave base= out of the URL.",
        )
    return base


def _methods(found: dict[str, str]) -> dict[str, Any]:
    methods = tuple(part.strip() for part in found.get("methods", "card").split(","))
    if any(not _METHOD.fullmatch(method) for method in methods) or len(set(methods)) != len(methods):
        raise Misconfigured(f"methods={found['methods']}: names of payment methods with commas, such as card,ideal.")
    return_url = found.get("return_url") or None
    if return_url is not None and urlsplit(return_url).scheme not in ("http", "https"):
        raise Misconfigured("return_url= is an address that the buyer's browser can go to: https://....")
    if return_url is None and (others := [method for method in methods if method != "card"]):
        raise Misconfigured(
            f"{', '.join(others)}: the buyer may be sent to a bank and has to come back, and there is no return_url.",
            mend="TICKETKIT_PAYMENTS='stripe:?methods=...&return_url=https://tickets.example/paid'",
        )
    return {"methods": methods, "return_url": return_url}


def _number(found: dict[str, str], name: str, *, default: float, most: float = 1e9) -> float:
    try:
        value = float(found.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        limit = f" and at most {most:g}" if most < 1e9 else ""  # noqa: PLR2004 - which is no limit
        raise Misconfigured(f"{name}={found[name]}: it is a number above 0{limit}.")
    return value
