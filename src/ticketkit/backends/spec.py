"""What a plugin says about a backend, so that it can be found, checked and opened by its URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit.backends.findings import Finding
from ticketkit.ids import new_id

API_VERSION: Final = 1
"""Version of the ports. A backend for this one or the one before is accepted."""


class BackendKind(StrEnum):
    """What a backend is for."""

    STORAGE = "storage"
    BUS = "bus"
    TIMERS = "timers"
    PAYMENTS = "payments"


class Capability(StrEnum):
    """What some backends can and others can't. What is not declared is refused with `CapabilityNotSupported`."""

    DURABLE = "durable"
    """What it acknowledged survives the death of the process."""
    MULTI_PROCESS = "multi_process"
    """Several processes may use it at once."""
    OWN_TABLES = "own_tables"
    """Statements of the app in the same commit (`Changes.also`)."""
    SIGNED_TIME = "signed_time"
    """Webhooks carry a signed time, and old and future ones are refused."""
    REPLAY = "replay"
    """Old messages can be delivered to a group again (`Bus.replay`)."""


CHECKPOINTS: Final = ("decided", "written", "committed")
"""Where a durable storage calls `Context.checkpoint` in each commit: the decisions are run and nothing is written yet;
everything is sent and nothing is committed; the commit is done and nobody has been told."""


def no_checkpoint(name: str) -> None:
    """What a checkpoint does outside the conformance kit: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the runtime lends to a backend that it opens.

    Attributes:
        clock: For waiting, and for backends that have no clock of their own.
        new_id: Makes fresh ids, UUIDv7 as text.
        checkpoint: Called by a durable storage at each of `CHECKPOINTS`, from any thread; the conformance kit kills the
            process there.
    """

    clock: Clock = field(default_factory=SystemClock)
    new_id: Callable[[], str] = new_id
    checkpoint: Callable[[str], None] = no_checkpoint


Open: TypeAlias = Callable[[str, Context], AbstractAsyncContextManager[Any]]

Check: TypeAlias = Callable[[str, Context], Awaitable[Sequence[Finding]]]
"""Looks at what a URL names, from outside and without changing anything: is the server there, does it let us in, is it
set up so that it keeps what is promised, is what it holds what this release expects, is its clock ours. May raise
`Unavailable` or `Misconfigured`, which are findings as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One backend of a plugin.

    Attributes:
        kind: What it is for.
        name: For people.
        schemes: URL schemes that select it: `("sqlite",)`.
        capabilities: All that it can.
        open: From URL and context to a context manager of the backend; imports its drivers only now. Raises
            `Misconfigured` or `Unavailable`.
        api_version: Version of the ports that it was written for.
        max_entities: Most keys that one decision may name (storages only); more is refused with
            `CapabilityNotSupported`. None for no limit.
        settings: URL parameters that it understands, with a sentence each.
        check: What `ticketkit doctor` asks; None when it has nothing to say but whether it opens.
    """

    kind: BackendKind
    name: str
    schemes: tuple[str, ...]
    capabilities: frozenset[Capability] = frozenset()
    open: Open
    api_version: int = API_VERSION
    max_entities: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    check: Check | None = None
