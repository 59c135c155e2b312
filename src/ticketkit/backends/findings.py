"""What a look at a backend finds: for `ticketkit doctor`, through `Backend.check`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

CLOCK_TOLERANCE: Final = 5.0
"""Seconds that two clocks may differ: machines that keep time by NTP differ by milliseconds."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It does not work, or it loses what was promised to be kept."""
    WARNING = "warning"
    """It works, and should not stay so."""
    NOTE = "note"
    """Worth knowing; nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that somebody should know or do.

    Attributes:
        what: What is, as a sentence. Neither this nor `mend` shows a password, token or key.
        mend: The line that mends it: a setting, a command, a line of the server's configuration.
        unopened: Whether the backend is not to be opened to look further, because that would change something. After an
            error it is never opened.
    """

    severity: Severity
    what: str
    mend: str
    unopened: bool = False


def clock_off(whose: str, theirs: datetime, ours: datetime) -> Finding | None:
    """A finding when a server's clock and this process's differ by more than `CLOCK_TOLERANCE`.

    Args:
        whose: Of whom the other clock is: "The database's".
        theirs: Its time, UTC.
        ours: The process's when the answer came, UTC.
    """
    seconds = (theirs - ours).total_seconds()
    if abs(seconds) <= CLOCK_TOLERANCE:
        return None
    direction = "ahead of" if seconds > 0 else "behind"
    return Finding(
        severity=Severity.WARNING,
        what=f"{whose} clock is {abs(seconds):.0f} s {direction} this process's: locks, timers and sessions end by "
        "one of them, and would end early or late by the other.",
        mend="Set both clocks by NTP: timedatectl set-ntp true",
    )
