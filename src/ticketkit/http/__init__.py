"""The HTTP API: Starlette apps, one a service or all together."""

from ticketkit.http.app import build
from ticketkit.http.paths import owner_of, service_paths
from ticketkit.http.shop import HttpConfig, Shop

__all__ = ["HttpConfig", "Shop", "build", "owner_of", "service_paths"]
