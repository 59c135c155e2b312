"""ticketkit: a framework for ticket marketplaces.

No ticket is ever sold twice, no payment is ever lost, no event is ever lost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketkit.domain.money import Money
    from ticketkit.domain.policy import OnDecline, Policy
    from ticketkit.domain.tickets import Listing
    from ticketkit.marketplace import Marketplace
    from ticketkit.plugins import hookimpl
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.principal import Principal

__version__: Final = "0.1.0"

__all__ = [
    "Listing",
    "Marketplace",
    "Money",
    "OnDecline",
    "Policy",
    "Principal",
    "Settings",
    "__version__",
    "hookimpl",
]

_WHERE: Final = {
    "Listing": "ticketkit.domain.tickets",
    "Marketplace": "ticketkit.marketplace",
    "Money": "ticketkit.domain.money",
    "OnDecline": "ticketkit.domain.policy",
    "Policy": "ticketkit.domain.policy",
    "Principal": "ticketkit.services.principal",
    "Settings": "ticketkit.runtime.settings",
    "hookimpl": "ticketkit.plugins",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that `import ticketkit` stays light."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    msg = f"module 'ticketkit' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """All public names."""
    return sorted(__all__)
