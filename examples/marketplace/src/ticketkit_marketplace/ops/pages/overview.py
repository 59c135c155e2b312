"""What goes on: every number with its plot, and where its rows are; requests by route; consumers and outboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ticketkit.backends.errors import BackendError
from ticketkit_marketplace.ops import counters, plots
from ticketkit_marketplace.ops.sampling import LETTERS, WINDOW
from ticketkit_marketplace.ops.visit import HOME, Page, Visit
from ticketkit_marketplace.ops.wording import NONE, duration, left, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from markupsafe import Markup
    from starlette.responses import Response

    from ticketkit.backends.storage import KeptEvent
    from ticketkit_marketplace.ops.sampling import Sample

ORDERS: Final = {
    "created": "Waiting for payment",
    "awaiting_payment": "Being paid",
    "completed": "Paid",
    "cancelled": "Over",
}
"""States of orders for people."""
SHORT: Final = 10.0
"""Seconds over which a rate is taken: of one second it would be 0 most of the time."""
MOST_WAITING: Final = 50
"""Unpublished events that are shown."""
OLD: Final = 10.0
"""Seconds that an event may wait in the outbox before people should look."""


class Tile(NamedTuple):
    """One number.

    Attributes:
        value: For people.
        about: What it is.
        more: A further line; may be empty.
        plot: Of the last minutes.
        rows: Where its rows are.
        bad: People should look.
    """

    id: str
    value: str
    about: str
    more: str
    plot: Markup | None
    rows: str
    bad: bool = False


async def overview(visit: Visit) -> Response:
    """All numbers."""
    sampler = visit.sampler
    samples = list(sampler.samples)
    latest = samples[-1]
    tiles = [*_orders(samples), await _locks(visit, samples), *_traffic(visit, samples), *_events(samples)]
    return visit.page(
        "overview.html",
        tiles=tiles,
        latest=latest,
        troubles=_troubles(latest),
        over=duration((latest.at - samples[0].at).total_seconds()) if len(samples) > 1 else "",
    )


async def traffic(visit: Visit) -> Response:
    """Requests by route, since the processes started."""
    counted = visit.sampler.counted
    rows = []
    for route in counted.routes:
        mine = counted.of(route)
        rows.append((route, int(mine.asked), int(mine.conflicts), counters.quantile(0.99, mine.bounds)))
    rows.sort(key=lambda row: -row[1])
    return visit.page("traffic.html", rows=rows, latest=visit.sampler.latest, sources=list(visit.desk.expositions))


async def flow(visit: Visit) -> Response:
    """Outboxes and consumers: where events wait."""
    latest = visit.sampler.latest
    boxes = [
        (name.replace("+", ", "), totals, _age(latest.at, totals.oldest)) for name, totals in latest.totals.items()
    ]
    waiting, missing = await _waiting(visit)
    return visit.page(
        "flow.html",
        latest=latest,
        boxes=boxes,
        lag=sorted(latest.lag.items()),
        waiting=waiting,
        more=sum(totals.unpublished for totals in latest.totals.values()) > len(waiting),
        missing=missing,
    )


async def _waiting(visit: Visit) -> tuple[list[tuple[str, KeptEvent, float]], list[str]]:
    """The oldest unpublished events with their storage and age, and the storages that can't be asked."""
    found: list[tuple[str, KeptEvent, float]] = []
    missing: list[str] = []
    now = visit.desk.clock.now()
    for name, storage in visit.desk.storages.items():
        try:
            kept = await storage.waiting_events(MOST_WAITING)
        except BackendError:
            missing.append(name.replace("+", ", "))
        else:
            found += [(name.replace("+", ", "), one, _age(now, one.event.time)) for one in kept]
    found.sort(key=lambda row: -row[2])
    return found[:MOST_WAITING], missing


def _orders(samples: Sequence[Sample]) -> list[Tile]:
    def tile(status: str, label: str) -> Tile:
        return Tile(
            id=status,
            value=_count(samples[-1].count("order", status)),
            about=f"orders: {label.lower()}",
            more="",
            plot=_plot(samples, lambda sample: sample.count("order", status), f"Orders, {label.lower()}"),
            rows=f"{HOME}/orders?state={status}",
        )

    return [tile(status, label) for status, label in ORDERS.items()]


async def _locks(visit: Visit, samples: Sequence[Sample]) -> Tile:
    latest = samples[-1]
    try:
        first = (await visit.desk.operations.locks(limit=1)).items
        more = f"the next ends in {left(first[0].expires_at, visit.desk.clock.now())}" if first else "none"
    except BackendError:
        more = "it is not known when the next one ends"
    locked = latest.count("ticket", "locked")
    if latest.overdue:
        more = f"{latest.overdue:,} past their time; {more}"
    return Tile(
        id="locks",
        value=_count(locked),
        about="tickets locked",
        more=more.replace("ends in over for", "is over for").replace(" left", ""),
        plot=_plot(samples, lambda sample: sample.count("ticket", "locked"), "Tickets locked"),
        rows=f"{HOME}/locks",
    )


def _traffic(visit: Visit, samples: Sequence[Sample]) -> list[Tile]:
    recent = visit.sampler.last(SHORT)
    p99 = visit.sampler.p99(visit.sampler.last(WINDOW))
    return [
        Tile(
            id="sales",
            value=_rate(recent, lambda sample: sample.sold),
            about="orders paid a second",
            more=f"over {SHORT:.0f} s",
            plot=_plot(samples, lambda sample: sample.rate(sample.sold), "Orders paid a second"),
            rows=f"{HOME}/orders?state=completed",
        ),
        Tile(
            id="conflicts",
            value=_rate(recent, lambda sample: sample.conflicts),
            about="conflicts a second",
            more="answers 409: somebody was faster",
            plot=_plot(samples, lambda sample: sample.rate(sample.conflicts), "Conflicts a second"),
            rows=f"{HOME}/traffic",
        ),
        Tile(
            id="p99",
            value=seconds(p99),
            about="99 % of requests took at most",
            more=f"over {WINDOW:.0f} s; {_rate(recent, lambda sample: sample.asked)} requests a second",
            plot=_plot(samples, _held(lambda sample: sample.p99), "99 % of requests took at most", " s"),
            rows=f"{HOME}/traffic",
        ),
    ]


def _events(samples: Sequence[Sample]) -> list[Tile]:
    latest = samples[-1]
    lag = latest.lag
    repairs = latest.to_repair
    tiles = [
        Tile(
            id="outbox",
            value=duration(latest.age),
            about="age of the oldest unpublished event",
            more=f"{latest.unpublished:,} unpublished",
            plot=_plot(samples, lambda sample: sample.age, "Age of the oldest unpublished event", " s"),
            rows=f"{HOME}/flow",
            bad=latest.age > OLD,
        ),
        Tile(
            id="dead",
            value=_most(latest),
            about="dead letters",
            more="events that could not be published or handled",
            plot=None,
            rows=f"{HOME}/dead-letters",
            bad=latest.dead > 0,
        ),
        Tile(
            id="repairs",
            value=_count(repairs),
            about="payments that need people",
            more="" if repairs is not None else "no process of payments says its numbers",
            plot=None,
            rows=f"{HOME}/payments",
            bad=bool(repairs),
        ),
    ]
    if lag:
        behind = Tile(
            id="lag",
            value=_count(int(sum(lag.values()))),
            about="events that wait for consumers",
            more=", ".join(f"{name} {plots.number(count)}" for name, count in sorted(lag.items())),
            plot=_plot(samples, lambda sample: sum(sample.lag.values()), "Events that wait for consumers"),
            rows=f"{HOME}/flow",
        )
        tiles.insert(1, behind)
    return tiles


def _troubles(latest: Sample) -> list[tuple[str, str]]:
    """What people should look at: a sentence, and where."""
    found = [(f"The {name} can't be read: {why}", "") for name, why in latest.missing.items()]
    if latest.dead:
        some = "A dead letter waits" if latest.dead == 1 else f"{_most(latest)} dead letters wait"
        found.append((f"{some} for a decision.", f"{HOME}/dead-letters"))
    if latest.to_repair:
        some = "A payment needs" if latest.to_repair == 1 else f"{latest.to_repair:,} payments need"
        found.append((f"{some} people.", f"{HOME}/payments"))
    if latest.age > OLD:
        found.append((f"An event waits for {duration(latest.age)} to be published.", f"{HOME}/flow"))
    return found


def _plot(samples: Sequence[Sample], value: Callable[[Sample], Any], what: str, unit: str = "") -> Markup:
    span = duration((samples[-1].at - samples[0].at).total_seconds())
    return plots.line([value(sample) for sample in samples], what=what, unit=unit, over=f" in the last {span}")


def _held(value: Callable[[Sample], float | None]) -> Callable[[Sample], float | None]:
    """The value before, where there is none: nobody asked in that second."""
    last: float | None = None

    def held(sample: Sample) -> float | None:
        nonlocal last
        last = value(sample) if value(sample) is not None else last
        return last

    return held


def _rate(samples: Sequence[Sample], value: Callable[[Sample], float | None]) -> str:
    known = [(count, sample.seconds) for sample in samples if (count := value(sample)) is not None and sample.seconds]
    span = sum(seconds for _, seconds in known)
    return f"{sum(count for count, _ in known) / span:.1f}" if span else NONE


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _most(latest: Sample) -> str:
    return f"{latest.dead:,}" + (" or more" if latest.letters == LETTERS else "")


def _age(now: datetime, oldest: datetime | None) -> float:
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


PAGES: Final = (
    Page(path="", show=overview),
    Page(path="/traffic", show=traffic),
    Page(path="/flow", show=flow),
)
"""The pages of this subject."""
