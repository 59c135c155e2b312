"""What the routes need of a marketplace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.requests import HTTPConnection

from ticketkit.backends.clock import Clock
from ticketkit.backends.storage import Totals
from ticketkit.plugins import Plugins
from ticketkit.services.auth import Auth
from ticketkit.services.catalogue import ServiceName
from ticketkit.services.orders import Orders
from ticketkit.services.payments import Payments
from ticketkit.services.principal import Principal
from ticketkit.services.tickets import Tickets
from ticketkit.services.tokens import Verified
from ticketkit.services.tracing import Tracing


class HttpConfig(Protocol):
    """What can be set about HTTP; a part of `ticketkit.runtime.config.Config`."""

    @property
    def secure_cookies(self) -> bool:
        """Cookies are `Secure` and browsers are told to keep to HTTPS: everywhere but in development."""
        ...

    @property
    def currency(self) -> str:
        """When a request names none."""
        ...

    @property
    def sign_in_per_minute(self) -> int:
        """Tries for one account."""
        ...

    @property
    def sign_in_per_minute_and_address(self) -> int:
        """Tries of one client address; the same number of sign-ups."""
        ...


class Shop(Protocol):
    """A marketplace as the routes see it. Services are asked for once it has started, and only those that run here."""

    @property
    def services(self) -> frozenset[ServiceName]:
        """The services that run here. Without auth there are no user routes: identity is the app's own."""
        ...

    @property
    def auth(self) -> Auth:
        """Users and sessions."""
        ...

    @property
    def tickets(self) -> Tickets:
        """Live events and tickets."""
        ...

    @property
    def orders(self) -> Orders:
        """Orders."""
        ...

    @property
    def payments(self) -> Payments:
        """Charges."""
        ...

    @property
    def config(self) -> HttpConfig:
        """What can be set."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def tracing(self) -> Tracing:
        """Spans of requests."""
        ...

    @property
    def plugins(self) -> Plugins:
        """Plugins; their routes are served after ticketkit's own, which win where two match."""
        ...

    async def identify(self, request: HTTPConnection) -> Principal | None:
        """Who is asking; None for nobody."""
        ...

    def verify(self, request: HTTPConnection) -> Verified | None:
        """What the request's session token of ticketkit's own says; None for no good one."""
        ...

    async def ready(self) -> Mapping[str, str]:
        """What is not ready, with a sentence each; empty when all is."""
        ...

    async def lag(self) -> Mapping[str, int]:
        """How many events each consumer has still to handle; empty when the bus does not say."""
        ...

    async def totals(self) -> Mapping[str, Totals]:
        """Counts of each storage in use here, by its name."""
        ...
