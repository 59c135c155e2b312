"""Storages on PostgreSQL that get the answer to COMMIT wrong when it is lost on the way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.planted.planting import Planted
from tests.planted.storage_planting import PassingStorage

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.ids import new_id
from ticketkit_sql.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys


class _PlantedPostgresql(Planted):
    """On the storage on PostgreSQL; `planted://user@host:port/database`. It looks nothing up."""

    KIND = BackendKind.STORAGE
    CAPABILITIES = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.OWN_TABLES})
    Storage: Any = PassingStorage

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        async with open_storage(url.replace("planted:", "postgresql:"), context) as inner:
            inner._database._connector.on_record = _not_looked_up  # type: ignore[union-attr, method-assign]
            yield self.Storage(inner)


async def _not_looked_up(*_: object) -> bool:
    raise Unavailable


class LostAnswerIsNo(_PlantedPostgresql):
    class Storage(PassingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            try:
                return await self.inner.decide(reads, decision, command, **options)  # type: ignore[no-any-return]
            except OutcomeUnknown as error:
                raise Unavailable from error


class LostAnswerRunAgain(_PlantedPostgresql):
    class Storage(PassingStorage):
        async def decide(self, reads: Keys, decision: Decision, command: Command, **options: Any) -> Answer:
            try:
                return await self.inner.decide(reads, decision, command, **options)  # type: ignore[no-any-return]
            except OutcomeUnknown:
                again = replace(command, id=new_id(), consumer=None, event_id=None)
                return await self.inner.decide(reads, decision, again, **options)  # type: ignore[no-any-return]
