"""The relay: from a storage's outbox to the bus."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from opentelemetry.trace import SpanKind

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.runtime.backoff import after
from ticketkit.runtime.jobs import repeat
from ticketkit.services.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.clock import Clock
    from ticketkit.backends.storage import Claimed, Storage

log = logging.getLogger(__name__)

BATCH: Final = 512
LANES: Final = 3
"""Batches under way at once while there are many: the storage claims and marks some while the bus takes another."""
LEASE: Final = timedelta(seconds=30)
TRIES: Final = 8
IDLE: Final = 5.0


class Relay:
    """Publishes what decisions committed: claims rows with a lease, publishes, then marks. At least once.

    Only a failure that the event itself caused counts as a try; after the last it goes to the dead letters. An
    unavailable bus or storage pauses the relay, and counts for nothing.

    Args:
        storage: Whose outbox.
        bus: To publish on.
        clock: To wait.
        name: For the log.
        tracing: A span of each batch, linked to what its events come from.
    """

    def __init__(self, storage: Storage, bus: Bus, *, clock: Clock, name: str, tracing: Tracing | None = None) -> None:
        self._storage, self._bus, self._clock, self._name = storage, bus, clock, name
        self._tracing = tracing or Tracing()

    async def run(self) -> None:
        """Relay until cancelled."""
        wait = partial(self._storage.wait_for_events, IDLE)
        await repeat(f"relay of {self._name}", self.once, wait, clock=self._clock)

    async def once(self) -> int:
        """Relay one batch, or, while batches are full, all there is; returns how many events.

        Raises:
            Unavailable: The bus or the storage is away; what was claimed is given back.
            OutcomeUnknown: The same.
        """
        count = await self._batch()
        if count < BATCH:
            return count
        failures: list[Unavailable | OutcomeUnknown] = []

        async def lane() -> None:
            nonlocal count
            moved = BATCH
            while moved == BATCH and not failures:
                try:
                    moved = await self._batch()
                except (Unavailable, OutcomeUnknown) as error:  # here: a task group would end the other lane's batch
                    failures.append(error)
                else:
                    count += moved

        async with anyio.create_task_group() as group:
            for _ in range(LANES):
                group.start_soon(lane)
        if failures:
            raise failures[0]
        return count

    async def _batch(self) -> int:
        """Relay one batch; returns its size."""
        claims = await self._storage.claim_events(BATCH, LEASE)
        if not claims:
            return 0
        try:
            with self._sending(claims):
                await self._bus.publish([claim.event for claim in claims])
        except Refused:
            await self._one_by_one(claims)
        except (Unavailable, OutcomeUnknown) as error:
            for claim in claims:
                await self._storage.mark_failed(claim, error=str(error), retry_in=timedelta(0), counted=False)
            raise
        else:
            await self._storage.mark_published(claims)
        return len(claims)

    def _sending(self, claims: Sequence[Claimed]) -> AbstractContextManager[object]:
        return self._tracing.span(
            f"send {self._name}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "ticketkit",
                "messaging.operation.type": "send",
                "messaging.operation.name": "send",
                "messaging.batch.message_count": len(claims),
            },
            links=(claim.event.traceparent for claim in claims),
        )

    async def _one_by_one(self, claims: Sequence[Claimed]) -> None:
        for claim in claims:
            try:
                await self._bus.publish([claim.event])
            except Refused as error:
                tried = claim.attempts + 1
                again = timedelta(seconds=after(tried, first=0.5, most=60)) if tried < TRIES else None
                log.error("event %s was refused by the bus: %s", claim.event.id, error, extra={"event": claim.event.id})  # noqa: TRY400 - the reason is the message
                await self._storage.mark_failed(claim, error=str(error), retry_in=again)
            else:
                await self._storage.mark_published([claim])
