"""All that is special to SQLite. Another database is another class with these methods."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from ticketkit.backends.errors import Refused, Unavailable
from ticketkit_sql.tables import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine

    from ticketkit_sql.settings import Settings

_SHORTEST: Final = 0.0002
_LONGEST: Final = 0.01
_CHECKPOINT: Final = 8000
"""Pages (32 MB) in the write-ahead log before it is worked off: a hot page is written back once for many commits."""


class Sqlite:
    """Connections, transactions and the statements of the hot path.

    Args:
        settings: Where the file is, and how long to wait for others.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def engine(self, *, readers: int = 0) -> Engine:
        """An engine for one writing connection, or for some that only read."""
        engine = create_engine(
            f"sqlite+pysqlite:///{self._settings.path}",
            isolation_level="AUTOCOMMIT",
            pool_size=readers or 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "cached_statements": 512, "timeout": 0},
        )
        patience = int(self._settings.busy * 1000)
        pragmas = [
            f"PRAGMA busy_timeout = {patience}",  # these read the file, which another process may just be making
            f"PRAGMA synchronous = {self._settings.synchronous}",
            "PRAGMA foreign_keys = ON",
            "PRAGMA cache_size = -16000",
            f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}",
            "PRAGMA query_only = ON" if readers else "PRAGMA busy_timeout = 0",
        ]

        @event.listens_for(engine, "connect")
        def _prepare(connection: sqlite3.Connection, _record: object) -> None:
            for pragma in pragmas:
                connection.execute(pragma)

        return engine

    def prepare(self, connection: Connection) -> None:
        """Set up the file itself: write-ahead log.

        Raises:
            Unavailable: Another process has it for too long.
        """
        self._patiently(connection, "PRAGMA journal_mode = WAL")

    def begin(self, connection: Connection) -> None:
        """Begin to write, alone.

        Raises:
            Unavailable: Another process has been writing for too long.
        """
        self._patiently(connection, "BEGIN IMMEDIATE")

    def commit(self, connection: Connection) -> None:
        """Commit; returns when it is on disk."""
        connection.exec_driver_sql("COMMIT")

    def rollback(self, connection: Connection) -> None:
        """Undo; fine when there is nothing to undo."""
        try:
            connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            if not isinstance(error.orig, sqlite3.OperationalError):
                raise

    def snapshot(self, connection: Connection) -> None:
        """Begin to read one state of everything; `rollback` ends it."""
        connection.exec_driver_sql("BEGIN")

    def transient(self, error: BaseException) -> bool:
        """Whether an error is the database's (locked, disk full, I/O) and not that of what was given to it."""
        return isinstance(error, OperationalError)

    def select_ids(self, table: str, columns: Iterable[str]) -> str:
        """Rows by id, for update; parameters: see `ids`. Here `begin` has locked everything."""
        return f"SELECT {_list(columns)} FROM {PREFIX}{table} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608

    def ids(self, ids: Sequence[str]) -> tuple[Any, ...]:
        """The parameters of `select_ids`.

        Raises:
            Refused: An id has a NUL, at which SQLite's JSON functions end a text: the row would never be found again.
        """
        if any("\0" in id for id in ids):
            raise Refused("An id has no NUL character.")
        return (json.dumps(ids),)

    def insert(self, table: str, columns: Sequence[str]) -> str:
        """Insert a row with these values."""
        return f"INSERT INTO {PREFIX}{table} ({_list(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608

    def update(self, table: str, columns: Iterable[str], where: Iterable[str]) -> str:
        """Set columns where others are equal; parameters: what is set, then what is compared."""
        changed = ", ".join(f'"{column}" = ?' for column in columns)
        found = " AND ".join(f'"{column}" = ?' for column in where)
        return f"UPDATE {PREFIX}{table} SET {changed} WHERE {found}"  # noqa: S608

    def upsert(self, table: str, columns: Sequence[str], key: str) -> str:
        """Insert a row with these values, or set them in the one that has the key."""
        changed = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column != key)
        return f'{self.insert(table, columns)} ON CONFLICT ("{key}") DO UPDATE SET {changed}'

    def delete(self, table: str, where: Iterable[str]) -> str:
        """Delete rows where columns are equal."""
        found = " AND ".join(f'"{column}" = ?' for column in where)
        return f"DELETE FROM {PREFIX}{table} WHERE {found}"  # noqa: S608

    def _patiently(self, connection: Connection, sql: str) -> None:
        # Not SQLite's busy handler: its pauses grow to 100 ms, and a writer here is gone after one or two.
        give_up = time.monotonic() + self._settings.busy
        pause = _SHORTEST
        while True:
            try:
                connection.exec_driver_sql(sql)
                return
            except OperationalError as error:
                if not _busy(error) or time.monotonic() > give_up:
                    raise Unavailable(f"The database can't be written now: {error.orig}.") from error
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only so that two do not keep in step
            pause = min(pause * 2, _LONGEST)


def _busy(error: OperationalError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _list(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
