"""Storages in memory that keep or list entities wrongly."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from tests.planted.storage_planting import PlantedStorage

from ticketkit.backends.storage import Page, TicketQuery
from ticketkit.domain.entities import Charge, LiveEvent, Ticket
from ticketkit.domain.money import Money
from ticketkit.memory.storage import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit.domain.entities import Entity, Key


class _Lossy(MemoryStorage):
    """Changes what it gives back."""

    def lost(self, entity: Any) -> Any:
        return entity

    async def get(self, keys: Iterable[Key]) -> dict[Key, Entity]:
        return {key: self.lost(entity) for key, entity in (await super().get(keys)).items()}


class FloatMoney(PlantedStorage):
    class Storage(_Lossy):
        def lost(self, entity: Any) -> Any:
            if not isinstance(entity, Ticket):
                return entity
            return replace(entity, price=Money(int(entity.price.minor / 100 * 100), entity.price.currency))


class NormalizedText(PlantedStorage):
    class Storage(_Lossy):
        def lost(self, entity: Any) -> Any:
            if not isinstance(entity, LiveEvent):
                return entity
            return replace(entity, name=unicodedata.normalize("NFC", entity.name))


class NarrowText(PlantedStorage):
    class Storage(_Lossy):
        def lost(self, entity: Any) -> Any:
            if not isinstance(entity, Ticket) or entity.seat is None:
                return entity
            return replace(entity, seat=entity.seat.encode()[:200].decode(errors="ignore"))


class MillisecondTimes(PlantedStorage):
    class Storage(_Lossy):
        def lost(self, entity: Any) -> Any:
            if not isinstance(entity, LiveEvent):
                return entity
            time = entity.starts_at
            return replace(entity, starts_at=time.replace(microsecond=time.microsecond // 1000 * 1000))


class FieldForgotten(PlantedStorage):
    class Storage(_Lossy):
        def lost(self, entity: Any) -> Any:
            return replace(entity, token=None) if isinstance(entity, Charge) else entity


class DriverErrorLeaks(PlantedStorage):
    class Storage(MemoryStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            for key in reads.all:
                key.id.encode()
                if "\0" in key.id:
                    msg = "embedded null character"
                    raise ValueError(msg)
            return await super().decide(reads, decision, command, **options)


class OffsetPaging(PlantedStorage):
    class Storage(MemoryStorage):
        async def find_tickets(self, query: TicketQuery) -> Page[Ticket]:
            whole = await super().find_tickets(replace(query, limit=1000, cursor=None))
            begin = int(query.cursor or 0)
            end = begin + query.limit
            return Page(whole.items[begin:end], str(end) if end < len(whole.items) else None)


class CursorOfAnyList(PlantedStorage):
    class Storage(MemoryStorage):
        async def find_orders(self, buyer_id: str, *, limit: int = 50, cursor: str | None = None) -> Any:
            whole = (await super().find_orders(buyer_id, limit=1000)).items
            rest = [order for order in whole if cursor is None or order.id < cursor]
            more = len(rest) > limit
            return Page(tuple(rest[:limit]), rest[limit - 1].id if more else None)


class Wildcards(PlantedStorage):
    class Storage(MemoryStorage):
        async def find_live_events(
            self, *, text: str = "", status: str | None = None, limit: int = 50, cursor: str | None = None
        ) -> Page[LiveEvent]:
            whole = (await super().find_live_events(status=status, limit=1000)).items
            patterns = [f"*{word}*".replace("%", "*").replace("_", "?") for word in text.casefold().split()]
            found = [
                event
                for event in whole
                if all(fnmatch(f"{event.name} {event.venue}".casefold(), pattern) for pattern in patterns)
            ]
            return Page(tuple(found[:limit]), None)


class DueTooSoon(PlantedStorage):
    class Storage(MemoryStorage):
        async def due_orders(self, limit: int) -> list[str]:
            open_ = (order for order in self._entities._open["order"].values())
            return [order.id for order in open_][:limit]


class OpenOnlyUntilPaid(PlantedStorage):
    class Storage(MemoryStorage):
        async def open_orders(self, *, limit: int = 50, cursor: str | None = None) -> Any:
            page = await super().open_orders(limit=limit, cursor=cursor)
            return replace(page, items=tuple(order for order in page.items if order.charge_id is None))
