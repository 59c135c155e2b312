"""Durations for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

NONE: Final = "\N{EN DASH}"
"""Where nothing is known."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def duration(value: timedelta | float) -> str:
    """How long something takes or is ago: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    total = value.total_seconds() if isinstance(value, timedelta) else value
    if total < 1:
        return "0 s" if total <= 0 else f"{total:.1f} s"
    whole = round(total)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def seconds(value: float | None) -> str:
    """A short time that was measured: `4.2 ms`, `1.25 s`; a dash where there is none."""
    if value is None:
        return NONE
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def left(until: datetime, now: datetime) -> str:
    """How long it is until then: `14:32 left`, or `over for 12 s`."""
    total = round((until - now).total_seconds())
    if total <= 0:
        return f"over for {duration(-total)}"
    return f"{total // _MINUTE}:{total % _MINUTE:02} left"
