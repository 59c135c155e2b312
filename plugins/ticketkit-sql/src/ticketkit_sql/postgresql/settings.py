"""What the URL of a PostgreSQL database says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured
from ticketkit_sql.settings import POSTGRESQL, choice, number

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
_ANSWER: Final = 2.0
"""Seconds beyond `statement` after which a server that says nothing is taken for gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """A URL such as `postgresql://shop:secret@db.example/shop?pool=10`, understood.

    Attributes:
        password: Never shown: not in messages, not in `repr`.
        migrate: `yes`, `no` or `app`.
        ssl_files: `sslrootcert`, `sslcert` and `sslkey`, empty when not given.
    """

    host: str
    port: int
    user: str
    password: str | None = field(default=None, repr=False)
    database: str
    migrate: str = "yes"
    pool: int = 5
    alone: int = 4
    connect: float = 5.0
    statement: float = 10.0
    lock: float = 5.0
    idle: float = 10.0
    sslmode: str = "prefer"
    ssl_files: tuple[str, str, str] = ("", "", "")

    @classmethod
    def of(cls, url: str) -> PostgresSettings:
        """Read a URL.

        Raises:
            Misconfigured: It names no user or database, or a parameter is unknown or wrong. Its password is not shown.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise Misconfigured("The port of the postgresql:// URL is no number.") from None
        found = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := found.keys() - POSTGRESQL.keys():
            known = ", ".join(POSTGRESQL)
            names = ", ".join(sorted(unknown))
            raise Misconfigured(f"{names}: no such parameter of postgresql://. There are: {known}.")
        _complete(parts)
        return cls(
            host=found.get("host") or host or "localhost",
            port=port or 5432,
            user=unquote(parts.username or ""),
            password=None if parts.password is None else unquote(parts.password),
            database=unquote(parts.path[1:]),
            migrate=choice(found, "migrate", {name: name for name in ("yes", "no", "app")}, default="yes"),
            sslmode=choice(found, "sslmode", {name: name for name in _MODES}, default="prefer"),
            ssl_files=(found.get("sslrootcert", ""), found.get("sslcert", ""), found.get("sslkey", "")),
            pool=max(1, int(number(found, "pool", default=5))),
            alone=max(1, int(number(found, "alone", default=4))),
            connect=number(found, "connect", default=5),
            statement=number(found, "statement", default=10),
            lock=number(found, "lock", default=5),
            idle=number(found, "idle", default=10),
        )

    @property
    def place(self) -> str:
        """The database, for messages: without user and password."""
        return f"{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """The arguments of `asyncpg.connect`.

        Raises:
            Misconfigured: A certificate or key can't be read.
        """
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "timeout": self.connect,
            "command_timeout": self.statement + _ANSWER,
            "max_cached_statement_lifetime": 0,
            "max_cacheable_statement_size": 0,
            "ssl": self._ssl(),
            "server_settings": self._server_settings(),
        }

    def _server_settings(self) -> Mapping[str, str]:
        return {
            "application_name": "ticketkit",
            "default_transaction_isolation": "read committed",  # what is read after a lock is as new as the lock
            "statement_timeout": _milliseconds(self.statement),
            "lock_timeout": _milliseconds(self.lock),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle),
            "tcp_keepalives_idle": "15",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            "jit": "off",
        }

    def _ssl(self) -> ssl.SSLContext | str:
        root, certificate, key = self.ssl_files
        if self.sslmode in ("disable", "prefer"):
            if any(self.ssl_files):
                raise Misconfigured("sslrootcert, sslcert and sslkey need sslmode=require, verify-ca or verify-full.")
            return self.sslmode
        try:
            context = ssl.create_default_context(cafile=root or None)
            if certificate:
                context.load_cert_chain(certificate, key or None)
        except OSError as error:
            raise Misconfigured(f"sslrootcert, sslcert or sslkey can't be used: {error}.") from error
        context.check_hostname = self.sslmode == "verify-full"
        if self.sslmode == "require" and not root:
            context.verify_mode = ssl.CERT_NONE
        return context


def _complete(parts: SplitResult) -> None:
    if not parts.username:
        raise Misconfigured("The URL names no user: write postgresql://user:password@host/database.")
    if len(parts.path) < 2:  # noqa: PLR2004 - "/" and at least one character
        raise Misconfigured("The URL names no database: write postgresql://user:password@host/database.")


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))
