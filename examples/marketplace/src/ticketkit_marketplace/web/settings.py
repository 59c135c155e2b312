"""What can be set about the web client: `TICKETKIT_WEB_*`, and what it shares with the services."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pydantic import Field, HttpUrl, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketkit.backends.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ticketkit.runtime.settings import Settings

S = TypeVar("S", bound=BaseSettings)

UPLOADS: Final = "uploads"
"""Folder of sellers' files, in the data folder."""
STRIPE: Final = "stripe"
"""Scheme of the payment provider whose form takes the card in the browser."""
_PUBLISHABLE: Final = re.compile(r"pk_(test|live)_[A-Za-z0-9_]+")
_SECRET: Final = re.compile(r"(sk|rk|whsec)_.*", re.DOTALL)
_ACCOUNT: Final = re.compile(r"acct_[A-Za-z0-9]+")


class WebSettings(BaseSettings):
    """Settings of the web client alone.

    Attributes:
        api_url: Where the services answer, for a web client that is a process of its own.
        api_timeout: Seconds after which an answer of the services is given up.
        uploads: Where sellers' files wait to be listed; default: `uploads` in the data folder. Several web clients
            share one folder.
        streams: Open pages at once that are told what changes; the others look again by themselves.
        streams_per_address: The same of one client address.
        stripe_publishable_key: What Stripe's card form is started with; every visitor can read it.
        stripe_account: The connected account that charges are made on, where they are.
    """

    model_config = SettingsConfigDict(env_prefix="TICKETKIT_WEB_", extra="ignore", env_ignore_empty=True)

    api_url: HttpUrl | None = None
    api_timeout: float = Field(15.0, gt=0)
    uploads: Path | None = None
    streams: int = Field(500, ge=0)
    streams_per_address: int = Field(100, ge=0)
    stripe_publishable_key: str | None = None
    stripe_account: str | None = None

    @field_validator("stripe_publishable_key")
    @classmethod
    def _no_secret(cls, key: str | None) -> str | None:
        if key is None or _PUBLISHABLE.fullmatch(key):
            return key
        if _SECRET.fullmatch(key):
            msg = (
                "This is a secret of Stripe's, and every visitor could read it. Take it out, and roll it if it was "
                "public. What belongs here begins with pk_test_ or pk_live_."
            )
            raise PydanticCustomError("secret", msg)
        raise PydanticCustomError("key", "Stripe's publishable key begins with pk_test_ or pk_live_.")

    @field_validator("stripe_account")
    @classmethod
    def _an_account(cls, account: str | None) -> str | None:
        if account is not None and not _ACCOUNT.fullmatch(account):
            raise PydanticCustomError("account", "The id of a connected account begins with acct_.")
        return account

    @classmethod
    def read(cls, **given: str) -> Self:
        """From the environment.

        Args:
            **given: Over what the environment says.

        Raises:
            Misconfigured: Something can't be read.
        """
        return settings_of(cls, given)


def settings_of(cls: type[S], given: Mapping[str, str]) -> S:
    """Settings from the environment.

    Args:
        cls: Which ones.
        given: Over what the environment says.

    Raises:
        Misconfigured: Something can't be read; named by its variable.
    """
    try:
        return cls(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        msg = f"{cls.model_config.get('env_prefix')}{name}: {first['msg']}"
        raise Misconfigured(msg) from None


@dataclass(frozen=True, slots=True)
class CardForm:
    """Stripe's card form: card data goes from the browser to Stripe.

    Attributes:
        key: The publishable key.
        account: A connected account; None for the key's own.
    """

    key: str
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the pages need to know.

    Attributes:
        uploads: Folder of sellers' files; made when it is needed.
        currency: Of prices that name none.
        secure: Pages are only served over HTTPS.
        card_form: Stripe's, where Stripe takes the card; None for test cards.
        streams: Open pages at once that are told what changes.
        streams_per_address: The same of one client address.
    """

    uploads: Path
    currency: str = "USD"
    secure: bool = False
    card_form: CardForm | None = None
    streams: int = 500
    streams_per_address: int = 100

    @classmethod
    def of(cls, settings: Settings, web: WebSettings) -> Options:
        """From both kinds of settings.

        Raises:
            Misconfigured: Real cards are to be taken by Stripe, and its form can't be shown.
        """
        form = None
        if settings.provider().partition(":")[0] == STRIPE:
            if web.stripe_publishable_key is not None:
                form = CardForm(web.stripe_publishable_key, web.stripe_account)
            elif settings.production:
                msg = "Stripe takes the payments, and there is no key to show its card form with."
                raise Misconfigured(msg, mend="export TICKETKIT_WEB_STRIPE_PUBLISHABLE_KEY=pk_live_...")
        return cls(
            uploads=web.uploads or settings.data_dir / UPLOADS,
            currency=settings.currency,
            secure=settings.production,
            card_form=form,
            streams=web.streams,
            streams_per_address=web.streams_per_address,
        )
