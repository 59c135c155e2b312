"""The statements of reads and jobs that SQLAlchemy does not write for every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ticketkit_sql.tables import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

_MIGRATION: Final = "SELECT pg_advisory_xact_lock(hashtextextended('ticketkit migration', 7471))"


class PostgresDialect:
    """Statements with numbered parameters; each method as in `Sqlite`."""

    def begin(self, connection: Connection) -> None:
        """Begin to migrate, alone: who comes second waits until the first is done."""
        connection.exec_driver_sql("SET LOCAL lock_timeout = '60s'")
        connection.exec_driver_sql("SET LOCAL statement_timeout = '300s'")
        connection.exec_driver_sql(_MIGRATION)

    def commit(self, connection: Connection) -> None:
        """Commit."""
        connection.commit()

    def rollback(self, connection: Connection) -> None:
        """Undo."""
        connection.rollback()

    def select_ids(self, table: str, columns: Iterable[str]) -> str:
        """Rows by id; parameters: see `ids`."""
        return f"SELECT {_list(columns)} FROM {PREFIX}{table} WHERE id = ANY ($1::text[])"  # noqa: S608

    def ids(self, ids: Sequence[str]) -> tuple[Any, ...]:
        """The parameters of `select_ids`."""
        return (list(ids),)

    def upsert(self, table: str, columns: Sequence[str], key: str) -> str:
        """Insert a row with these values, or set them in the one that has the key."""
        values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        changed = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column != key)
        insert = f"INSERT INTO {PREFIX}{table} ({_list(columns)}) VALUES ({values})"  # noqa: S608
        return f'{insert} ON CONFLICT ("{key}") DO UPDATE SET {changed}'

    def delete(self, table: str, where: Iterable[str]) -> str:
        """Delete rows where columns are equal."""
        found = " AND ".join(f'"{column}" = ${number}' for number, column in enumerate(where, 1))
        return f"DELETE FROM {PREFIX}{table} WHERE {found}"  # noqa: S608


def _list(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)
