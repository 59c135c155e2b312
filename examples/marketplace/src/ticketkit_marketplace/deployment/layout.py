"""Which processes there are, and what each of them is told: no more than it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ticketkit.services.catalogue import SERVICES, Boundary, ServiceName
from ticketkit_marketplace.combinations import ACCOUNTS, BUS, PAYMENTS, PROVIDER, STORAGE, TIMERS, VARIABLES
from ticketkit_marketplace.deployment import keyring

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ticketkit_marketplace.deployment.keyring import Keyring

WEB: Final = "web"
OPS: Final = "ops"
API_URL: Final = "TICKETKIT_WEB_API_URL"
OPS_API_URL: Final = "TICKETKIT_OPS_API_URL"
OPS_METRICS: Final = "TICKETKIT_OPS_METRICS_URLS"
SQL: Final = ("postgresql", "postgres", "sqlite")
"""Schemes of storages whose schema is made before the processes start."""
_STORAGES: Final = (STORAGE, ACCOUNTS, PAYMENTS)
_STORAGE_OF: Final = {Boundary.INVENTORY: STORAGE, Boundary.ACCOUNTS: ACCOUNTS, Boundary.PAYMENTS: PAYMENTS}
_WITHHELD: Final = frozenset(
    {*VARIABLES, *keyring.NAMES, PROVIDER, API_URL, OPS_API_URL, OPS_METRICS, "TICKETKIT_DATA_DIR"}
)
"""What is not everybody's business, or decided here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process.

    Attributes:
        name: `orders`, or `orders-2` where there are several.
        service: None for the web client and the operations page.
        settings: `TICKETKIT_*`, all it gets.
    """

    name: str
    service: ServiceName | None
    settings: Mapping[str, str]

    @property
    def program(self) -> tuple[str, ...]:
        """Module and command."""
        if self.service is None:
            return ("ticketkit_marketplace", self.name)
        return ("ticketkit", "serve", self.service.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The processes of a deployment on one machine.

    Attributes:
        urls: Settings that name the backends.
        keys: Of sessions and passes.
        inherited: Further settings (`TICKETKIT_*`) of whoever starts it.
        orders: How many processes run orders.
    """

    urls: Mapping[str, str]
    keys: Keyring
    inherited: Mapping[str, str]
    orders: int = 1

    @property
    def databases(self) -> dict[str, str]:
        """URL of each storage with a schema, by its setting."""
        named = {name: self.urls[name] for name in _STORAGES if name in self.urls}
        return {name: url for name, url in named.items() if urlsplit(url).scheme in SQL}

    def services(self) -> Iterator[Part]:
        """The processes of the services."""
        for name in ServiceName:
            count = self.orders if name is ServiceName.ORDERS else 1
            for number in range(1, count + 1):
                label = name.value if count == 1 else f"{name.value}-{number}"
                yield Part(name=label, service=name, settings=self._of(name))

    def web(self, api: str) -> Part:
        """The web client.

        Args:
            api: Where it reaches the services.
        """
        settings = {**self._shared(), API_URL: api, **self._named(PROVIDER), **self._named(BUS)}
        return Part(name=WEB, service=None, settings=settings)

    def ops(self, api: str, metrics: Iterable[str]) -> Part:
        """The operations page, which looks at every storage and at the bus.

        Args:
            api: Where it reaches the services.
            metrics: URLs of the numbers of their processes.
        """
        settings = {**self._shared(), **self.keys.verifying, **self._named(BUS), **self._storages(*_STORAGES)}
        return Part(name=OPS, service=None, settings={**settings, OPS_API_URL: api, OPS_METRICS: ",".join(metrics)})

    def lister(self) -> dict[str, str]:
        """Settings of the command that lists the Broadway week, for which it makes an account.

        It does not stay until all is published: that goes on in the services.
        """
        keys = {**self.keys.minting, **self.keys.verifying, "TICKETKIT_DRAIN": "0"}
        return {**self._shared(), **keys, **self._storages(STORAGE, ACCOUNTS), **self._named(BUS)}

    def _of(self, service: ServiceName) -> dict[str, str]:
        settings = {**self._shared(), **self.keys.verifying, **self._named(BUS)}
        if (boundary := SERVICES[service].boundary) is not None:
            settings |= self._storages(_STORAGE_OF[boundary])
        match service:
            case ServiceName.AUTH:
                settings |= self.keys.minting
            case ServiceName.ORDERS:
                settings |= self.keys.admitting
            case ServiceName.EXPIRATION:
                settings |= self._named(TIMERS) or self._storages(STORAGE)
            case ServiceName.PAYMENTS:
                settings |= self._named(PROVIDER)
        return settings

    def _shared(self) -> dict[str, str]:
        return {name: value for name, value in self.inherited.items() if name not in _WITHHELD}

    def _named(self, name: str) -> dict[str, str]:
        found = self.urls.get(name, self.inherited.get(name))
        return {} if found is None else {name: found}

    def _storages(self, *names: str) -> dict[str, str]:
        """The schema is there by then: no process may change it."""
        found = {name: self.urls[name] if name in self.urls else self.urls[STORAGE] for name in names}
        return {name: _kept(url) for name, url in found.items()}


def _kept(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in SQL or "migrate=" in parts.query:
        return url
    return f"{url}{'&' if parts.query else '?'}migrate=no"
