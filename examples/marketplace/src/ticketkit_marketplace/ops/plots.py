"""Small plots, as drawings inside the page, each with its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 240
HEIGHT: Final = 48
_EDGE: Final = 2
_SHORTEST: Final = 2
"""Values from which on there is a line."""


def line(values: Sequence[float | None], *, what: str, unit: str = "", over: str = "") -> Markup:
    """A line of values, oldest first, from 0 up; where one is None the line is broken.

    Args:
        values: One a second or so.
        what: Of what, as the beginning of the words.
        unit: Of the values, with its space.
        over: Over which time, for the words.
    """
    known = [value for value in values if value is not None]
    if len(known) < _SHORTEST:
        return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}"></svg>').format(
            WIDTH, HEIGHT, f"{what}: not enough is known yet for a plot."
        )
    now, least, most = (f"{number(value)}{unit}" for value in (known[-1], min(known), max(known)))
    words = f"{what}{over}: {now} now, least {least}, most {most}."
    top = max(known) or 1.0
    paths = Markup("").join(Markup('<polyline points="{}"/>').format(points) for points in _runs(values, top))
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, words, paths)


def number(value: float) -> str:
    """A number for people, as short as it may be."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough


def _runs(values: Sequence[float | None], top: float) -> list[str]:
    """Points of each unbroken part."""
    step = (WIDTH - 2 * _EDGE) / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        height = HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * value / top
        runs[-1].append(f"{_EDGE + place * step:.1f},{height:.1f}")
    return [" ".join(run) for run in runs if len(run) >= _SHORTEST]
