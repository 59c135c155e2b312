"""What every storage backend promises, as tests."""

from __future__ import annotations

from typing import ClassVar

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.storage.atomicity import StorageAtomicity
from ticketkit.testing.conformance.storage.commands import StorageCommands
from ticketkit.testing.conformance.storage.decisions import StorageDecisions
from ticketkit.testing.conformance.storage.entities import StorageEntities
from ticketkit.testing.conformance.storage.outbox import StorageOutbox
from ticketkit.testing.conformance.storage.own_tables import StorageOwnTables
from ticketkit.testing.conformance.storage.processes import StorageProcesses
from ticketkit.testing.conformance.storage.races import StorageRaces
from ticketkit.testing.conformance.storage.reads import StorageReads
from ticketkit.testing.conformance.storage.watch import StorageWatch

__all__ = ["StorageConformance"]


class StorageConformance(
    StorageDecisions,
    StorageCommands,
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
