"""The HTTP API: Starlette apps, one a service or all together."""

from ticketkit.http.app import build
from ticketkit.http.shop import HttpConfig, Shop

__all__ = ["HttpConfig", "Shop", "build"]
