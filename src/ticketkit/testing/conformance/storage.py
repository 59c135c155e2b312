"""What every storage backend promises, as tests."""

from __future__ import annotations

from typing import ClassVar

from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.storage_decisions import StorageDecisions
from ticketkit.testing.conformance.storage_races import StorageRaces


class StorageConformance(StorageRaces, StorageDecisions):
    """The tests of a storage backend. Subclass it, and give it the fixture `target`."""

    KIND: ClassVar[BackendKind] = BackendKind.STORAGE
