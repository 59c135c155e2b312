"""The limit of calls a second (docs.stripe.com/rate-limits)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ticketkit_stripe.simulator.refusals import too_many


class Pace:
    """Lets so many calls through in any second.

    Args:
        now: Monotonic seconds.
        rate: Calls a second; None: no limit.
    """

    def __init__(self, now: Callable[[], float], rate: int | None = None) -> None:
        self._now, self.rate = now, rate
        self._passed: deque[float] = deque()

    def admit(self) -> None:
        """Let a call through.

        Raises:
            Refusal: 429: there were too many in the last second.
        """
        if self.rate is None:
            return
        now = self._now()
        while self._passed and self._passed[0] <= now - 1:
            self._passed.popleft()
        if len(self._passed) >= self.rate:
            refusal = too_many(f"More than {self.rate} calls in a second.")
            refusal.headers["Stripe-Rate-Limited-Reason"] = "global-rate"
            raise refusal
        self._passed.append(now)
