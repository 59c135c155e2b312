"""Rows on their way to and from PostgreSQL: in the order of the columns that the tables of this database have."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.codec import decode_answer
from ticketkit.backends.ledger import Record
from ticketkit.domain.decision import Command
from ticketkit_sql.rows import ROWS, Row
from ticketkit_sql.tables import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ticketkit.domain.entities import Entity, Kind

COLUMNS: Final = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = ANY (SELECT to_regclass(n) FROM unnest($1::text[]) n) GROUP BY c.relname
"""
NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's clock, in microseconds since 1970 UTC."""
TABLES: Final = tuple(
    f"{PREFIX}{name}" for name in (*(rows.table for rows in ROWS.values()), "order_lines", "outbox", "commands")
)


class Layout:
    """What one database's rows look like. An app's own migrations may have put columns in another order.

    Args:
        columns: Of each table, in its order.
    """

    def __init__(self, columns: dict[str, Sequence[str]]) -> None:
        self._out: dict[str, Callable[[Row], Row]] = {}
        self._in: dict[Kind, Callable[[Any], Row]] = {}
        self._columns = columns
        for kind, rows in ROWS.items():
            there = list(columns[PREFIX + rows.table])
            self._out[kind] = itemgetter(*(rows.columns.index(name) for name in there))
            self._in[kind] = itemgetter(*(there.index(name) for name in rows.columns))
        self._reading: dict[tuple[Kind, ...], str] = {}
        commands = list(columns[f"{PREFIX}commands"])
        self._record = itemgetter(*(commands.index(name) for name in ("id", "fingerprint", "answer")))

    def row(self, kind: Kind, entity: Entity) -> Row:
        """An entity as a row of its table."""
        return self._out[kind](ROWS[kind].to_row(entity))

    def rows(self, table: str, values: Iterable[dict[str, Any]]) -> list[Row]:
        """Rows of another table."""
        there = self._columns[PREFIX + table]
        return [tuple(map(value.get, there)) for value in values]

    def entity(self, kind: Kind, row: Any) -> Entity:
        """An entity from a row of its table."""
        return ROWS[kind].from_row(self._in[kind](row))

    def record(self, row: Any) -> Record:
        """What is on record of a command, from its row."""
        id, fingerprint, answer = self._record(row)
        return Record(Command(id=id, fingerprint=fingerprint), decode_answer(answer))

    def reading(self, kinds: tuple[Kind, ...]) -> str:
        """The statement that reads the time, commands and entities of some kinds by id, all in one state."""
        if (known := self._reading.get(kinds)) is not None:
            return known
        tables = ["commands", *(ROWS[kind].table for kind in kinds)]
        arrays = [
            f"ARRAY(SELECT t FROM {PREFIX}{table} t WHERE t.id = ANY (${number}::text[]))"  # noqa: S608
            for number, table in enumerate(tables, 1)
        ]
        return self._reading.setdefault(kinds, f"SELECT {', '.join([NOW, *arrays])}")
