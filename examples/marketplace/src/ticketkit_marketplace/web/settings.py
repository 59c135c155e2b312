"""What can be set about the web client: `TICKETKIT_WEB_*`, and what it shares with the services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pydantic import Field, HttpUrl, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketkit.backends.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ticketkit.runtime.settings import Settings

S = TypeVar("S", bound=BaseSettings)

UPLOADS: Final = "uploads"
"""Folder of sellers' files, in the data folder."""


class WebSettings(BaseSettings):
    """Settings of the web client alone.

    Attributes:
        api_url: Where the services answer, for a web client that is a process of its own.
        api_timeout: Seconds after which an answer of the services is given up.
        uploads: Where sellers' files wait to be listed; default: `uploads` in the data folder. Several web clients
            share one folder.
    """

    model_config = SettingsConfigDict(env_prefix="TICKETKIT_WEB_", extra="ignore", env_ignore_empty=True)

    api_url: HttpUrl | None = None
    api_timeout: float = Field(15.0, gt=0)
    uploads: Path | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the pages need to know.

    Attributes:
        uploads: Folder of sellers' files; made when it is needed.
        currency: Of prices that name none.
        secure: Pages are only served over HTTPS.
        provider: Payment provider, by its scheme: `fake`, `stripe`.
    """

    uploads: Path
    currency: str = "USD"
    secure: bool = False
    provider: str = "fake"

    @classmethod
    def of(cls, settings: Settings, web: WebSettings) -> Options:
        """From both kinds of settings."""
        return cls(
            uploads=web.uploads or settings.data_dir / UPLOADS,
            currency=settings.currency,
            secure=settings.production,
            provider=settings.provider().partition(":")[0],
        )
