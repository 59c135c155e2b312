"""Locks a second through `storage.decide` on PostgreSQL, beside pgbench.

Ours: `orders.place` for one ticket through `SqlStorage.decide`; limit, command record and both events included. Plain:
pgbench in C, which writes rows of the same sizes into the same tables with the same indexes, with one prepared
statement a lock; it knows beforehand what the rows are. Both begin with the same tickets and take free ones from all
over the table; what counts is rows that are there afterwards. Rounds alternate, so that both see the same machine. The
server is from the wheel, in its default configuration, so it takes 100 connections: for more in flight than `MOST`
pgbench has that many clients, which is where it is fastest.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from ticketkit.backends.spec import Context
from ticketkit.domain import orders
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import Order, Ticket
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id
from ticketkit.testing.servers import PostgreSQL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ticketkit.backends.storage import Storage

AIMS: Final = {1: 0.25, 32: 0.7, 256: 1.0}
"""Part of pgbench's locks a second that is aimed at, by the number in flight."""
IN_FLIGHT: Final = tuple(AIMS)
MOST: Final = 32
_TICKETS: Final = 240_000
_STEP: Final = 48_271  # prime: each ticket comes once, and none beside the one before
_LOCKS_A_BUYER: Final = 5
_MOST_A_SECOND: Final = (5_000, 15_000)  # of pgbench, with one client and with more: it gets so many free tickets
_POLICY: Final = Policy()
_EVENT: Final = "00000000-0000-7000-8000-0000000000ee"
_PREFIX: Final = "00000000-0000-7000-8000-"

_LOAD: Final = f"""
INSERT INTO ticketkit_live_events (id, name, venue, starts_at, zone, owner_id, status, created_at, extra, version)
VALUES ('{_EVENT}', 'Bench', 'Hall', 4102444800000000, 'UTC', 'seller', 'scheduled', 1700000000000000, '{{}}', 1);
INSERT INTO ticketkit_tickets
  (id, title, price, currency, seller_id, event_id, seat, status, created_at, extra, version)
SELECT '{_PREFIX}' || lpad(n::text, 12, '0'), 'Orchestra, row ' || n / 40, 5000 + n % 9000, 'USD', 'seller', '{_EVENT}',
  n::text, 'available', 1700000000000000 + n, '{{}}', 1
FROM generate_series(1, {_TICKETS}) n;
VACUUM ANALYZE;
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class _Round:
    ours: float
    plain: float


def measure(*, rounds: int = 3, seconds: float = 2.0, in_flight: Sequence[int] = IN_FLIGHT) -> dict[str, Any]:
    """Measure both, by turns.

    Args:
        rounds: Of each, for each number in flight.
        seconds: A round.
        in_flight: Orders that are placed at once.

    Returns:
        For each number in flight `ours` and `plain` (locks a second, medians), `ratio` (median of each round's),
        `p50_ms` and `p99_ms` of ours, and the figures of each round.
    """
    with PostgreSQL() as server:
        return uvloop.run(_measure(server, rounds=rounds, seconds=seconds, in_flight=in_flight))


async def _measure(server: PostgreSQL, *, rounds: int, seconds: float, in_flight: Sequence[int]) -> dict[str, Any]:
    from ticketkit_sql.storage import open_storage

    found: dict[str, Any] = {}
    urls = {name: server.create(name) for name in ("ours", "plain")}
    for name, url in urls.items():
        async with open_storage(url, Context()):
            pass
        for statement in _LOAD.split(";\n"):
            await asyncio.to_thread(server.sql, statement, database=name)
    async with open_storage(urls["ours"], Context()) as storage:
        lots = _lots()
        order = await _place(storage, *next(lots))
        with tempfile.TemporaryDirectory(prefix="ticketkit-bench-") as folder:
            plain = _Plain(server, Path(folder), order)
            for number in in_flight:
                latencies: list[float] = []
                measured = []
                for _ in range(rounds):
                    ours = await _ours(storage, lots, number, seconds, latencies)
                    measured.append(_Round(ours, await asyncio.to_thread(plain.run, min(number, MOST), seconds)))
                found[str(number)] = _summary(measured, latencies)
    return found


def _summary(rounds: Sequence[_Round], latencies: list[float]) -> dict[str, Any]:
    latencies.sort()
    return {
        "ours": round(statistics.median(one.ours for one in rounds)),
        "plain": round(statistics.median(one.plain for one in rounds)),
        "ratio": round(statistics.median(one.ours / one.plain for one in rounds), 2),
        "p50_ms": round(1000 * latencies[len(latencies) // 2], 2),
        "p99_ms": round(1000 * latencies[len(latencies) * 99 // 100], 2),
        "rounds": [(round(one.ours), round(one.plain)) for one in rounds],
    }


def _lots() -> Iterator[tuple[str, str]]:
    """Tickets in a random order, each with its buyer."""
    numbers = list(range(1, _TICKETS + 1))
    random.Random(7).shuffle(numbers)  # noqa: S311 - the same order in each run
    for place, number in enumerate(numbers):
        yield f"{_PREFIX}{number:012}", f"buyer-{place // _LOCKS_A_BUYER}"


async def _place(storage: Storage, ticket_id: str, buyer_id: str) -> Order:
    command = Command(id=new_id(), actor=buyer_id, fresh=(new_id(),), fingerprint="0" * 64)
    decision = partial(orders.place, command=command, buyer_id=buyer_id, ticket_ids=(ticket_id,), policy=_POLICY)
    return (await storage.decide(Keys.of(Ticket.key(ticket_id)), decision, command)).one(Order)


async def _ours(
    storage: Storage, lots: Iterator[tuple[str, str]], in_flight: int, seconds: float, latencies: list[float]
) -> float:
    won: list[Order] = []
    end = time.perf_counter() + seconds

    async def buyer() -> None:
        while (start := time.perf_counter()) < end:
            won.append(await _place(storage, *next(lots)))
            latencies.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(buyer() for _ in range(in_flight)))
    return len(won) / (time.perf_counter() - start)


class _Plain:
    """pgbench: the rows of one real order, written again with other ids."""

    def __init__(self, server: PostgreSQL, folder: Path, sample: Order) -> None:
        self._server = server
        self._first = 0
        self._script = folder / "lock.sql"
        self._script.write_text(_script(server, sample))

    def run(self, clients: int, seconds: float) -> float:
        before = self._orders()
        each = round(_MOST_A_SECOND[clients > 1] * seconds) // clients
        places = ["-D", "i=0", "-D", f"first={self._first}", "-D", f"each={each}"]
        self._first += each * clients
        start = time.perf_counter()
        options = ["-n", "-M", "prepared", "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(round(seconds))]
        address = ["-h", "127.0.0.1", "-p", str(self._server.port), "-U", "postgres", "plain"]
        command: list[str | Path] = [self._server.tool("pgbench"), *options, *places, "-f", self._script, *address]
        subprocess.run(command, check=True, capture_output=True, timeout=60 + seconds)
        return (self._orders() - before) / min(time.perf_counter() - start, max(1.0, round(seconds)))

    def _orders(self) -> int:
        return int(self._server.sql("SELECT count(*) FROM ticketkit_orders", database="plain"))


def _script(server: PostgreSQL, sample: Order) -> str:
    (ticket_id,) = sample.ticket_ids

    def text(table: str, column: str, where: str) -> str:
        found = server.sql(f"SELECT {column} FROM ticketkit_{table} WHERE {where} LIMIT 1", database="ours")  # noqa: S608
        # A colon begins a variable of pgbench.
        return "E'" + found.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a") + "'"

    policy, lines = text("orders", "policy", "true"), text("orders", "lines", "true")
    order_event = text("outbox", "data", "type LIKE '%order.created%'")
    ticket_event = text("outbox", "data", f"subject = '{ticket_id}'")
    answer = text("commands", "answer", f"answer LIKE '%{sample.id}%'")
    now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    envelope = "id, type, source, subject, time, aggregateversion, correlationid, causationid, data, attempts, free_at"
    return f"""\\set i :i + 1
\\set n (:i + :first + :client_id * :each) * {_STEP} % {_TICKETS} + 1
\\set b :n / {_LOCKS_A_BUYER}
WITH fresh AS MATERIALIZED (
  SELECT uuidv7()::text AS id, uuidv7()::text AS command, {now} AS now, 'buyer-' || :b AS buyer
), ticket AS (
  UPDATE ticketkit_tickets t SET status = 'locked', order_id = f.id, version = version + 1 FROM fresh f
  WHERE t.id = '{_PREFIX}' || lpad((:n)::text, 12, '0') AND t.status = 'available'
  RETURNING t.id, t.version, f.id AS order_id, f.command, f.now, f.buyer
), the_order AS (
  INSERT INTO ticketkit_orders (id, buyer_id, status, lines, policy, expires_at, placed_until, extension, seen,
    created_at, extra, version)
  SELECT order_id, buyer, 'created', {lines}, {policy}, now + 900000000, now + 900000000, 'none', '[]', now, '{{}}', 1
  FROM ticket
), line AS (
  INSERT INTO ticketkit_order_lines (order_id, ticket_id, live) SELECT order_id, id, true FROM ticket
), holds AS (
  INSERT INTO ticketkit_holds AS h (id, orders, version)
  SELECT '{_EVENT}/' || buyer, '[["' || order_id || '",1]]', 1 FROM ticket
  ON CONFLICT (id) DO UPDATE SET orders = excluded.orders, version = h.version + 1
), box AS (
  INSERT INTO ticketkit_outbox ({envelope})
  SELECT uuidv7()::text, 'ticketkit.order.created.v1', '/ticketkit/orders', order_id, now, 1, command, command,
    {order_event}, 0, now FROM ticket
  UNION ALL
  SELECT uuidv7()::text, 'ticketkit.ticket.locked.v1', '/ticketkit/tickets', id, now, version, command, command,
    {ticket_event}, 0, now FROM ticket
)
INSERT INTO ticketkit_commands (id, fingerprint, answer, at)
SELECT command, repeat('0', 64), {answer}, now FROM ticket;
"""  # noqa: S608 - constants, and texts of the sample
