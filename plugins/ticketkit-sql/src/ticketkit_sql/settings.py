"""What the URL of a database says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured

SETTINGS: Final = {
    "migrate": "`yes` (default): opening brings the schema up to date; `no`: an old one is refused; `app`: the app's "
    "own migrations make it, and it is not looked at.",
    "busy": "Seconds to wait for another process that writes, before `Unavailable` (default 10).",
    "readers": "Connections that read at once (default 4).",
    "synchronous": "`full` (default): what is acknowledged survives power loss; `normal`: only a killed process.",
    "lease": "Seconds after which an event that a dead consumer had is delivered again (bus only, default 30).",
    "keep": "Seconds for which the bus keeps a message that nobody waits for (bus only, default 300).",
}
"""URL parameters, for `Backend.settings`."""


POSTGRESQL: Final = {
    "migrate": "`yes` (default): opening brings the schema up to date; `no`: an old one is refused; `app`: the app's "
    "own migrations make it, and it is not looked at.",
    "pool": "Connections for reading and for jobs, beside one that writes and one that listens (default 5).",
    "alone": "Connections for decisions that are made alone: with statements of the app, or after three misses "
    "(default 4).",
    "connect": "Seconds to connect in, or to wait for a connection of the pool, before `Unavailable` (default 5).",
    "statement": "Seconds that one statement may take (`statement_timeout`, default 10).",
    "lock": "Seconds to wait for what others hold (`lock_timeout`, default 5).",
    "idle": "Seconds after which the server ends a transaction of a process that froze "
    "(`idle_in_transaction_session_timeout`, default 10).",
    "host": "Folder of the server's Unix socket, instead of a host in the URL.",
    "sslmode": "`disable`, `prefer` (default), `require`, `verify-ca` or `verify-full`, as for libpq.",
    "sslrootcert": "File with the certificates of authorities, for `verify-ca` and `verify-full`.",
    "sslcert": "File with the certificate to show to the server.",
    "sslkey": "File with the key of `sslcert`.",
}
"""URL parameters of PostgreSQL, for `Backend.settings`."""

SCHEMES: Final = ("postgresql", "postgres")
"""URL schemes of PostgreSQL."""

MAX_KEYS: Final = 2000
"""Most keys of one decision on PostgreSQL: by default the server has room for 6,400 locks, of all together."""


def scheme(url: str) -> str:
    """The scheme of a URL, lower case."""
    return urlsplit(url).scheme.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A URL such as `sqlite:///data/market.db?busy=5`, understood.

    Attributes:
        path: The file; relative to the working directory in `sqlite:///rel`, absolute in `sqlite:////abs`.
        migrate: `yes`: opening may create or upgrade the schema; `no`; `app`: the schema is the app's own business.
        busy: Seconds to wait for another process that writes.
        readers: Connections that read at once.
        synchronous: SQLite's `FULL` or `NORMAL`.
        lease: Seconds of a delivery of the bus.
        keep: Seconds for which the bus keeps a message that nobody waits for.
    """

    path: Path
    migrate: str = "yes"
    busy: float = 10.0
    readers: int = 4
    synchronous: str = "FULL"
    lease: float = 30.0
    keep: float = 300.0

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read a URL.

        Raises:
            Misconfigured: It names no file, or a parameter is unknown or wrong.
        """
        parts = urlsplit(url)
        if parts.scheme != "sqlite":
            raise Misconfigured(
                f"ticketkit-sql opens sqlite:///file and postgresql://user@host/database here, not {parts.scheme}://."
            )
        if parts.netloc or len(parts.path) < 2:  # noqa: PLR2004 - "/" and at least one character
            raise Misconfigured("The URL names no file: write sqlite:///relative/path or sqlite:////absolute/path.")
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - SETTINGS.keys():
            known = ", ".join(SETTINGS)
            raise Misconfigured(f"{', '.join(sorted(unknown))}: no such parameter of sqlite://. There are: {known}.")
        defaults = cls(path=Path(unquote(parts.path[1:])))
        return cls(
            path=defaults.path,
            migrate=choice(found, "migrate", {name: name for name in ("yes", "no", "app")}, default="yes"),
            busy=number(found, "busy", default=defaults.busy),
            readers=max(1, int(number(found, "readers", default=defaults.readers))),
            synchronous=choice(found, "synchronous", {"full": "FULL", "normal": "NORMAL"}, default="full"),
            lease=number(found, "lease", default=defaults.lease),
            keep=number(found, "keep", default=defaults.keep),
        )


def choice(found: dict[str, str], name: str, choices: dict[str, str], *, default: str) -> str:
    """A parameter that is one of some words.

    Raises:
        Misconfigured: It is none of them.
    """
    value = found.get(name, default).lower()
    if value not in choices:
        raise Misconfigured(f"{name}={value}: it is one of {', '.join(choices)}.")
    return choices[value]


def number(found: dict[str, str], name: str, *, default: float) -> float:
    """A parameter that is a number above 0.

    Raises:
        Misconfigured: It is none.
    """
    try:
        value = float(found.get(name, default))
    except ValueError:
        value = -1.0
    if not value > 0:
        raise Misconfigured(f"{name}={found[name]}: it is a number above 0.")
    return value
