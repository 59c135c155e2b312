"""What can be set about the web client: `TICKETKIT_WEB_*`, and what it shares with the services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import Field, HttpUrl, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketkit.backends.errors import Misconfigured

if TYPE_CHECKING:
    from ticketkit.runtime.settings import Settings

UPLOADS: Final = "uploads"
"""Folder of sellers' files, in the data folder."""


class WebSettings(BaseSettings):
    """Settings of the web client alone.

    Attributes:
        api_url: Where the services answer, for a web client that is a process of its own.
        api_timeout: Seconds after which an answer of the services is given up.
        uploads: Where sellers' files wait to be listed; default: `uploads` in the data folder. Several web clients
            share one folder.
        streams: Open pages at once that are told what changes; the others look again by themselves.
        streams_per_address: The same of one client address.
    """

    model_config = SettingsConfigDict(env_prefix="TICKETKIT_WEB_", extra="ignore", env_ignore_empty=True)

    api_url: HttpUrl | None = None
    api_timeout: float = Field(15.0, gt=0)
    uploads: Path | None = None
    streams: int = Field(500, ge=0)
    streams_per_address: int = Field(100, ge=0)

    @classmethod
    def read(cls, **given: str) -> Self:
        """From the environment.

        Args:
            **given: Over what the environment says.

        Raises:
            Misconfigured: Something can't be read.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            msg = f"TICKETKIT_WEB_{name}: {first['msg']}"
            raise Misconfigured(msg) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the pages need to know.

    Attributes:
        uploads: Folder of sellers' files; made when it is needed.
        currency: Of prices that name none.
        secure: Pages are only served over HTTPS.
        provider: Payment provider, by its scheme: `fake`, `stripe`.
        streams: Open pages at once that are told what changes.
        streams_per_address: The same of one client address.
    """

    uploads: Path
    currency: str = "USD"
    secure: bool = False
    provider: str = "fake"
    streams: int = 500
    streams_per_address: int = 100

    @classmethod
    def of(cls, settings: Settings, web: WebSettings) -> Options:
        """From both kinds of settings."""
        return cls(
            uploads=web.uploads or settings.data_dir / UPLOADS,
            currency=settings.currency,
            secure=settings.production,
            provider=settings.provider().partition(":")[0],
            streams=web.streams,
            streams_per_address=web.streams_per_address,
        )
