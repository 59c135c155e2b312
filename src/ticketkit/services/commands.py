"""Makes commands: for callers, with or without an idempotency key, and for event handlers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ticketkit.domain.decision import Command
from ticketkit.domain.errors import InvalidInput
from ticketkit.services.correlation import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit.events.envelope import Envelope

KEY_LENGTH = 255


class Commands:
    """Makes commands with fresh ids and the correlation of the running task.

    Args:
        new_id: Makes fresh ids.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def ask(
        self,
        operation: str,
        *,
        actor: str | None,
        key: str | None = None,
        request: Any = None,
        fresh: int = 0,
    ) -> Command:
        """A command of a caller.

        Args:
            operation: What is asked for: `orders.place`. Part of the scope of `key`.
            actor: Who asks. Part of the scope of `key`.
            key: The caller's idempotency key: the same key has one effect and one answer.
            request: What was asked, as JSON; the same key with another request is refused.
            fresh: How many ids the decision may use.

        Raises:
            InvalidInput: The key is empty or too long.
        """
        if key is not None and not 0 < len(key) <= KEY_LENGTH:
            msg = f"An idempotency key has 1 to {KEY_LENGTH} characters."
            raise InvalidInput(msg, code="bad_idempotency_key", field="idempotency_key")
        cause = current()
        return Command(
            id=self._new_id() if key is None else _digest([actor, operation, key]),
            actor=actor,
            fresh=tuple(self._new_id() for _ in range(fresh)),
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
            fingerprint="" if key is None else _digest(request),
        )

    def handle(self, consumer: str, envelope: Envelope, *, fresh: int = 0) -> Command:
        """The command of an event handler: its record marks the event as consumed by that consumer."""
        cause = current()
        return Command(
            id=f"{consumer}/{envelope.id}",
            fresh=tuple(self._new_id() for _ in range(fresh)),
            correlation_id=envelope.correlationid,
            causation_id=envelope.id,
            traceparent=cause.traceparent if cause.causation_id == envelope.id else envelope.traceparent,
            consumer=consumer,
            event_id=envelope.id,
        )


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
