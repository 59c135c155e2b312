"""What every storage backend promises, as tests."""

from __future__ import annotations

from typing import ClassVar

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.storage_atomicity import StorageAtomicity
from ticketkit.testing.conformance.storage_decisions import StorageDecisions
from ticketkit.testing.conformance.storage_entities import StorageEntities
from ticketkit.testing.conformance.storage_outbox import StorageOutbox
from ticketkit.testing.conformance.storage_own_tables import StorageOwnTables
from ticketkit.testing.conformance.storage_processes import StorageProcesses
from ticketkit.testing.conformance.storage_races import StorageRaces
from ticketkit.testing.conformance.storage_reads import StorageReads, StorageWatch


class StorageConformance(
    StorageDecisions,
    StorageRaces,
    StorageAtomicity,
    StorageProcesses,
    StorageOwnTables,
    StorageOutbox,
    StorageReads,
    StorageWatch,
    StorageEntities,
):
    """The tests of a storage backend. Subclass it, and give it the fixture `target`.

    One that declares `own_tables` also gives it the fixture `own_table`.
    """

    KIND: ClassVar[BackendKind] = BackendKind.STORAGE
