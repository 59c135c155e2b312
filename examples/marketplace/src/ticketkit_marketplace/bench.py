"""Figures with their limits, side by side in one run on one machine."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import uvloop
from rich.table import Table

from ticketkit.ids import new_id
from ticketkit_marketplace import bench_postgresql, bench_relay, bench_storage, bench_streams
from ticketkit_marketplace.demo.buyers import Account, sign_up
from ticketkit_marketplace.demo.conductor import percentile
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.wire import Wire
from ticketkit_marketplace.echo import PATH
from ticketkit_marketplace.machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

IMPORT_LIMIT: Final = 0.150
IMPORTS: Final = 7
BUYERS: Final = 32
IN_FLIGHT: Final = 32
ORDERS: Final = 2_000
ROUNDS: Final = 3
_IMPORT: Final = (
    "import time; began = time.perf_counter(); import ticketkit; from ticketkit.marketplace import Marketplace; "
    "print(time.perf_counter() - began)"
)
_MEBIBYTE: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        beside: What it is compared with.
        kept: Whether the limit is kept; None where there is none.
    """

    name: str
    value: str
    beside: str = ""
    limit: str = ""
    kept: bool | None = None


def measure(*, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything, one after the other.

    Args:
        say: Told what is being measured.
    """
    say("import ticketkit")
    imported = import_seconds()
    say("locks through storage.decide beside plain sqlite3")
    locks = bench_storage.measure()
    say("locks through storage.decide on PostgreSQL beside pgbench")
    postgresql = bench_postgresql.measure()
    say("relay from PostgreSQL to JetStream and Redis beside raw pipelined publish")
    relay = bench_relay.measure()
    say(f"memory of {bench_streams.STREAMS} open streams")
    streams = bench_streams.measure()
    say("POST /api/orders beside a JSON echo of the same server")
    with tempfile.TemporaryDirectory(prefix="ticketkit-bench-") as folder:
        http = uvloop.run(_measure_http(Path(folder)))
    return {
        "import": imported,
        "locks": locks,
        "postgresql": postgresql,
        "relay": relay,
        "http": http,
        "streams": streams,
        "machine": machine(),
    }


def import_seconds() -> dict[str, float]:
    """Seconds of a warm import in a fresh interpreter: of the package alone, and of `Marketplace`."""
    bare = "import time; began = time.perf_counter(); import ticketkit; print(time.perf_counter() - began)"
    return {"package": _median_of(bare), "marketplace": _median_of(_IMPORT)}


def _median_of(code: str) -> float:
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(IMPORTS + 1)
    ]
    return statistics.median(runs[1:])  # the first one fills the caches


async def _measure_http(folder: Path) -> dict[str, Any]:
    settings = {"TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "1000000"}
    process = Process(folder, environment=settings, arguments=["--echo", "--no-ops"])
    try:
        await asyncio.to_thread(process.start)
        rss_at_start = process.rss()
        wire = Wire(process.host, process.port, connections=IN_FLIGHT)
        accounts = await sign_up(wire, BUYERS, prefix="bench", on_step=lambda _: None)
        await _quiet(wire)
        lots = await _lots(wire, accounts, ORDERS * ROUNDS)
        orders, echoes = [], []
        for round_ in range(ROUNDS):
            mine = lots[round_ * ORDERS : (round_ + 1) * ORDERS]
            orders.append(await _post(wire, "/api/orders", mine))
            await _quiet(wire)
            echoes.append(await _post(wire, PATH, mine))
        return {
            "orders": _summary(orders),
            "echo": _summary(echoes),
            "ratio": statistics.median(order[0] / echo[0] for order, echo in zip(orders, echoes, strict=True)),
            "inFlight": IN_FLIGHT,
            "requests": ORDERS,
            "rounds": ROUNDS,
            "memory": {"start": rss_at_start, "end": process.rss()},
        }
    finally:
        process.kill()


async def _quiet(wire: Wire) -> None:
    """Wait until all events are published."""
    while True:
        text = (await wire.request("GET", "/metrics")).body.decode()
        waiting = [line for line in text.splitlines() if "unpublished" in line and not line.startswith("#")]
        if all(float(line.rpartition(" ")[2]) == 0 for line in waiting):
            return
        await asyncio.sleep(0.5)


async def _lots(wire: Wire, accounts: list[Account], count: int) -> list[tuple[str, str]]:
    """Tickets, each with the cookie of who orders it: by turns of all live events, so that no buyer has many of one."""
    events = (await wire.request("GET", "/api/events?limit=100")).json()
    each = -(-count // len(events))
    by_event = [await _tickets(wire, event["id"], each) for event in events]
    buyers = [accounts[number % len(accounts)].cookie for number in range(each)]
    lots = [(tickets[number], buyers[number]) for number in range(each) for tickets in by_event]
    return lots[:count]


async def _tickets(wire: Wire, event_id: str, count: int) -> list[str]:
    found: list[str] = []
    path = f"/api/events/{event_id}/tickets?limit=100"
    while len(found) < count:
        page = await wire.request("GET", path)
        found += [ticket["id"] for ticket in page.json()]
        path = wire.local(page.headers["link"])
    return found[:count]


async def _post(wire: Wire, path: str, lots: list[tuple[str, str]]) -> tuple[float, list[float]]:
    """Post an order for each lot; requests a second, and the seconds of each."""
    seconds: list[float] = []
    left = iter(lots)

    async def worker() -> None:
        for ticket_id, cookie in left:
            answer = await wire.request("POST", path, {"ticketId": ticket_id}, cookie=cookie, key=new_id())
            if answer.status != 201:  # noqa: PLR2004
                msg = f"A request was answered with {answer.status} {answer.code}."
                raise RuntimeError(msg)
            seconds.append(answer.seconds)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())
    return len(lots) / (perf_counter() - began), seconds


def _summary(rounds: list[tuple[float, list[float]]]) -> dict[str, float]:
    seconds = [one for _, round_ in rounds for one in round_]
    return {
        "perSecond": statistics.median(rate for rate, _ in rounds),
        "p50": percentile(seconds, 0.5),
        "p99": percentile(seconds, 0.99),
    }


def figures(found: dict[str, Any]) -> list[Figure]:
    """The lines of the table."""
    locks, http, imported = found["locks"], found["http"], found["import"]
    package = imported["package"]
    return [
        Figure(
            name="locks/s through storage.decide, SQLite FULL, 32 in flight",
            value=f"{locks['ours']:,.0f}",
            beside=f"{locks['plain_normal']:,.0f} plain sqlite3, a transaction a lock, NORMAL",
            limit="ahead of plain",
            kept=locks["ours"] > locks["plain_normal"],
        ),
        *_postgresql(found["postgresql"]),
        *_relay(found["relay"]),
        Figure(
            name=f"POST /api/orders a second, {http['inFlight']} in flight",
            value=f"{http['orders']['perSecond']:,.0f} (p99 {http['orders']['p99'] * 1000:.0f} ms)",
            beside=f"{http['echo']['perSecond']:,.0f} JSON echo of the same server",
            limit="",
        ),
        Figure(
            name="import ticketkit, warm",
            value=f"{package * 1000:.0f} ms",
            beside=f"{imported['marketplace'] * 1000:.0f} ms with Marketplace",
            limit=f"{IMPORT_LIMIT * 1000:.0f} ms",
            kept=package <= IMPORT_LIMIT,
        ),
        Figure(
            name="memory of the process with 34,662 tickets",
            value=f"{http['memory']['end'] / _MEBIBYTE:,.0f} MiB",
            beside=f"{http['memory']['start'] / _MEBIBYTE:,.0f} MiB after the start",
        ),
        _streams(found["streams"]),
    ]


def _postgresql(found: dict[str, Any]) -> list[Figure]:
    return [
        Figure(
            name=f"locks/s through storage.decide, PostgreSQL, {in_flight} in flight",
            value=f"{one['ours']:,.0f} (p99 {one['p99_ms']:.0f} ms)",
            beside=f"{one['plain']:,.0f} pgbench, a prepared statement a lock: {one['ratio']:.2f} of it",
            limit=f"aim {bench_postgresql.AIMS[int(in_flight)]:.2f}",
        )
        for in_flight, one in found.items()
    ]


def _relay(found: dict[str, Any]) -> list[Figure]:
    buses = {"nats": ("JetStream", "nats-py's publish_async"), "redis": ("Redis", "redis-py's pipelined XADD")}
    return [
        Figure(
            name=f"events/s through Relay, PostgreSQL to {buses[bus][0]}",
            value=f"{one['ours']:,.0f}",
            beside=f"{one['raw']:,.0f} {buses[bus][1]} of the same bytes: {one['ratio']:.2f} of it",
        )
        for bus, one in found.items()
    ]


def _streams(found: dict[str, Any]) -> Figure:
    most = max(found["alone"]["open"], found["alone"]["after"])
    alone, mounted = ((found[where]["open"] - found[where]["start"]) / _MEBIBYTE for where in ("alone", "mounted"))
    return Figure(
        name=f"memory of the web client's process with {found['streams']} open streams",
        value=f"{most / _MEBIBYTE:,.0f} MiB",
        beside=f"{alone:,.0f} MiB more than before; {mounted:,.0f} MiB more where the services are in the process",
        limit=f"{bench_streams.LIMIT / _MEBIBYTE:,.0f} MiB",
        kept=most <= bench_streams.LIMIT and found["alone"]["told"] == found["streams"],
    )


def passed(found: dict[str, Any]) -> bool:
    """Whether every limit is kept."""
    return all(figure.kept is not False for figure in figures(found))


def show(found: dict[str, Any], console: Console) -> None:
    """For people."""
    table = Table(title=found["machine"])
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("beside it")
    table.add_column("limit")
    for figure in figures(found):
        missed = "" if figure.kept is not False else " [bold red]missed[/]"
        table.add_row(figure.name, figure.value, figure.beside, figure.limit + missed)
    console.print(table)
