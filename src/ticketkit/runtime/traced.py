"""A storage whose decisions are spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ticketkit.backends.storage import Storage

if TYPE_CHECKING:
    from ticketkit.backends.storage import Answer
    from ticketkit.domain.decision import Command, Decision, Keys
    from ticketkit.services.tracing import Tracing


class _Traced:
    """A storage, with a span around each decision.

    Args:
        storage: What it is.
        tracing: Makes spans.
    """

    def __init__(self, storage: Storage, tracing: Tracing) -> None:
        self._storage, self._tracing = storage, tracing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def decide(
        self, reads: Keys, decision: Decision, command: Command, *, within: object | None = None
    ) -> Answer:
        """See `Storage.decide`."""
        name = getattr(decision, "__qualname__", "").partition(".<locals>")[0].replace("._", ".")
        about: dict[str, str | int] = {"ticketkit.command_id": command.id, "ticketkit.held": len(reads.held)}
        with self._tracing.span(f"decide {name}".strip(), attributes=about):
            return await self._storage.decide(reads, decision, command, within=within)


def traced(storage: Storage, tracing: Tracing) -> Storage:
    """The storage with a span around each decision; as it is, where spans go nowhere now."""
    return cast("Storage", _Traced(storage, tracing)) if tracing.on else storage
