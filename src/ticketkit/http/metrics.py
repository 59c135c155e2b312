"""Numbers for Prometheus: a registry for each app, so that two in one process don't mix."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ticketkit.backends.storage import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts requests, and shows the totals of the storages."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "ticketkit_http_requests",
            "HTTP requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ticketkit_http_request_seconds",
            "Duration of HTTP requests by route and method.",
            ("route", "method"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._entities = self._gauge("entities", "Entities by kind and status.", "kind", "status")
        self._unpublished = self._gauge("outbox_unpublished", "Events still to be published.")
        self._age = self._gauge("outbox_age_seconds", "Age of the oldest unpublished event.")
        self._dead = self._gauge("outbox_dead", "Events that could not be published.")
        self._overdue = self._gauge("overdue_locks", "Open orders past their time.")
        self._to_repair = Gauge(
            "ticketkit_payments_to_repair",
            "Charges and refunds that need people.",
            ("provider",),
            registry=self.registry,
        )
        self._lag = Gauge(
            "ticketkit_consumer_lag",
            "Events that a consumer has still to handle.",
            ("consumer",),
            registry=self.registry,
        )
        # What `labels` finds by its values on each call, kept.
        self._known: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (route or "unknown", method if method in METHODS else "other", status)
        found = self._known.get(key)
        if found is None:
            counter, histogram = self._requests.labels(*key), self._seconds.labels(*key[:2])
            found = self._known[key] = (counter.inc, histogram.observe)
        count, observe = found
        count()
        observe(seconds)

    def exposition(
        self,
        totals: Mapping[str, Totals],
        now: datetime,
        *,
        to_repair: Mapping[str, int] | None = None,
        lag: Mapping[str, int] | None = None,
    ) -> bytes:
        """All numbers, in Prometheus' text format.

        Args:
            totals: Of each storage.
            now: For the age of events.
            to_repair: Charges and refunds that need people, by payment provider; none where payments does not run.
            lag: Events that each consumer has still to handle; none where the bus does not say.
        """
        self._entities.clear()
        for storage, found in totals.items():
            for (kind, status), count in found.by_status.items():
                self._entities.labels(storage, kind, status).set(count)
            self._unpublished.labels(storage).set(found.unpublished)
            self._age.labels(storage).set((now - found.oldest).total_seconds() if found.oldest else 0)
            self._dead.labels(storage).set(found.dead)
            self._overdue.labels(storage).set(found.overdue_locks)
        for provider, count in (to_repair or {}).items():
            self._to_repair.labels(provider).set(count)
        self._lag.clear()
        for consumer, count in (lag or {}).items():
            self._lag.labels(consumer).set(count)
        return generate_latest(self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"ticketkit_{name}", what, ("storage", *labels), registry=self.registry)
