"""Storages in memory whose outbox is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
from tests.planted.storage_planting import PlantedStorage

from ticketkit.memory.storage import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from ticketkit.backends.storage import Claimed, KeptEvent
    from ticketkit.domain.entities import Webhook


class HighWaterMark(PlantedStorage):
    class Storage(MemoryStorage):
        _last = ""

        async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
            found = [claim for claim in await super().claim_events(limit, lease) if claim.event.id > self._last]
            self._last = max([self._last, *(claim.event.id for claim in found)])
            return found


class LeaseWithoutToken(PlantedStorage):
    class Storage(MemoryStorage):
        async def mark_published(self, claims: Sequence[Claimed]) -> None:
            for claim in claims:
                row = self._outbox._waiting.get(claim.event.id)
                if row is not None:
                    row.token = claim.token
            await super().mark_published(claims)


class LateFailureCounts(PlantedStorage):
    class Storage(MemoryStorage):
        async def mark_failed(
            self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
        ) -> None:
            row = self._outbox._waiting.get(claim.event.id)
            if row is not None:
                row.token = claim.token
            await super().mark_failed(claim, error=error, retry_in=retry_in, counted=counted)


class LeaseNeverEnds(PlantedStorage):
    class Storage(MemoryStorage):
        async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
            return await super().claim_events(limit, timedelta(days=1))


class NoLease(PlantedStorage):
    class Storage(MemoryStorage):
        async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
            return await super().claim_events(limit, timedelta(0))


class RetryIgnored(PlantedStorage):
    class Storage(MemoryStorage):
        async def mark_failed(
            self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
        ) -> None:
            at_once = None if retry_in is None else timedelta(0)
            await super().mark_failed(claim, error=error, retry_in=at_once, counted=counted)


class OutageCounted(PlantedStorage):
    class Storage(MemoryStorage):
        async def mark_failed(
            self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
        ) -> None:
            await super().mark_failed(claim, error=error, retry_in=retry_in)


class DeadDropped(PlantedStorage):
    class Storage(MemoryStorage):
        async def mark_failed(
            self, claim: Claimed, *, error: str, retry_in: timedelta | None, counted: bool = True
        ) -> None:
            await super().mark_failed(claim, error=error, retry_in=retry_in, counted=counted)
            await self.drop_event(claim.event.id)


class NewestFirst(PlantedStorage):
    class Storage(MemoryStorage):
        async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
            self._outbox._waiting = dict(sorted(self._outbox._waiting.items(), reverse=True))
            return await super().claim_events(limit, lease)


class NeverWoken(PlantedStorage):
    class Storage(MemoryStorage):
        async def wait_for_events(self, seconds: float) -> None:
            await anyio.sleep(seconds)


class PurgesWhatWaits(PlantedStorage):
    class Storage(MemoryStorage):
        async def purge(self, *, events_before: datetime, commands_before: datetime, marks_before: datetime) -> int:
            waiting = self._outbox._waiting
            old = [id for id, row in waiting.items() if row.event.time < events_before]
            for id in old:
                del waiting[id]
            rest = await super().purge(
                events_before=events_before, commands_before=commands_before, marks_before=marks_before
            )
            return len(old) + rest


class PurgesMarksAsCommands(PlantedStorage):
    class Storage(MemoryStorage):
        async def purge(self, *, events_before: datetime, commands_before: datetime, marks_before: datetime) -> int:
            return await super().purge(
                events_before=events_before, commands_before=commands_before, marks_before=commands_before
            )


class ReplayOnlyDead(PlantedStorage):
    class Storage(MemoryStorage):
        async def replay_event(self, event_id: str) -> bool:
            if event_id in self._outbox._published:
                return False
            return await super().replay_event(event_id)


class TellsOnlyWhatWaits(PlantedStorage):
    class Storage(MemoryStorage):
        async def events_about(
            self, subjects: Collection[str], *, since: datetime | None = None, limit: int = 500
        ) -> list[KeptEvent]:
            found = await super().events_about(subjects, since=since, limit=limit)
            return [kept for kept in found if kept.state != "published"]


class TellsOnlyWhatIsFree(PlantedStorage):
    class Storage(MemoryStorage):
        async def waiting_events(self, limit: int) -> list[KeptEvent]:
            return [kept for kept in await super().waiting_events(limit) if not kept.attempts]


class ActorForgotten(PlantedStorage):
    class Storage(MemoryStorage):
        async def claim_events(self, limit: int, lease: timedelta) -> list[Claimed]:
            claims = await super().claim_events(limit, lease)
            return [replace(claim, event=replace(claim.event, actor=None)) for claim in claims]


class OnlyNewWebhooks(PlantedStorage):
    class Storage(MemoryStorage):
        async def webhooks_about(self, references: Collection[str], *, limit: int = 500) -> list[Webhook]:
            found = await super().webhooks_about(references, limit=limit)
            return [hook for hook in found if hook.outcome is None]
