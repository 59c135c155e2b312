"""What can be set about the operations page: `TICKETKIT_OPS_*`, and what it shares with the services."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, HttpUrl
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ticketkit_marketplace.web.settings import settings_of


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class OpsSettings(BaseSettings):
    """Settings of the operations page as a process of its own.

    Attributes:
        api_url: Where the services answer: operators sign in there.
        api_timeout: Seconds after which an answer of the services is given up.
        metrics_urls: Of the services' `/metrics`, separated by commas; default: that of `api_url`.
    """

    model_config = SettingsConfigDict(env_prefix="TICKETKIT_OPS_", extra="ignore", env_ignore_empty=True)

    api_url: HttpUrl | None = None
    api_timeout: float = Field(5.0, gt=0)
    metrics_urls: Annotated[list[HttpUrl], NoDecode, BeforeValidator(_listed)] = Field(default_factory=list)

    @classmethod
    def read(cls, **given: str) -> Self:
        """From the environment.

        Args:
            **given: Over what the environment says.

        Raises:
            Misconfigured: Something can't be read.
        """
        return settings_of(cls, given)
