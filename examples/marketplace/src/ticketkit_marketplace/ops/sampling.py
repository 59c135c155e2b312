"""Looks at the marketplace each second, and keeps what it saw for five minutes: what the page shows and plots."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import BackendError
from ticketkit_marketplace.ops import counters
from ticketkit_marketplace.ops.counters import Counters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from anyio.abc import TaskStatus

    from ticketkit.backends.storage import Totals
    from ticketkit_marketplace.ops.desk import Desk

log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds from look to look."""
KEPT: Final = 300
"""Samples."""
WINDOW: Final = 60.0
"""Seconds over which the 99th percentile is taken: of one second it would jump about."""
MOST_SHARE: Final = 0.05
"""Of the time, that looking may take: where counting takes long, it is done less often."""
LETTERS: Final = 200
"""Most dead letters of the bus that are counted."""
LETTERS_EVERY: Final = 5
"""Samples from one count of them to the next: some buses read them one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was seen at one look.

    Attributes:
        at: When.
        seconds: Since the look before; 0 at the first.
        totals: Of each storage that answered, by its name.
        asked: Requests since the look before, to all processes together.
        conflicts: Those that came too late.
        bounds: How many of them took at most so many seconds; see `counters.quantile`.
        lag: Events that wait for a consumer, by its name.
        to_repair: Payments that need people; None where that is not known.
        sold: Orders completed since the look before; None where that is not known.
        letters: Dead letters of the bus; None where that is not known.
        missing: What could not be looked at, with the reason.
        whole: Whether every storage answered.
    """

    at: datetime
    seconds: float = 0.0
    totals: Mapping[str, Totals] = field(default_factory=dict)
    asked: float | None = None
    conflicts: float | None = None
    bounds: Mapping[float, float] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    to_repair: int | None = None
    sold: int | None = None
    letters: int | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True

    def count(self, kind: str, status: str) -> int | None:
        """Entities of a kind in a state; None where the storage that keeps them did not answer."""
        found = [totals.by_status for totals in self.totals.values() if any(of == kind for of, _ in totals.by_status)]
        if not found and not self.whole:
            return None
        return sum(by_status.get((kind, status), 0) for by_status in found)

    @property
    def unpublished(self) -> int:
        """Events that wait in the outboxes."""
        return sum(totals.unpublished for totals in self.totals.values())

    @property
    def age(self) -> float:
        """Seconds since the oldest of them was committed."""
        times = [totals.oldest for totals in self.totals.values() if totals.oldest is not None]
        return max(0.0, (self.at - min(times)).total_seconds()) if times else 0.0

    @property
    def dead(self) -> int:
        """Dead letters, of outboxes and bus."""
        return sum(totals.dead for totals in self.totals.values()) + (self.letters or 0)

    @property
    def p99(self) -> float | None:
        """Seconds that 99 of 100 requests took at most; None where there was none."""
        return counters.quantile(0.99, self.bounds)

    @property
    def overdue(self) -> int:
        """Locks past their time."""
        return sum(totals.overdue_locks for totals in self.totals.values())

    def rate(self, count: float | None) -> float | None:
        """So many a second; None where that is not known."""
        return None if count is None or not self.seconds else count / self.seconds


class Sampler:
    """Takes samples while it runs.

    Args:
        desk: What to look at.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._before: dict[str, Counters] = {}
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self._taken = 0

    @property
    def latest(self) -> Sample:
        """What was seen last."""
        return self.samples[-1]

    @property
    def counted(self) -> Counters:
        """What the processes have counted since they started."""
        return counters.together(self._before.values())

    def last(self, seconds: float) -> Sequence[Sample]:
        """The samples of so many seconds, oldest first."""
        since = self.latest.at.timestamp() - seconds
        return [sample for sample in self.samples if sample.at.timestamp() > since]

    def p99(self, samples: Sequence[Sample]) -> float | None:
        """Seconds that 99 of 100 requests took at most."""
        return counters.quantile(0.99, counters.added(sample.bounds for sample in samples))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled; has begun once there is a first sample."""
        clock = self._desk.clock
        await self.look()
        task_status.started()
        while True:
            began = anyio.current_time()
            await clock.sleep(EVERY)
            try:
                before = anyio.current_time()
                await self.look()
                took = anyio.current_time() - before
                if took > EVERY * MOST_SHARE:
                    await clock.sleep(max(0.0, took / MOST_SHARE - (anyio.current_time() - began)))
            except Exception:  # the loop of a runner
                log.exception("the operations page could not look at the marketplace")

    async def look(self) -> Sample:
        """Take a sample now."""
        missing: dict[str, str] = {}
        totals = await self._totals(missing)
        counted = await self._counted(missing)
        letters = await self._letters(missing)
        at = self._desk.clock.now()
        before = self.samples[-1] if self.samples else None
        sample = Sample(
            at=at,
            totals=totals,
            lag={} if counted is None else counted.lag,
            to_repair=None if counted is None else counted.to_repair,
            letters=letters,
            missing=missing,
            whole=len(totals) == len(self._desk.storages),
        )
        if before is not None:
            sample = replace(
                sample,
                seconds=(at - before.at).total_seconds(),
                asked=None if counted is None else counted.asked,
                conflicts=None if counted is None else counted.conflicts,
                bounds={} if counted is None else counted.bounds,
                sold=_sold(before, sample),
            )
        self._taken += 1
        self.samples.append(sample)
        return sample

    async def _totals(self, missing: dict[str, str]) -> dict[str, Totals]:
        found = {}
        for name, storage in self._desk.storages.items():
            try:
                found[name] = await storage.totals()
            except BackendError as error:
                missing[f"storage of {name.replace('+', ', ')}"] = str(error)
        return found

    async def _counted(self, missing: dict[str, str]) -> Counters | None:
        """What was counted since the look before; None where no process answers."""
        changes = []
        for name, exposition in self._desk.expositions.items():
            try:
                now = counters.read(await exposition())
            except (BackendError, ValueError) as error:
                missing[f"numbers of {name}"] = str(error)
                continue
            changes.append(now.since(self._before.get(name)))
            self._before[name] = now
        return counters.together(changes) if changes else None

    async def _letters(self, missing: dict[str, str]) -> int | None:
        if self._taken % LETTERS_EVERY and self.samples:
            return self.latest.letters
        try:
            return len(await self._desk.bus.dead_letters(LETTERS))
        except BackendError as error:
            missing["bus"] = str(error)
            return None


def _sold(before: Sample, now: Sample) -> int | None:
    then, since = before.count("order", "completed"), now.count("order", "completed")
    return None if then is None or since is None else max(0, since - then)
