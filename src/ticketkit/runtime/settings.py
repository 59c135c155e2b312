"""Settings: from the environment (`TICKETKIT_*`), or given by code. Nothing else reads the environment."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.policy import OnDecline, OnRefund, Policy
from ticketkit.services.passes import PassKeys
from ticketkit.services.tokens import Keys

DEVELOPMENT_KEY_ID: Final = "development"


class Environment(StrEnum):
    """Where this runs."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _seconds(value: Any) -> Any:
    """A duration given as a number in text: pydantic itself takes numbers and ISO 8601."""
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return float(value)
    return value


def _json(value: Any) -> Any:
    """An object given as text; here, and not by pydantic-settings, so that a bad one is named like any bad value."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        msg = "Input should be a JSON object"
        raise ValueError(msg) from None


Duration = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]
"""Seconds, or ISO 8601 (`PT15M`)."""


def _networks(value: str) -> str:
    """Addresses and networks: uvicorn takes whatever is none for a name, and then trusts nobody without a word."""
    for one in value.split(",") if value != "*" else ():
        try:
            ipaddress.ip_network(one.strip())
        except ValueError:
            msg = f"{one.strip()!r} is no address and no network"
            raise ValueError(msg) from None
    return value


Proxies = Annotated[str, AfterValidator(_networks)]
"""Addresses and networks with commas between (`10.0.0.0/8,fd00::1`), or `*` for everybody."""


class Settings(BaseSettings):
    """Everything that can be set.

    Attributes:
        environment: Outside development the development keys are refused and cookies are `Secure`.
        data_dir: Folder of what is kept in files by default.
        storage_url: Of all boundaries; default: an SQLite file in `data_dir`.
        auth_storage_url: Of accounts, over `storage_url`.
        payments_storage_url: Of payments, over `storage_url`.
        bus_url: Default: in this process.
        timers_url: Default: the storage, if it has timers.
        payments: Payment provider; default: the fake one, its books in `data_dir`.
        hold: How long a ticket is locked for its buyer.
        payment_grace: Added once to a lock when its payment began in time.
        payment_window: The same when the buyer has to act (3-D Secure).
        extension: Added to a lock when its buyer asks for more time, `extensions` times.
        extensions: How often a buyer may ask for more time.
        longest_hold: Most time from placing an order to the end of its lock, whatever its buyer asks for.
        tickets_per_order: Most tickets in one order.
        tickets_on_hold: Most tickets in a buyer's open orders for one live event.
        on_decline: What a declined payment does to its order: `cancel` or `keep`.
        on_refund: What a full refund does to the tickets: `release` them for sale, or `keep` them sold.
        session_private_key: PEM, Ed25519; only where auth runs.
        session_public_keys: JSON object from key id to PEM.
        session_key_id: Of the private key.
        pass_keys: JSON object from key id to secret, of the passes shown at the door; only where orders runs.
        pass_key_id: Of the one that new passes are made with; the last when left out.
        session_lifetime: Of a sign-in.
        token_lifetime: Of a session token; renewed while its session lives.
        sign_in_per_minute: Tries for one account; sixty for one address.
        currency: When a request names none.
        drain: Seconds that a stop waits for what is under way.
        traces_url: Where `ticketkit serve` sends OpenTelemetry spans, by OTLP over HTTP; nowhere when left out.
        traces_sampled: Part of the traces that begin here to be recorded; one that came in goes on as it began.
        trusted_proxies: Addresses and networks, with commas, whose `X-Forwarded-For` and `-Proto` are believed.
    """

    model_config = SettingsConfigDict(env_prefix="TICKETKIT_", extra="ignore", env_ignore_empty=True)

    environment: Environment = Environment.DEVELOPMENT
    data_dir: Path = Path(".data")
    storage_url: SecretStr | None = None
    auth_storage_url: SecretStr | None = None
    payments_storage_url: SecretStr | None = None
    bus_url: SecretStr = SecretStr("memory:")
    timers_url: SecretStr | None = None
    payments: SecretStr | None = None
    hold: Duration = timedelta(minutes=15)
    payment_grace: Duration = timedelta(seconds=60)
    payment_window: Duration = timedelta(minutes=5)
    extension: Duration = timedelta(minutes=5)
    extensions: int = Field(1, ge=0, le=100)
    longest_hold: Duration = timedelta(minutes=30)
    tickets_per_order: int = Field(10, ge=1, le=1_000)
    tickets_on_hold: int = Field(10, ge=1, le=10_000)
    on_decline: OnDecline = OnDecline.CANCEL
    on_refund: OnRefund = OnRefund.RELEASE
    session_private_key: SecretStr | None = None
    session_public_keys: Annotated[dict[str, str], NoDecode, BeforeValidator(_json)] = Field(default_factory=dict)
    session_key_id: str = "1"
    pass_keys: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_json)] = Field(default_factory=dict)
    pass_key_id: str | None = None
    session_lifetime: Duration = timedelta(days=14)
    token_lifetime: Duration = timedelta(hours=1)
    sign_in_per_minute: int = Field(10, ge=1)
    sign_in_per_minute_and_address: int = Field(60, ge=1)
    currency: str = "USD"
    drain: float = Field(10.0, ge=0)
    traces_url: SecretStr | None = None
    traces_sampled: float = Field(1.0, ge=0, le=1)
    trusted_proxies: Proxies = "127.0.0.1,::1"

    @property
    def production(self) -> bool:
        """Whether this is outside development."""
        return self.environment is not Environment.DEVELOPMENT

    def storage(self) -> str:
        """URL of the storage of all boundaries that have none of their own."""
        if self.storage_url is not None:
            return self.storage_url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'ticketkit.db'}"

    def accounts(self) -> str:
        """URL of the accounts boundary's storage."""
        return self.auth_storage_url.get_secret_value() if self.auth_storage_url else self.storage()

    def payment_storage(self) -> str:
        """URL of the payments boundary's storage."""
        return self.payments_storage_url.get_secret_value() if self.payments_storage_url else self.storage()

    def timers(self) -> str:
        """URL of the timers."""
        return self.timers_url.get_secret_value() if self.timers_url else self.storage()

    def provider(self) -> str:
        """URL of the payment provider."""
        if self.payments is not None:
            return self.payments.get_secret_value()
        return f"fake://{self.data_dir.absolute() / 'fake-payments.jsonl'}"

    def policy(self) -> Policy:
        """The default policy of orders."""
        return Policy(
            hold=self.hold,
            payment_grace=self.payment_grace,
            payment_window=self.payment_window,
            extension=self.extension,
            extensions=self.extensions,
            longest_hold=self.longest_hold,
            tickets_per_order=self.tickets_per_order,
            tickets_on_hold=self.tickets_on_hold,
            on_decline=self.on_decline,
            on_refund=self.on_refund,
        )

    def keys(self) -> Keys:
        """Keys of session tokens; in development a well-known pair when none is set.

        Raises:
            Misconfigured: A key can't be read, or none is set (or the development key is) outside development.
        """
        development = development_keys()
        if self.session_private_key is None and not self.session_public_keys:
            if self.production:
                msg = (
                    "There are no session keys, and the development keys are refused outside development: set "
                    "TICKETKIT_SESSION_PRIVATE_KEY (where auth runs) and TICKETKIT_SESSION_PUBLIC_KEYS; "
                    "`ticketkit keys new` makes them."
                )
                raise Misconfigured(msg)
            return development
        private = self.session_private_key.get_secret_value() if self.session_private_key else None
        keys = Keys.from_pem(private=private, public=self.session_public_keys, key_id=self.session_key_id)
        known = development.public_pem().strip()
        if self.production and any(keys.public_pem(id).strip() == known for id in keys.public):
            msg = "The development session key is refused outside development; `ticketkit keys new` makes another."
            raise Misconfigured(msg)
        return keys

    def door(self) -> PassKeys:
        """Keys of passes; in development a well-known one when none is set.

        Raises:
            Misconfigured: None is set outside development, or one is too short.
        """
        if not self.pass_keys and not self.production:
            seed = hashlib.sha256(b"ticketkit development pass key: never use it in production")
            return PassKeys({DEVELOPMENT_KEY_ID: seed.hexdigest()}, DEVELOPMENT_KEY_ID)
        if not self.pass_keys:
            msg = (
                "There is no pass key, and the development one is refused outside development: set TICKETKIT_PASS_KEYS."
            )
            raise Misconfigured(msg, mend="`ticketkit keys new` makes one.")
        return PassKeys.of({id: secret.get_secret_value() for id, secret in self.pass_keys.items()}, self.pass_key_id)


class FileSettings(Settings):
    """Settings from files of `NAME=value` lines alone, whatever the environment says: `FileSettings(_env_file=paths)`.

    Of several files, later ones win.
    """

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 pydantic-settings names them all
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The files."""
        return (dotenv_settings,)


def development_keys() -> Keys:
    """The pair that everybody knows: for development only."""
    seed = hashlib.sha256(b"ticketkit development key: never use it in production").digest()
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return Keys({DEVELOPMENT_KEY_ID: private.public_key()}, private, DEVELOPMENT_KEY_ID)
