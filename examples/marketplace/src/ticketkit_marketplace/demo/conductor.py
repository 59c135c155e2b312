"""Plays the demonstration through: starts the system, drives it over HTTP, stops it, and checks the books."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind, Context
from ticketkit.domain.entities import CancelReason, Charge, ChargeStatus, Order, OrderCopy, OrderStatus, TicketStatus
from ticketkit.plugins import Plugins
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit_marketplace.combinations import COMBINATIONS
from ticketkit_marketplace.demo.buyers import Account, Rush, Tally, sign_up
from ticketkit_marketplace.demo.invariants import Finding, Snapshot, check, every, snapshot, stale, together
from ticketkit_marketplace.demo.plain_sql import check_plainly
from ticketkit_marketplace.demo.system import Shape, System, built
from ticketkit_marketplace.demo.till import closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from ticketkit.backends.storage import Storage
    from ticketkit_marketplace.demo.wire import Wire

LISTING_LIMIT: Final = 20.0
"""Seconds for listing a week of tickets through `POST /api/tickets/batch`."""
ORDER_LIMIT: Final = 0.25
"""Seconds, 99th percentile, of `POST /api/orders`."""
BATCH: Final = 1_000
_PAGE: Final = 100
_SETTLE: Final = 90.0
"""Seconds: what a consumer had that was killed comes again after 30."""
_PUBLISH: Final = 300.0
"""Seconds: a bus that writes each of 70,000 events through before it says so takes its time."""
_LOOK: Final = 0.2
_KILLS: Final = {
    Shape.ONE: ((0.3, "marketplace"),),
    Shape.FIVE: ((0.3, ServiceName.ORDERS.value), (0.5, ServiceName.PAYMENTS.value)),
}
"""Which process is killed when so large a share of the tickets is paid."""
_KILL_SERVERS: Final = 0.4
"""The same of databases and buses."""


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
        backends: Name of the combination.
        processes: All services in one, or each in its own.
        named: Backends that are there already, by setting; the others of the combination are started.
        kill: Whether processes of the marketplace are killed in the middle.
        kill_server: Whether databases and buses are.
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
    backends: str = "sqlite"
    processes: Shape = Shape.ONE
    named: Mapping[str, str] = field(default_factory=dict)
    kill: bool = False
    kill_server: bool = False
    seconds: float = 150.0
    connections: int = 32
    seed: int = 1

    @property
    def disturbed(self) -> bool:
        """Whether anything is killed."""
        return self.kill or self.kill_server

    @property
    def limited(self) -> bool:
        """Whether limits apply: the figures of PostgreSQL, buses and five processes depend on the machine far more."""
        return self.backends == "sqlite" and self.processes is Shape.ONE


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
        restart_seconds: After the kills of processes, until they answered again.
        servers_seconds: After the kill of databases and buses, until they answered again.
        rss: Resident memory of all processes at the end, bytes.
    """

    plan: Plan
    tally: Tally
    found: Snapshot
    findings: list[Finding]
    start_seconds: float
    listing_seconds: float
    rush_seconds: float
    restart_seconds: float | None
    servers_seconds: float | None
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
        Misconfigured: There is no server to kill, or a storage is not empty.
    """
    stage = stage or Stage()
    stage.begin(f"Starting {COMBINATIONS[plan.backends].what}", None)
    with built(
        plan.backends, plan.processes, plan.data, settings=_settings(plan), named=plan.named, shows=plan.shows
    ) as system:
        if plan.kill_server and not system.servers:
            msg = "There is no server of the demonstration's own that --kill-server could kill."
            raise Misconfigured(msg)
        async with _looking(system) as storages:
            stage.begin("Starting the marketplace, which lists the Broadway week", None)
            began = perf_counter()
            await system.start()
            started = perf_counter() - began
            return await _perform(plan, stage, system, storages, started)


async def _perform(
    plan: Plan, stage: Stage, system: System, storages: Mapping[Boundary, Storage], started: float
) -> Outcome:
    wire = system.wire(connections=plan.connections)
    listing = await _list(plan, stage, wire)
    rush = await _find_tickets(plan, wire)
    stage.begin(f"Signing {plan.buyers:,} buyers up", plan.buyers)
    accounts = await sign_up(wire, plan.buyers, prefix="buyer", on_step=stage.step)
    stage.begin("Waiting until everything that was listed is published", None)
    await _until(partial(_published, storages), seconds=_PUBLISH)
    stage.begin(f"{plan.buyers:,} buyers go for {len(rush.wanted):,} tickets", len(rush.wanted))
    began = perf_counter()
    disturbance = await _rush(plan, stage, rush, accounts, system)
    rush_seconds = perf_counter() - began
    stage.begin("Waiting for the last locks to end and the last events to be handled", None)
    await _until(partial(_still, storages), seconds=_SETTLE)
    rss = system.rss()
    wire.close()
    books, told = await closed(system)
    stage.begin("Stopping the marketplace, and checking the books", None)
    unclean = await system.stop()
    found = await snapshot(
        storages,
        books,
        letters=await _dead_letters(system.bus),
        acknowledged=rush.tally.acknowledged,
        paid=rush.tally.paid,
    )
    findings = [
        *check(found),
        *told,
        *await check_plainly(system.databases),
        _all_sold(found, rush),
        Finding("Every answer was an expected one", len(rush.tally.orders), tuple(rush.tally.unexpected)),
        Finding("The marketplace drains and exits 0", len(system.processes), tuple(unclean)),
    ]
    return Outcome(
        plan=plan,
        tally=rush.tally,
        found=found,
        findings=findings,
        start_seconds=started,
        listing_seconds=listing,
        rush_seconds=rush_seconds,
        restart_seconds=disturbance.processes,
        servers_seconds=disturbance.servers,
        rss=rss,
    )


@asynccontextmanager
async def _looking(system: System) -> AsyncIterator[dict[Boundary, Storage]]:
    """Open the storages beside the marketplace; they must be empty.

    Raises:
        Misconfigured: One is not.
    """
    plugins = Plugins.load()
    async with AsyncExitStack() as stack:
        by_url: dict[str, Storage] = {}
        for url in dict.fromkeys(system.databases.values()):
            by_url[url] = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, url, Context()))
            if (await by_url[url].totals()).by_status:
                msg = "The storage is not empty, and a demonstration begins with nothing. Name another one."
                raise Misconfigured(msg)
        yield {boundary: by_url[url] for boundary, url in system.databases.items()}


async def _dead_letters(bus: str | None) -> int:
    """Of a bus between processes; one inside the process leaves them in the outbox."""
    if bus is None:
        return 0
    async with Plugins.load().open(BackendKind.BUS, bus, Context()) as opened:
        return len(await opened.dead_letters(1_000))


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "TICKETKIT_HOLD": str(plan.hold),
        "TICKETKIT_PAYMENT_GRACE": str(plan.grace),
        "TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "1000000",  # all buyers are at one address
    }


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
        patient=plan.kill_server,
        seed=plan.seed,
    )


@dataclass(slots=True)
class _Disturbance:
    """Seconds until what was killed answered again; None when nothing was."""

    processes: float | None = None
    servers: float | None = None


async def _rush(plan: Plan, stage: Stage, rush: Rush, accounts: list[Account], system: System) -> _Disturbance:
    """The rush, with the kills in its middle if they are wanted."""
    found = _Disturbance()
    kills = list(_KILLS[plan.processes]) if plan.kill else []

    async def watch() -> None:
        while True:
            stage.step(len(rush.tally.paid))
            share = len(rush.tally.paid) / len(rush.wanted)
            began = perf_counter()
            if kills and share >= kills[0][0]:
                await system.kill(kills.pop(0)[1])
                found.processes = (found.processes or 0.0) + perf_counter() - began
            elif plan.kill_server and found.servers is None and share >= _KILL_SERVERS:
                await system.kill_servers()
                found.servers = perf_counter() - began
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await rush.run(accounts, seconds=plan.seconds)
        watching.cancel()
    return found


async def _until(look: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Wait until it is so; what is still missing when the time is over, the invariants name."""
    try:
        async with asyncio.timeout(seconds):
            while not await look():  # noqa: ASYNC110 - other processes make it so
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        return


async def _published(storages: Mapping[Boundary, Storage]) -> bool:
    return not together([await storage.totals() for storage in set(storages.values())]).unpublished


async def _still(storages: Mapping[Boundary, Storage]) -> bool:
    """Whether no order or charge is open, every event is on its way, and whoever keeps a copy has heard of it."""
    totals = together([await storage.totals() for storage in set(storages.values())])
    open_orders = any(totals.by_status.get((Order.KIND, status)) for status in OrderStatus if not status.final)
    open_charges = any(totals.by_status.get((Charge.KIND, status)) for status in ChargeStatus if not status.final)
    if totals.unpublished or open_orders or open_charges:
        return False
    payments = storages[Boundary.PAYMENTS]
    if any(charge.owes_void for charge in (await every(payments, Charge)).values()):
        return False
    return not stale(await every(storages[Boundary.INVENTORY], Order), await every(payments, OrderCopy))


def _all_sold(found: Snapshot, rush: Rush) -> Finding:
    left = [id for id in rush.wanted if found.tickets[id].status is not TicketStatus.SOLD]
    wrong = tuple(f"ticket {id} is {found.tickets[id].status}" for id in left)
    return Finding(f"All {len(rush.wanted)} tickets are sold", len(rush.wanted), wrong)
