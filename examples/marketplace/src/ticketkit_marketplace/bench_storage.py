"""Locks a second through `storage.decide` on SQLite, beside plain `sqlite3`.

Ours: `orders.place` for one ticket through `SqlStorage.decide`, many in flight, synchronous=FULL; limit, command record
and both events included. Plain: a loop over `sqlite3` in one thread, one transaction a lock, synchronous=NORMAL, which
writes the same rows into the same tables with the same indexes, and reads the rows that it decides on. Its row values
are made beforehand: what is measured is SQLite, not Python. Rounds alternate, so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.spec import Context
from ticketkit.domain import live_events, orders
from ticketkit.domain import tickets as tickets_domain
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import Order, Ticket, holds_id
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ticketkit.backends.storage import Storage

_PREFIX: Final = "ticketkit_"
_POLICY: Final = Policy()
_LOCKS_A_BUYER: Final = 5


@dataclass(frozen=True, slots=True)
class _Lot:
    """A ticket to lock, and for whom."""

    ticket_id: str
    event_id: str
    buyer_id: str
    command: Command


def measure(*, rounds: int = 5, locks: int = 2000, tickets: int = 24_000, in_flight: int = 32) -> dict[str, Any]:
    """Measure both, by turns.

    Args:
        rounds: Of each.
        locks: A round.
        tickets: In the database of each.
        in_flight: Tasks that place orders at once; the plain loop has one.

    Returns:
        `ours` and `plain_normal` (locks a second, medians), `ratio` (median of each round's), `ours_p50_ms`,
        `ours_p99_ms`, `rounds` with the figures of each, and what was measured.
    """
    with tempfile.TemporaryDirectory(prefix="ticketkit-bench-") as folder:
        return asyncio.run(_measure(Path(folder), rounds=rounds, locks=locks, tickets=tickets, in_flight=in_flight))


async def _measure(folder: Path, *, rounds: int, locks: int, tickets: int, in_flight: int) -> dict[str, Any]:
    from ticketkit_sql.storage import open_storage

    found: list[tuple[float, float]] = []
    latencies: list[float] = []
    async with open_storage(f"sqlite:///{folder / 'ours.db'}", Context()) as storage:
        lots = _lots(await _list_tickets(storage, tickets), locks)
        plain = _Plain(folder)
        async with open_storage(f"sqlite:///{folder / 'plain.db'}", Context()) as other:
            other_lots = _lots(await _list_tickets(other, tickets), locks)
            sample = await _place(other, next(other_lots)[0])
        plain.connect(sample)
        for _ in range(rounds):
            ours = await _ours(storage, next(lots), in_flight, latencies)
            found.append((ours, await asyncio.to_thread(plain.run, next(other_lots))))
        plain.close()
    latencies.sort()
    return {
        "ours": round(statistics.median(ours for ours, _ in found)),
        "plain_normal": round(statistics.median(plain for _, plain in found)),
        "ratio": round(statistics.median(ours / plain for ours, plain in found), 2),
        "ours_p50_ms": round(1000 * latencies[len(latencies) // 2], 2),
        "ours_p99_ms": round(1000 * latencies[len(latencies) * 99 // 100], 2),
        "rounds": [(round(ours), round(plain)) for ours, plain in found],
        "in_flight": in_flight,
        "tickets": tickets,
        "locks_a_round": locks,
    }


async def _list_tickets(storage: Storage, number: int) -> list[Ticket]:
    command = Command(id=new_id(), fresh=(new_id(),))
    announce = partial(
        live_events.announce,
        command=command,
        owner_id="seller",
        name="Bench",
        venue="Hall",
        starts_at=await storage.now() + timedelta(days=30),
    )
    event_id = (await storage.decide(Keys(), announce, command)).entities[0].id
    found: list[Ticket] = []
    for start in range(0, number, 1000):
        ids = tuple(new_id() for _ in range(min(1000, number - start)))
        command = Command(id=new_id(), fresh=ids)
        listings = [
            tickets_domain.Listing(
                title=f"Orchestra, row {n // 40}", price=Money(5000 + n % 9000, "USD"), event_id=event_id, seat=f"{n}"
            )
            for n in range(start, start + len(ids))
        ]
        decision = partial(tickets_domain.list_tickets, command=command, seller_id="seller", listings=listings)
        found += (await storage.decide(Keys(), decision, command)).every(Ticket)
    return found


def _lots(tickets: list[Ticket], locks: int) -> Iterator[list[_Lot]]:
    random.Random(7).shuffle(tickets)  # noqa: S311 - the same order in each run
    lots = [
        _Lot(
            ticket.id,
            ticket.event_id or "",
            buyer := f"buyer-{number // _LOCKS_A_BUYER}",
            Command(id=new_id(), actor=buyer, fresh=(new_id(),), fingerprint="0" * 64),
        )
        for number, ticket in enumerate(tickets)
    ]
    return iter([lots[start : start + locks] for start in range(0, len(lots), locks)])


async def _place(storage: Storage, lot: _Lot) -> Order:
    decision = partial(
        orders.place, command=lot.command, buyer_id=lot.buyer_id, ticket_ids=(lot.ticket_id,), policy=_POLICY
    )
    answer = await storage.decide(Keys.of(Ticket.key(lot.ticket_id)), decision, lot.command)
    return answer.one(Order)


async def _ours(storage: Storage, lots: list[_Lot], in_flight: int, latencies: list[float]) -> float:
    left = iter(lots)

    async def buyer() -> None:
        for lot in left:
            start = time.perf_counter()
            await _place(storage, lot)
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(buyer() for _ in range(in_flight)))
    return len(lots) / (time.perf_counter() - start)


class _Plain:
    """The loop over `sqlite3`: the rows of one real order, written again with other ids."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "plain.db"
        self._connection: sqlite3.Connection
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def connect(self, sample: Order) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -16000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.row_factory = sqlite3.Row
        (ticket_id,) = sample.ticket_ids
        wanted = {
            "orders": ("id = ?", sample.id),
            "order_lines": ("order_id = ?", sample.id),
            "holds": ("id = ?", holds_id(sample.buyer_id, sample.lines[0].event_id)),
            "outbox": ("subject = ? OR subject = ? AND aggregateversion > 1", sample.id, ticket_id),
            "commands": ("answer LIKE ?", f"%{sample.id}%"),
        }
        for table, (where, *values) in wanted.items():
            sql = f"SELECT * FROM {_PREFIX}{table} WHERE {where}"  # noqa: S608
            self._rows[table] = [dict(row) for row in self._connection.execute(sql, values)]
        self._connection.row_factory = None

    def close(self) -> None:
        self._connection.close()

    def run(self, lots: list[_Lot]) -> float:
        prepared = [(lot, self._statements(lot, new_id())) for lot in lots]
        execute = self._connection.execute
        start = time.perf_counter()
        for lot, statements in prepared:
            execute("BEGIN IMMEDIATE")
            if not self._may_place(lot):
                execute("ROLLBACK")
                continue
            for sql, values in statements:
                execute(sql, values)
            execute("COMMIT")
        return len(lots) / (time.perf_counter() - start)

    def _may_place(self, lot: _Lot) -> bool:
        execute = self._connection.execute
        known = execute("SELECT answer FROM ticketkit_commands WHERE id = ?", (lot.command.id,)).fetchone()
        ticket = execute("SELECT * FROM ticketkit_tickets WHERE id = ?", (lot.ticket_id,)).fetchone()
        event = execute("SELECT * FROM ticketkit_live_events WHERE id = ?", (lot.event_id,)).fetchone()
        id = holds_id(lot.buyer_id, lot.event_id)
        execute("SELECT orders FROM ticketkit_holds WHERE id = ?", (id,)).fetchone()
        return known is None and ticket is not None and event is not None and "available" in ticket

    def _statements(self, lot: _Lot, order_id: str) -> list[tuple[str, tuple[Any, ...]]]:
        lock = "UPDATE ticketkit_tickets SET status = 'locked', order_id = ?, version = 2 WHERE id = ?"
        found: list[tuple[str, tuple[Any, ...]]] = [(lock, (order_id, lot.ticket_id))]
        for table, rows in self._rows.items():
            for row in rows:
                values = {**row, **self._others(table, lot, order_id)}
                values.pop("seq", None)
                sql = f"INSERT INTO {_PREFIX}{table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
                if table == "holds":
                    sql += " ON CONFLICT (id) DO UPDATE SET orders = excluded.orders, version = version + 1"
                found.append((sql, tuple(values.values())))
        return found

    def _others(self, table: str, lot: _Lot, order_id: str) -> dict[str, str]:
        return {
            "orders": {"id": order_id, "buyer_id": lot.buyer_id},
            "order_lines": {"order_id": order_id, "ticket_id": lot.ticket_id},
            "holds": {"id": holds_id(lot.buyer_id, lot.event_id)},
            "outbox": {"id": new_id()},
            "commands": {"id": lot.command.id},
        }[table]
