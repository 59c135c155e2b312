"""What a marketplace is made of, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from opentelemetry.trace import TracerProvider

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id
from ticketkit.runtime.settings import Settings, development_keys
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit.services.passes import PassKeys
from ticketkit.services.principal import Identity
from ticketkit.services.tokens import Keys

ALL: Final = frozenset(ServiceName)
TRADE: Final = ALL - {ServiceName.AUTH}
"""The services that need each other's events; together in one process they need no shared bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A marketplace, or the part of one that runs in this process.

    Attributes:
        storage: URL of the inventory boundary's storage.
        accounts: URL of the accounts boundary's storage.
        payment_storage: URL of the payments boundary's storage.
        bus: URL.
        timers: URL.
        provider: URL or name of the payment provider.
        services: Those that run here.
        looks: Boundaries whose storage is opened to be looked at, though no service of theirs runs here: their events
            are left to those who publish them.
        alone: Whether other processes run the rest, so that backends must be shareable. Default: when some of
            tickets, orders, expiration and payments run elsewhere.
        pass_keys: Of what buyers show at the door; where orders runs.
        identity: Says who is asking; None for ticketkit's own sessions.
        drain: Seconds that a stop waits for what is under way.
        tracer_provider: Where OpenTelemetry spans go; None for the global one.
    """

    storage: str = "memory:"
    accounts: str = "memory:"
    payment_storage: str = "memory:"
    bus: str = "memory:"
    timers: str = "memory:"
    provider: str = "fake"
    services: frozenset[ServiceName] = ALL
    looks: frozenset[Boundary] = frozenset()
    alone: bool | None = None
    policy: Policy = field(default_factory=Policy)
    identity: Identity | None = None
    keys: Keys = field(default_factory=development_keys)
    pass_keys: PassKeys = field(default_factory=PassKeys.fresh)
    secure_cookies: bool = False
    session_lifetime: timedelta = timedelta(days=14)
    token_lifetime: timedelta = timedelta(hours=1)
    sign_in_per_minute: int = 10
    sign_in_per_minute_and_address: int = 60
    currency: str = "USD"
    drain: float = 10.0
    tracer_provider: TracerProvider | None = None
    clock: Clock = field(default_factory=SystemClock)
    new_id: Callable[[], str] = new_id

    @property
    def shared(self) -> bool:
        """Whether backends must be shareable between processes."""
        return not self.services >= TRADE if self.alone is None else self.alone

    @classmethod
    def of(
        cls, settings: Settings, *, services: frozenset[ServiceName] = ALL, looks: frozenset[Boundary] = frozenset()
    ) -> Config:
        """From settings.

        Raises:
            Misconfigured: Keys are missing, can't be read, or are the development keys outside development.
        """
        return cls(
            storage=settings.storage(),
            accounts=settings.accounts(),
            payment_storage=settings.payment_storage(),
            bus=settings.bus_url.get_secret_value(),
            timers=settings.timers(),
            provider=settings.provider(),
            services=services,
            looks=looks,
            policy=settings.policy(),
            keys=settings.keys(),
            pass_keys=settings.door() if ServiceName.ORDERS in services else PassKeys.fresh(),
            secure_cookies=settings.production,
            session_lifetime=settings.session_lifetime,
            token_lifetime=settings.token_lifetime,
            sign_in_per_minute=settings.sign_in_per_minute,
            sign_in_per_minute_and_address=settings.sign_in_per_minute_and_address,
            currency=settings.currency,
            drain=settings.drain,
        )
