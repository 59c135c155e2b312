"""Named combinations of backends; servers that no setting names are started as children, on their own data."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from ticketkit.backends.errors import Misconfigured
from ticketkit.runtime.settings import Settings
from ticketkit.testing.servers import Nats, PostgreSQL, Redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ticketkit.testing.servers import Server
    from ticketkit_stripe.simulator import Simulator

STORAGE: Final = "TICKETKIT_STORAGE_URL"
ACCOUNTS: Final = "TICKETKIT_AUTH_STORAGE_URL"
PAYMENTS: Final = "TICKETKIT_PAYMENTS_STORAGE_URL"
BUS: Final = "TICKETKIT_BUS_URL"
TIMERS: Final = "TICKETKIT_TIMERS_URL"
PROVIDER: Final = "TICKETKIT_PAYMENTS"
VARIABLES: Final = (STORAGE, ACCOUNTS, PAYMENTS, BUS, TIMERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Which backends.

    Attributes:
        what: For people.
        schemes: Of the URLs, by setting; what is left out is as ticketkit has it by default.
        stripe: Whether payments go by Stripe's plugin, to a simulator of Stripe whose books are gone at the end.
    """

    what: str
    schemes: Mapping[str, str] = field(default_factory=dict)
    stripe: bool = False


_LASTING: Final = {
    "sqlite": Combination(what="SQLite"),
    "nats": Combination(what="PostgreSQL, NATS", schemes={STORAGE: "postgresql", BUS: "nats"}),
    "redis": Combination(what="PostgreSQL, Redis", schemes={STORAGE: "postgresql", BUS: "redis", TIMERS: "redis"}),
    "nats-redis": Combination(
        what="PostgreSQL, NATS, Redis", schemes={STORAGE: "postgresql", BUS: "nats", TIMERS: "redis"}
    ),
}
COMBINATIONS: Final[Mapping[str, Combination]] = _LASTING | {
    "stripe" if name == "sqlite" else f"{name}-stripe": replace(found, what=f"{found.what}, Stripe", stripe=True)
    for name, found in _LASTING.items()
}
"""By name."""
_ENOUGH: Final = 10_000
"""Calls a second: the simulator has no limit, and what is shown is not the pace."""
ALIASES: Final = {"postgresql": ("postgres",), "nats": ("tls",), "redis": ("rediss",)}
"""Other schemes of the same backends."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a marketplace stands on.

    Attributes:
        urls: Settings (`TICKETKIT_*_URL`) that name the backends.
        servers: Those that were started, by scheme; all but Stripe's simulator keep their data in the folder.
        stripe: The simulator, which has to be told where webhooks go.
    """

    urls: Mapping[str, str] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)
    stripe: Simulator | None = None


def given() -> dict[str, str]:
    """Backends that the environment names, by setting."""
    settings = Settings()
    values = {
        STORAGE: settings.storage_url,
        ACCOUNTS: settings.auth_storage_url,
        PAYMENTS: settings.payments_storage_url,
        BUS: settings.bus_url if "bus_url" in settings.model_fields_set else None,
        TIMERS: settings.timers_url,
    }
    return {name: url.get_secret_value() for name, url in values.items() if url is not None}


@contextmanager
def provided(
    name: str,
    folder: Path,
    *,
    named: Mapping[str, str] | None = None,
    apart: bool = False,
    flushed: bool = False,
    started: Callable[[Server], None] = lambda server: None,  # noqa: ARG005
) -> Iterator[Ground]:
    """Start what a combination needs; it is ended at the end, and its data stays in the folder.

    Args:
        name: Of the combination.
        folder: For data.
        named: Backends that are there already, by setting: their servers are not started.
        apart: Whether each boundary has a database of its own, and several processes share the bus.
        flushed: Whether Redis writes through before it acknowledges, as PostgreSQL and NATS do here anyway.
        started: Told of each server that answers.

    Raises:
        Misconfigured: A backend that is there already is of another kind.
        ServerMissing: The program of a server is not installed.
        ServerFailed: A server did not start.
    """
    combination, named = COMBINATIONS[name], named or {}
    with ExitStack() as stack:
        urls, stripe = {}, None
        if combination.stripe:
            stripe = stack.enter_context(_simulator())
            urls = {PROVIDER: _url_of(stripe)}
        if not combination.schemes:
            yield Ground({**urls, **(_files(folder) if apart else {})}, {}, stripe)
            return
        _agree(name, combination, named)
        servers: dict[str, Server] = {}
        for scheme in dict.fromkeys(scheme for setting, scheme in combination.schemes.items() if setting not in named):
            servers[scheme] = stack.enter_context(_server(scheme, folder, flushed=flushed))
            started(servers[scheme])
        urls |= {
            setting: servers[scheme].url for setting, scheme in combination.schemes.items() if setting not in named
        }
        yield Ground({**urls, **_databases(servers.get("postgresql"), apart=apart), **named}, servers, stripe)


def _agree(name: str, combination: Combination, named: Mapping[str, str]) -> None:
    for setting, url in named.items():
        wanted = combination.schemes.get(setting, combination.schemes[STORAGE])
        scheme = urlsplit(url).scheme
        if scheme != wanted and scheme not in ALIASES[wanted]:
            msg = f"{setting} is {scheme}:, and the combination {name} wants {wanted}:. Choose another, or unset it."
            raise Misconfigured(msg)


def _simulator() -> Simulator:
    from ticketkit_stripe.simulator import Simulator

    return Simulator()


def _url_of(stripe: Simulator) -> str:
    from ticketkit_stripe.simulator.simulation import KEY, SECRET

    parameters = {"key": KEY, "webhook_secret": SECRET, "base": stripe.url}
    return f"stripe:?{urlencode({**parameters, 'rate': _ENOUGH, 'endpoint_rate': _ENOUGH})}"


def _server(scheme: str, folder: Path, *, flushed: bool) -> Server:
    mine = folder / scheme
    mine.mkdir(parents=True, exist_ok=True)
    if scheme == "nats":
        return Nats(mine)
    if scheme == "redis":
        return Redis(mine, fsync="always" if flushed else "everysec")
    if os.geteuid() == 0:  # then it runs as somebody else, who has to get to its data
        folder.chmod(folder.stat().st_mode | 0o011)
    return PostgreSQL(mine)


def _databases(server: Server | None, *, apart: bool) -> dict[str, str]:
    """A database for each boundary, or one for all."""
    if not isinstance(server, PostgreSQL):
        return {}
    names = {STORAGE: "inventory", ACCOUNTS: "accounts", PAYMENTS: "payments"} if apart else {STORAGE: "ticketkit"}
    there = server.sql("SELECT datname FROM pg_database").split()
    base = server.url.rpartition("/")[0]
    return {
        setting: f"{base}/{database}" if database in there else server.create(database)
        for setting, database in names.items()
    }


def _files(folder: Path) -> dict[str, str]:
    names = {STORAGE: "inventory", ACCOUNTS: "accounts", PAYMENTS: "payments", BUS: "bus"}
    return {setting: f"sqlite:///{folder.absolute() / name}.db" for setting, name in names.items()}
