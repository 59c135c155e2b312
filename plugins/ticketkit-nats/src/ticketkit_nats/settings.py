"""What the URL of a NATS server says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured

SETTINGS: Final = {
    "stream": "Name of the stream; those for dead letters and for the state of groups are called after it (default "
    "`ticketkit`).",
    "prefix": "First token of all subjects: the stream takes `PREFIX.>` (default: the stream's name).",
    "replicas": "Servers of the cluster that keep each stream: 1, 3 or 5 (default 1).",
    "retention": "`limits` (default): events are kept for `keep`, and can be replayed; `interest`: only until every "
    "group has acknowledged them.",
    "keep": "Seconds for which an event is kept, heard or not; 0 for ever (default 2592000: 30 days).",
    "streams": "`create` (default): streams that are missing are made; `check`: nothing is made; `update`: those that "
    "exist get another `keep`, `replicas` or `dedup` as well.",
    "dedup": "Seconds for which the server knows what it stored when a publish is tried again (default 120).",
    "lease": "Seconds after which an event that a dead consumer had is delivered again (default 30).",
    "pending": "Most events of one name that a group may have begun and not ended, over all its processes (default "
    "20000).",
    "timeout": "Seconds to wait for an answer of the server, before `Unavailable` (default 5).",
    "creds": "File with credentials (JWT and NKEY seed).",
    "ca": "File with the certificates that the server's one is checked against, instead of the system's.",
    "cert": "File with the certificate of this client.",
    "key": "File with its key.",
    "monitor": "`http://host:8222`, the server's monitoring: for `ticketkit doctor`, to see when it writes through.",
}
"""URL parameters, for `Backend.settings`."""

SCHEMES: Final = ("nats", "tls")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_CHOICES: Final = {"retention": ("limits", "interest"), "streams": ("create", "check", "update")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A URL such as `nats://user:password@one:4222,two:4222?replicas=3`, understood.

    Attributes:
        servers: `nats://host:port` each, without credentials.
        tls: Whether nothing is said without TLS.
        user: With `password`.
        password: Of the user.
        token: Instead of both.
        stream: Name of the stream.
        prefix: First token of its subjects.
        replicas: Of each stream.
        retention: `limits` or `interest`.
        keep: Seconds; 0 for ever.
        streams: `create`, `check` or `update`.
        dedup: Seconds.
        lease: Seconds of a delivery.
        pending: Most deliveries of a group and a name at once.
        timeout: Seconds for an answer.
        creds: Path.
        ca: Path.
        cert: Path.
        key: Path.
        monitor: URL of the monitoring.
    """

    servers: tuple[str, ...]
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    stream: str = "ticketkit"
    prefix: str = "ticketkit"
    replicas: int = 1
    retention: str = "limits"
    keep: float = 30 * 86400.0
    streams: str = "create"
    dedup: float = 120.0
    lease: float = 30.0
    pending: int = 20000
    timeout: float = 5.0
    creds: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    monitor: str | None = None

    @property
    def where(self) -> str:
        """The servers, for messages."""
        return ", ".join(server.partition("://")[2] for server in self.servers)

    @property
    def dead(self) -> str:
        """Name of the stream of dead letters, and first token of its subjects' prefix."""
        return f"{self.stream}-dead"

    @property
    def state(self) -> str:
        """Name of the stream that keeps what JetStream does not know of groups."""
        return f"{self.stream}-state"

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read a URL.

        Raises:
            Misconfigured: It names no server, or a parameter is unknown or wrong.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise Misconfigured(f"ticketkit-nats opens nats://host:port or tls://host:port, not {parts.scheme}://.")
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - SETTINGS.keys():
            known = ", ".join(SETTINGS)
            raise Misconfigured(f"{', '.join(sorted(unknown))}: no such parameter of nats://. There are: {known}.")
        login, _, hosts = parts.netloc.rpartition("@")
        servers = tuple(_server(parts.scheme, host) for host in hosts.split(","))
        settings = cls(servers=servers, tls=parts.scheme == "tls" or "cert" in found, **_login(login))
        return replace(settings, **_parameters(found))


def _server(scheme: str, host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port or 4222
    except ValueError:
        name, port = None, 0
    if not name:
        raise Misconfigured("The URL names no server: write nats://host:4222, or nats://one:4222,two:4222.")
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def _login(text: str) -> dict[str, Any]:
    if not text:
        return {}
    user, colon, password = text.partition(":")
    return {"user": unquote(user), "password": unquote(password)} if colon else {"token": unquote(user)}


def _parameters(found: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = dict(found)
    stream = found.get("stream", "ticketkit")
    values |= {"stream": stream, "prefix": found.get("prefix", stream)}
    for name in ("stream", "prefix"):
        if not _NAME.fullmatch(values[name]):
            raise Misconfigured(f"{name}={values[name]}: letters, digits, - and _ only.")
    for name, choices in _CHOICES.items():
        if found.get(name, choices[0]) not in choices:
            raise Misconfigured(f"{name}={found[name]}: it is one of {', '.join(choices)}.")
    for name in ("replicas", "pending"):
        if name in found:
            values[name] = int(_number(found, name, least=1))
    for name, least in (("keep", 0.0), ("dedup", 0.1), ("lease", 0.1), ("timeout", 0.1)):
        if name in found:
            values[name] = _number(found, name, least=least)
    if ("cert" in found) != ("key" in found):
        raise Misconfigured("cert and key go together: give the files of both.")
    return values


def _number(found: dict[str, str], name: str, *, least: float) -> float:
    try:
        value = float(found[name])
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        raise Misconfigured(f"{name}={found[name]}: it is a number of at least {least:g}.")
    return value
