"""The schema of a database: what it is, what it should be, and the way there."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sqlalchemy import inspect, text

from ticketkit.backends.errors import Misconfigured
from ticketkit_sql.settings import SCHEMES, Settings, scheme
from ticketkit_sql.sqlite import Sqlite

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

T = TypeVar("T")

_ALEMBIC: Final = threading.Lock()
"""Alembic keeps the migration that runs in its modules: two threads of a process break each other's."""

VERSION_TABLE: Final = "ticketkit_alembic_version"

REVISIONS: Final = {
    "0001": "The first schema.",
    "0002": "Functions on PostgreSQL; nothing elsewhere.",
    "0003": "Money taken at once and given back, released and admitted tickets, prolonged locks, paused sales.",
    "0004": "An index of orders that are being paid.",
    "0005": "Who asked for what an event tells; events and webhooks found by what they are about.",
}
"""Every revision of this release, oldest first. (Alembic knows them too; importing it is slow, and rarely needed.)"""

HEAD: Final = next(reversed(REVISIONS))


class Dialect(Protocol):
    """How a database begins and ends the transaction of a migration, alone."""

    def begin(self, connection: Connection) -> None:
        """Begin, when nobody else migrates."""

    def commit(self, connection: Connection) -> None:
        """Commit."""

    def rollback(self, connection: Connection) -> None:
        """Undo."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where the schema of a database stands.

    Attributes:
        current: Its revision; None when it has none of ticketkit's tables.
        head: The revision of this release.
    """

    current: str | None
    head: str = HEAD

    @property
    def ready(self) -> bool:
        """Whether this release can work with it."""
        return self.current == self.head


def history() -> dict[str, str]:
    """All revisions of this release with a sentence each, oldest first."""
    return dict(REVISIONS)


def check(url: str) -> Status:
    """Look where the schema stands; changes nothing.

    Raises:
        Misconfigured: The URL is wrong, or the schema is of a newer release.
    """
    return _with_database(url, lambda connection, _: status(connection))


def upgrade(url: str) -> Status:
    """Bring the schema up to date, in one transaction.

    Returns:
        Where it stood before.

    Raises:
        Misconfigured: The URL is wrong, or the schema is of a newer release.
        Unavailable: Another process writes for too long.
    """
    return _with_database(url, migrate)


def status(connection: Connection) -> Status:
    """As `check`, on a connection."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return Status(None)
    current: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if current is not None and current not in REVISIONS:
        raise Misconfigured(
            f"The database has schema {current}, and this release of ticketkit-sql knows none after {HEAD}: "
            "a newer release has written it. Install that one."
        )
    return Status(current)


def migrate(connection: Connection, dialect: Dialect) -> Status:
    """As `upgrade`, on a connection that is in no transaction."""
    dialect.begin(connection)
    try:
        before = status(connection)
        if not before.ready:
            _run_alembic(connection)
        dialect.commit(connection)
    except BaseException:
        dialect.rollback(connection)
        raise
    return before


def make_ready(connection: Connection, dialect: Dialect, *, allowed: bool) -> None:
    """What opening does: upgrade an older or empty database, if that is allowed.

    Raises:
        Misconfigured: It is older and `migrate=no`, or newer than this release.
    """
    found = status(connection)
    if found.ready:
        return
    if not allowed:
        what = "has none of ticketkit's tables" if found.current is None else f"has schema {found.current}"
        raise Misconfigured(f"The database {what}; this release needs {HEAD}. Run `ticketkit db upgrade`.")
    migrate(connection, dialect)


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ticketkit_sql:migrations")
    config.attributes["connection"] = connection
    with _ALEMBIC:
        command.upgrade(config, "head")


def _with_database(url: str, work: Callable[[Connection, Dialect], T]) -> T:
    if scheme(url) in SCHEMES:
        from ticketkit_sql.postgresql.schema import with_database

        return with_database(url, work)
    settings = Settings.of(url)
    settings.path.parent.mkdir(parents=True, exist_ok=True)
    dialect = Sqlite(settings)
    engine = dialect.engine()
    try:
        with engine.connect() as connection:
            return work(connection, dialect)
    finally:
        engine.dispose()
