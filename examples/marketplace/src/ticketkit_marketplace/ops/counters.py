"""What services have counted since they started, from their `/metrics`; and what was counted between two readings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.samples import Sample

CONFLICT: Final = "409"
"""Status of who was too late."""
NOT_COUNTED: Final = frozenset({"/metrics", "/healthz", "/readyz"})
"""Routes that nobody waits for."""


class Route(NamedTuple):
    """What was asked for."""

    path: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What one process has counted.

    Attributes:
        requests: By route and status.
        buckets: Requests that took at most so many seconds, by route and bound.
        lag: Events that wait for a consumer, by its name.
        to_repair: Payments that need people; None where payments does not run.
    """

    requests: Mapping[tuple[Route, str], float] = field(default_factory=dict)
    buckets: Mapping[tuple[Route, float], float] = field(default_factory=dict)
    lag: Mapping[str, float] = field(default_factory=dict)
    to_repair: int | None = None

    def since(self, before: Counters | None) -> Counters:
        """What was counted after an earlier reading; of a process that was started anew in between, everything."""
        if before is None:
            return Counters(lag=self.lag, to_repair=self.to_repair)
        return Counters(
            requests={key: _more(count, before.requests.get(key, 0)) for key, count in self.requests.items()},
            buckets={key: _more(count, before.buckets.get(key, 0)) for key, count in self.buckets.items()},
            lag=self.lag,
            to_repair=self.to_repair,
        )

    @property
    def bounds(self) -> dict[float, float]:
        """Requests that took at most so many seconds, whatever they asked for."""
        return added({bound: count} for (_, bound), count in self.buckets.items())

    @property
    def asked(self) -> float:
        """Requests, whatever the answer."""
        return sum(self.requests.values())

    @property
    def conflicts(self) -> float:
        """Requests that came too late."""
        return sum(count for (_, status), count in self.requests.items() if status == CONFLICT)

    def of(self, route: Route) -> Counters:
        """Those of one route."""
        return Counters(
            requests={key: count for key, count in self.requests.items() if key[0] == route},
            buckets={key: count for key, count in self.buckets.items() if key[0] == route},
        )

    @property
    def routes(self) -> list[Route]:
        """Those that were asked for, sorted."""
        return sorted({route for route, _ in self.requests})


def read(text: str) -> Counters:
    """Read an exposition in Prometheus' text format.

    Raises:
        ValueError: It is none.
    """
    requests: dict[tuple[Route, str], float] = {}
    buckets: dict[tuple[Route, float], float] = {}
    lag: dict[str, float] = {}
    repairs: list[float] = []
    for sample in _samples(text):
        labels = sample.labels
        match sample.name:
            case "ticketkit_http_requests_total" if labels["route"] not in NOT_COUNTED:
                requests[Route(labels["route"], labels["method"]), labels["status"]] = sample.value
            case "ticketkit_http_request_seconds_bucket" if labels["route"] not in NOT_COUNTED:
                buckets[Route(labels["route"], labels["method"]), float(labels["le"])] = sample.value
            case "ticketkit_consumer_lag":
                name = next((labels[name] for name in ("consumer", "group") if name in labels), "all")
                lag[name] = sample.value
            case "ticketkit_payments_to_repair":
                repairs.append(sample.value)
    return Counters(requests=requests, buckets=buckets, lag=lag, to_repair=int(sum(repairs)) if repairs else None)


def together(counters: Iterable[Counters]) -> Counters:
    """The sum of what several processes counted; of what they all see (lags, payments to repair) the largest."""
    requests: dict[tuple[Route, str], float] = defaultdict(float)
    buckets: dict[tuple[Route, float], float] = defaultdict(float)
    lag: dict[str, float] = {}
    repairs: list[int] = []
    for one in counters:
        for asked, count in one.requests.items():
            requests[asked] += count
        for bound, count in one.buckets.items():
            buckets[bound] += count
        for name, behind in one.lag.items():
            lag[name] = max(behind, lag.get(name, 0))
        if one.to_repair is not None:
            repairs.append(one.to_repair)
    return Counters(requests=requests, buckets=buckets, lag=lag, to_repair=max(repairs, default=None))


def added(bounds: Iterable[Mapping[float, float]]) -> dict[float, float]:
    """The sum of counts by bound."""
    found: dict[float, float] = defaultdict(float)
    for one in bounds:
        for bound, count in one.items():
            found[bound] += count
    return dict(found)


def quantile(share: float, by_bound: Mapping[float, float]) -> float | None:
    """Seconds that a share of the requests took at most, as Prometheus' `histogram_quantile` says it; None of none.

    Within a bucket it is taken to be even; beyond the last bound, it is that bound.

    Args:
        share: 0 to 1.
        by_bound: Requests that took at most so many seconds.
    """
    bounds = sorted(by_bound)
    total = by_bound[bounds[-1]] if bounds else 0
    if not total:
        return None
    wanted = share * total
    below, lower = 0.0, 0.0
    for bound in bounds:
        if by_bound[bound] >= wanted:
            if bound == float("inf"):
                return lower
            inside = by_bound[bound] - below
            return lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)
        below, lower = by_bound[bound], bound
    return lower


def _samples(text: str) -> Iterable[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def _more(now: float, before: float) -> float:
    return now - before if now >= before else now
