"""What the URL of a Redis server says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured

SETTINGS: Final = {
    "prefix": "First part of every key, in braces: `{ticketkit}:…` (default `ticketkit`). One for each marketplace.",
    "timeout": "Seconds to wait for a connection, and for an answer, before `Unavailable` (default 5).",
    "connections": "Connections at most; one more listens for news of the bus (default 8).",
    "ca": "File of the authorities that may sign the server's certificate (`rediss://`; default: the system's).",
    "cert": "File of this client's certificate (`rediss://`).",
    "key": "File of its private key (`rediss://`).",
    "wait": "Replicas that must have an event before `publish` returns (bus only, default 0).",
    "lease": "Seconds after which an event that a dead consumer had is delivered again (bus only, default 30).",
    "keep": "Seconds for which an event is kept that no group waits for (bus only, default 300).",
}
"""URL parameters, for `Backend.settings`."""

PORT: Final = 6379
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_SCHEMES: Final = ("redis", "rediss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A URL such as `rediss://user:password@host:6379/0?prefix=shop`, understood.

    Attributes:
        tls: Whether the connection is encrypted.
        username: Of the server's access control list; None for its default user.
        password: None for none.
        db: Number of the database.
        prefix: First part of every key.
        timeout: Seconds to wait for a connection or an answer.
        connections: At most so many.
        wait: Replicas that must have an event before it counts as published.
        lease: Seconds of a delivery of the bus.
        keep: Seconds for which an event is kept that no group waits for.
        ca: File of authorities.
        cert: File of the client's certificate.
        key: File of its key.
    """

    host: str
    port: int = PORT
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    prefix: str = "ticketkit"
    timeout: float = 5.0
    connections: int = 8
    wait: int = 0
    lease: float = 30.0
    keep: float = 300.0
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def server(self) -> str:
        """Which server it is, for people: without user and password."""
        return f"{self.host}:{self.port}/{self.db}"

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read a URL.

        Raises:
            Misconfigured: A part is wrong, or a parameter unknown. The message never has the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise Misconfigured(f"ticketkit-redis opens redis://host and rediss://host, not {parts.scheme}://.")
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - SETTINGS.keys():
            known = ", ".join(SETTINGS)
            raise Misconfigured(f"{', '.join(sorted(unknown))}: no such parameter of redis://. There are: {known}.")
        return cls(**_place(parts), **_files(found, tls=parts.scheme == "rediss"), **_numbers(found))


def _place(parts: SplitResult) -> dict[str, Any]:
    try:
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise Misconfigured("The port of the URL is no number: write redis://host:6379/0.") from error
    if not host:
        raise Misconfigured("The URL names no server: write redis://host:6379/0.")
    db = parts.path.strip("/") or "0"
    if not (db.isascii() and db.isdigit()):
        raise Misconfigured(f"/{db}: after the host comes the number of the database: redis://host:6379/0.")
    return {
        "host": host,
        "port": port,
        "tls": parts.scheme == "rediss",
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "db": int(db),
    }


def _files(found: dict[str, str], *, tls: bool) -> dict[str, Any]:
    files = {name: found[name] for name in ("ca", "cert", "key") if found.get(name)}
    if files and not tls:
        raise Misconfigured(f"{', '.join(files)}: only with rediss://, which is Redis over TLS.")
    if ("cert" in files) != ("key" in files):
        raise Misconfigured("cert and key go together: a client's certificate is no use without its key.")
    return files


def _numbers(found: dict[str, str]) -> dict[str, Any]:
    prefix = found.get("prefix", "ticketkit")
    if not _PREFIX.fullmatch(prefix):
        raise Misconfigured(f"prefix={prefix}: it is 1 to 64 letters, digits and _ . : / -.")
    return {
        "prefix": prefix,
        "timeout": _number(found, "timeout", default=5.0),
        "connections": _whole(found, "connections", default=8, least=1),
        "wait": _whole(found, "wait", default=0, least=0),
        "lease": _number(found, "lease", default=30.0),
        "keep": _number(found, "keep", default=300.0),
    }


def _number(found: dict[str, str], name: str, *, default: float) -> float:
    try:
        value = float(found.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise Misconfigured(f"{name}={found[name]}: it is a number above 0.")
    return value


def _whole(found: dict[str, str], name: str, *, default: int, least: int) -> int:
    text = found.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise Misconfigured(f"{name}={text}: it is a whole number from {least} on.")
    return int(text)
