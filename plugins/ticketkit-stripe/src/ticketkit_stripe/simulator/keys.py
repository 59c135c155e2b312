"""Idempotency keys (docs.stripe.com/api/idempotent_requests)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ticketkit_stripe.simulator.refusals import Refusal

KEPT_SECONDS: Final = 24 * 3600
LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        replayed: It was saved by an earlier call with the same key.
        request: Id of the request that it was made for.
    """

    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    request: str = ""
    replayed: bool = False


@dataclass(slots=True)
class _Entry:
    fingerprint: str
    since: float
    answer: Answer | None = None


class Keys:
    """The answers that are saved under keys.

    Args:
        now: Unix seconds; a key is forgotten a day after it was first used.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: str, fingerprint: str) -> Answer | None:
        """Claim a key for a call.

        Args:
            fingerprint: Of the endpoint and the parameters.

        Returns:
            The answer that is saved; None when the call is to be done, and then `finish` or `forget` follows.

        Raises:
            Refusal: 400: it was used with something else, or is too long; 409: that call is not over.
        """
        if len(key) > LONGEST:
            raise Refusal(f"A key has at most {LONGEST} characters.", unstarted=True, violation=True)
        self._prune(key)
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(fingerprint, self._now())
            return None
        if entry.fingerprint != fingerprint:
            raise Refusal(
                f"Key {key!r} was used with other parameters, or for another call.",
                kind="idempotency_error",
                unstarted=True,
                violation=True,
            )
        if entry.answer is None:
            raise _in_use(key)
        return replace(entry.answer, replayed=True)

    def finish(self, key: str, answer: Answer) -> None:
        """Save the answer."""
        self._entries[key].answer = answer

    def forget(self, key: str) -> None:
        """The call never began."""
        del self._entries[key]

    def _prune(self, key: str) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.since + KEPT_SECONDS <= self._now():
            del self._entries[key]


def _in_use(key: str) -> Refusal:
    refusal = Refusal(
        f"A call with key {key!r} is going on.",
        status=409,
        kind="idempotency_error",
        code="idempotency_key_in_use",
        unstarted=True,
    )
    refusal.headers["Stripe-Should-Retry"] = "true"
    return refusal
