"""Which variables there are: those that ticketkit reads, and those of other programs that the deployment names."""

from __future__ import annotations

from typing import Final

from pydantic_settings import BaseSettings

from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.ops.settings import OpsSettings
from ticketkit_marketplace.web.settings import WebSettings
from ticketkit_stripe.settings import _Environment as StripeSettings

_CLASSES: Final[tuple[type[BaseSettings], ...]] = (Settings, WebSettings, OpsSettings, StripeSettings)
OURS: Final = frozenset(
    f"{kind.model_config['env_prefix']}{name}".upper() for kind in _CLASSES for name in kind.model_fields
)
_PASSWORDS: Final = ("POSTGRES", "MIGRATIONS", "ACCOUNTS", "INVENTORY", "PAYMENTS", "NATS", "REDIS", "GRAFANA")
PASSWORDS: Final = frozenset(f"{name}_PASSWORD" for name in _PASSWORDS)
"""What the deployment itself names."""
OTHERS: Final = PASSWORDS | {
    "GF_ANALYTICS_CHECK_FOR_UPDATES",
    "GF_ANALYTICS_REPORTING_ENABLED",
    "GF_SECURITY_ADMIN_PASSWORD",
    "GF_USERS_ALLOW_SIGN_UP",
    "PGDATA",
    "POSTGRES_INITDB_ARGS",
    "POSTGRES_USER",
    "REDISCLI_AUTH",
    "SITE_ADDRESS",
}
"""Variables of the other images: postgres, redis, grafana, and of files here."""
KNOWN: Final = OURS | OTHERS
SECRETS: Final = frozenset(
    {
        "TICKETKIT_AUTH_STORAGE_URL",
        "TICKETKIT_BUS_URL",
        "TICKETKIT_PASS_KEYS",
        "TICKETKIT_PAYMENTS_STORAGE_URL",
        "TICKETKIT_SESSION_PRIVATE_KEY",
        "TICKETKIT_STORAGE_URL",
        "TICKETKIT_STRIPE_SECRET_KEY",
        "TICKETKIT_STRIPE_WEBHOOK_SECRET",
        "TICKETKIT_TIMERS_URL",
    }
)
"""Never written down: put in from `.env`, or from a Secret of the cluster."""
