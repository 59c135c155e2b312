"""Plots and durations."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from ticketkit_marketplace.ops import plots
from ticketkit_marketplace.ops.wording import duration, left, seconds


def points(drawing: str) -> "list[list[tuple[float, float]]]":
    found = re.findall(r'points="([^"]+)"', drawing)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in found]


def test_a_line_goes_from_zero_to_the_most() -> None:
    assert points(plots.line([0, 5, 10], what="Sales")) == [[(2, 46), (120, 24), (238, 2)]]


def test_a_line_is_broken_where_nothing_is_known() -> None:
    lines = points(plots.line([1, 2, None, 3, 4], what="Sales"))
    assert [len(line) for line in lines] == [2, 2]


def test_a_line_says_what_it_shows() -> None:
    drawing = plots.line([1, 1234.5, 0.25], what='Sales "now"', unit=" s", over=" in the last 3 s")
    words = "Sales &#34;now&#34; in the last 3 s: 0.25 s now, least 0.25 s, most 1,234 s."
    assert f'aria-label="{words}"' in drawing
    assert "not enough is known yet" in plots.line([None, 1], what="Sales")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0 s"),
        (0.42, "0.4 s"),
        (12.4, "12 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(value: "float | timedelta", said: str) -> None:
    assert duration(value) == said


def test_a_short_time_is_said_in_milliseconds() -> None:
    assert (seconds(0.00424), seconds(1.254), seconds(None)) == ("4.24 ms", "1.25 s", "\N{EN DASH}")


def test_what_is_left_of_a_lock_is_counted_down_and_past_its_end_up() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert left(now + timedelta(minutes=14, seconds=3), now) == "14:03 left"
    assert left(now - timedelta(seconds=12), now) == "over for 12 s"
