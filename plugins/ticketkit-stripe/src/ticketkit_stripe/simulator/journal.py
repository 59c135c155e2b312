"""What was asked of the simulator: every call, and what in it was against the protocol."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_CALLS: Final = 20_000
_VIOLATIONS: Final = 1_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One call.

    Attributes:
        at: Unix seconds.
        operation: As stripe-python calls it; empty when there is none of that path.
        port: What ticketkit calls it.
        object: Id in the path, or of what was made.
        key: Idempotency key.
        status: Of the answer; 0 until it is answered, and when the connection is dropped.
        replayed: Answered from the key.
        faults: That struck it.
        version: `Stripe-Version`.
    """

    request: str
    at: float
    method: str
    path: str
    operation: str = ""
    port: str = ""
    object: str = ""
    key: str | None = None
    version: str | None = None
    status: int = 0
    replayed: bool = False
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A call that a client of Stripe should never make."""

    request: str
    path: str
    message: str
    code: str | None
    param: str | None


class Journal:
    """The newest calls, and the first violations.

    Args:
        now: Unix seconds.

    Attributes:
        calls: The newest 20,000.
        violations: The first 1,000.
        counts: Calls by operation, since the start.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.calls: deque[Entry] = deque(maxlen=_CALLS)
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()

    def arrive(self, request: str, method: str, path: str, *, key: str | None, version: str | None) -> Entry:
        """Write down a call that begins."""
        entry = Entry(request=request, at=self._now(), method=method, path=path, key=key, version=version)
        self.calls.append(entry)
        return entry

    def violate(self, entry: Entry, message: str, *, code: str | None = None, param: str | None = None) -> None:
        """Write down what was wrong with it."""
        if len(self.violations) < _VIOLATIONS:
            self.violations.append(
                Violation(request=entry.request, path=entry.path, message=message, code=code, param=param)
            )
