"""How long to wait after a failure."""

from __future__ import annotations


class Backoff:
    """Doubles from `first` to `most` seconds, until something works again.

    Args:
        first: Seconds after the first failure.
        most: Never more.
    """

    def __init__(self, first: float = 0.1, most: float = 5.0) -> None:
        self._first, self._most = first, most
        self.failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        self.failures += 1
        return after(self.failures, first=self._first, most=self._most)

    def reset(self) -> None:
        """It works again."""
        self.failures = 0


def after(failures: int, *, first: float, most: float) -> float:
    """Seconds to wait after so many failures in a row (from 1)."""
    return float(min(most, first * 2 ** min(failures - 1, 30)))
