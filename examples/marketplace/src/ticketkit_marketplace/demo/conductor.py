"""Plays the demonstration through: starts the system, drives it over HTTP, stops it, and checks the books."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain.entities import CancelReason, OrderStatus, TicketStatus
from ticketkit.memory import read_books
from ticketkit.plugins import Plugins
from ticketkit_marketplace.demo.buyers import Account, Rush, Tally, sign_up
from ticketkit_marketplace.demo.invariants import Finding, Snapshot, check, check_file, snapshot
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

LISTING_LIMIT: Final = 20.0
"""Seconds for listing a week of tickets through `POST /api/tickets/batch`."""
ORDER_LIMIT: Final = 0.25
"""Seconds, 99th percentile, of `POST /api/orders`."""
BATCH: Final = 1_000
_PAGE: Final = 100
_SETTLE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is played.

    Attributes:
        data: Data folder.
        tickets: The cheapest so many of the show.
        listed: Tickets that a second seller lists first, through the API.
        show: The live event that all go for; all shows are on sale, unless `shows` names some.
        hold: Seconds of a lock.
        grace: Seconds added when a payment began in time.
        kill: Whether the server is killed in the middle.
        seconds: Bound of the rush.
        connections: Of all buyers together: a buyer who finds none free waits, as at a slow network.
        seed: The same seed makes the same buyers.
    """

    data: Path
    buyers: int = 1_000
    tickets: int = 200
    listed: int = 34_662
    show: str = "Hamilton"
    shows: tuple[str, ...] = ()
    hold: float = 4.0
    grace: float = 4.0
    kill: bool = False
    seconds: float = 150.0
    connections: int = 32
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        tally: As the buyers saw it.
        found: The state at the end.
        findings: The invariants.
        start_seconds: From the start of the process until it answered, with the import.
        listing_seconds: For `Plan.listed` tickets through the API.
        rush_seconds: From the first order to the last ticket.
        restart_seconds: After the kill, until it answered again.
        rss: Resident memory of the server at the end, bytes.
    """

    plan: Plan
    tally: Tally
    found: Snapshot
    findings: list[Finding]
    start_seconds: float
    listing_seconds: float
    rush_seconds: float
    restart_seconds: float | None
    rss: int

    @property
    def sold(self) -> int:
        """Tickets sold."""
        return sum(ticket.status is TicketStatus.SOLD for ticket in self.found.tickets.values())

    @property
    def ends(self) -> Counter[str]:
        """How orders ended: their status, or why they were cancelled."""
        return Counter((order.reason or order.status).value for order in self.found.orders.values())

    @property
    def expired(self) -> int:
        """Orders whose lock ran out."""
        return self.ends[CancelReason.EXPIRED.value] + self.ends[CancelReason.TAKEN_OVER.value]

    @property
    def completed(self) -> int:
        """Orders that were paid."""
        return self.ends[OrderStatus.COMPLETED.value]


@dataclass(slots=True)
class Stage:
    """Tells whoever watches how far it is; by default nobody."""

    begin: Callable[[str, int | None], None] = field(default=lambda what, total: None)  # noqa: ARG005
    step: Callable[[int], None] = field(default=lambda done: None)  # noqa: ARG005


def percentile(values: list[float], share: float) -> float:
    """A percentile by nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def perform(plan: Plan, stage: Stage | None = None) -> Outcome:
    """Play it through.

    Raises:
        DidNotStart: The marketplace did not start.
    """
    stage = stage or Stage()
    process = Process(plan.data, environment=_settings(plan), arguments=_shows(plan))
    try:
        stage.begin("Starting the marketplace, which lists the Broadway week", None)
        began = perf_counter()
        await asyncio.to_thread(process.start)
        started = perf_counter() - began
        return await _perform(plan, stage, process, started)
    finally:
        process.kill()


async def _perform(plan: Plan, stage: Stage, process: Process, started: float) -> Outcome:
    wire = Wire(process.host, process.port, connections=plan.connections)
    listing = await _list(plan, stage, wire)
    rush = await _find_tickets(plan, wire)
    stage.begin(f"Signing {plan.buyers:,} buyers up", plan.buyers)
    accounts = await sign_up(wire, plan.buyers, prefix="buyer", on_step=stage.step)
    stage.begin(f"{plan.buyers:,} buyers go for {len(rush.wanted):,} tickets", len(rush.wanted))
    began = perf_counter()
    restart = await _rush(plan, stage, rush, accounts, process)
    rush_seconds = perf_counter() - began
    stage.begin("Waiting for the last locks to end", None)
    await _settled(plan)
    rss = process.rss()
    wire.close()
    stage.begin("Stopping the marketplace, and checking the books", None)
    status = await asyncio.to_thread(process.stop)
    found = await read(plan.data, acknowledged=rush.tally.acknowledged, paid=rush.tally.paid)
    stopped = Finding("The marketplace drains and exits 0", 1, () if status == 0 else (f"it exited {status}",))
    all_sold = _all_sold(found, rush)
    explained = Finding("Every answer was an expected one", len(rush.tally.orders), tuple(rush.tally.unexpected))
    return Outcome(
        plan=plan,
        tally=rush.tally,
        found=found,
        findings=[*check(found), *check_file(plan.data / "ticketkit.db"), all_sold, explained, stopped],
        start_seconds=started,
        listing_seconds=listing,
        rush_seconds=rush_seconds,
        restart_seconds=restart,
        rss=rss,
    )


async def read(data: Path, *, acknowledged: set[str], paid: set[str]) -> Snapshot:
    """Reopen the database of a marketplace that has stopped, and read it with the provider's books."""
    plugins = Plugins.load()
    async with plugins.open(BackendKind.STORAGE, f"sqlite:///{data / 'ticketkit.db'}", Context()) as storage:
        books = read_books(data / "fake-payments.jsonl")
        return await snapshot(storage, books, acknowledged=acknowledged, paid=paid)


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "TICKETKIT_HOLD": str(plan.hold),
        "TICKETKIT_PAYMENT_GRACE": str(plan.grace),
        "TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "1000000",  # all buyers are at one address
    }


def _shows(plan: Plan) -> list[str]:
    return [word for name in plan.shows for word in ("--show", name)]


async def _list(plan: Plan, stage: Stage, wire: Wire) -> float:
    """A second seller lists tickets through the API; seconds that it took."""
    stage.begin(f"Listing {plan.listed:,} more tickets through the API", plan.listed)
    (seller,) = await sign_up(wire, 1, prefix="seller", on_step=lambda _: None)
    event = {"name": "Rehearsal", "venue": "Off Broadway", "startsAt": "2099-12-31T20:00:00Z"}
    created = await wire.request("POST", "/api/events", event, cookie=seller.cookie)
    event_id = created.json()["id"]
    began = perf_counter()
    for first in range(0, plan.listed, BATCH):
        rows = [
            {"title": "Rehearsal", "price": 10, "currency": "USD", "eventId": event_id, "seat": f"Seat {number + 1}"}
            for number in range(first, min(first + BATCH, plan.listed))
        ]
        answer = await wire.request("POST", "/api/tickets/batch", {"tickets": rows}, cookie=seller.cookie)
        if answer.status != 201:  # noqa: PLR2004
            msg = f"A batch was answered with {answer.status} {answer.code}."
            raise RuntimeError(msg)
        stage.step(first + len(rows))
    return perf_counter() - began


async def _find_tickets(plan: Plan, wire: Wire) -> Rush:
    found = (await wire.request("GET", f"/api/events?q={quote(plan.show)}")).json()
    event_id = next(event["id"] for event in found if event["name"] == plan.show)
    path = f"/api/events/{event_id}/tickets?sort=price&limit={_PAGE}"
    tickets: list[dict[str, Any]] = []
    while len(tickets) < plan.tickets:
        page = await wire.request("GET", path)
        tickets += page.json()
        if 'rel="next"' not in page.headers.get("link", ""):
            break
        path = wire.local(page.headers["link"])
    wanted = tickets[: plan.tickets]
    return Rush(
        wire=wire,
        event_id=event_id,
        wanted=frozenset(ticket["id"] for ticket in wanted),
        highest=wanted[-1]["price"],
        hold=plan.hold,
        seed=plan.seed,
    )


async def _rush(plan: Plan, stage: Stage, rush: Rush, accounts: list[Account], process: Process) -> float | None:
    """The rush, with the kill in its middle if that is wanted; seconds that the restart took."""
    restart: float | None = None

    async def watch() -> None:
        nonlocal restart
        while True:
            stage.step(len(rush.tally.paid))
            if plan.kill and restart is None and len(rush.tally.paid) >= len(rush.wanted) * 0.3:
                await asyncio.to_thread(process.kill)
                began = perf_counter()
                await asyncio.to_thread(process.start)
                restart = perf_counter() - began
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await rush.run(accounts, seconds=plan.seconds)
        watching.cancel()
    return restart


async def _settled(plan: Plan) -> None:
    """Wait until no order is open, at most a minute: walked-away buyers leave locks that have to end."""
    open_orders = "SELECT count(*) FROM ticketkit_orders WHERE status IN ('created', 'awaiting_payment')"
    with closing(sqlite3.connect(f"file:{plan.data / 'ticketkit.db'}?mode=ro", uri=True)) as database:
        async with asyncio.timeout(_SETTLE):
            while database.execute(open_orders).fetchone() != (0,):  # noqa: ASYNC110 - another process ends them
                await asyncio.sleep(0.1)


def _all_sold(found: Snapshot, rush: Rush) -> Finding:
    left = [id for id in rush.wanted if found.tickets[id].status is not TicketStatus.SOLD]
    wrong = tuple(f"ticket {id} is {found.tickets[id].status}" for id in left)
    return Finding(f"All {len(rush.wanted)} tickets are sold", len(rush.wanted), wrong)
