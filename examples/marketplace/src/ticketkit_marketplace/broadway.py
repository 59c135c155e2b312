"""A week of Broadway as a file of listings, for `ticketkit import`.

The data has each show's theatre with its number of seats, and the week's average and top price (see data/README.md).
Of each show one performance is put up, every seat of it, at the same time in the future: the first Sunday that is at
least 30 days away, at 19:00 in New York. Seats are in rows of 40, and the first seat costs the top price, the last
the average, those between evenly; where the week's top price was not reported, all cost the average.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = "America/New_York"
FILE: Final = "broadway-2020-03-01.csv"
HEADER: Final = ("event", "venue", "starts_at", "zone", "seat", "price", "currency")
IN_A_ROW: Final = 40
SUNDAY: Final = 6
DAYS_AHEAD: Final = 30
CURTAIN: Final = "19:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """One row of the data."""

    name: str
    theatre: str
    average: Decimal
    top: Decimal
    seats: int


def week() -> list[Show]:
    """The shows of the week that ended on 2020-03-01."""
    text = (files(__package__) / "data" / FILE).read_text(encoding="utf-8")
    return [
        Show(
            name=row["show"],
            theatre=row["theatre"],
            average=Decimal(row["avg_ticket_price"]),
            top=Decimal(row["avg_ticket_price"] if row["top_ticket_price"] == "NA" else row["top_ticket_price"]),
            seats=int(row["seats_in_theatre"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]


def performance(now: datetime) -> date:
    """The day of the performance: the first Sunday in New York at least 30 days after `now`."""
    day = now.astimezone(ZoneInfo(ZONE)).date() + timedelta(days=DAYS_AHEAD)
    return day + timedelta(days=(SUNDAY - day.weekday()) % 7)


def listings(day: date, *, shows: list[Show] | None = None) -> bytes:
    """A file of listings, a ticket a row.

    Args:
        day: Of the performance.
        shows: Default: the whole week.
    """
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(HEADER)
    starts_at = f"{day.isoformat()}T{CURTAIN}"
    for show in week() if shows is None else shows:
        for number in range(show.seats):
            rows.writerow((show.name, show.theatre, starts_at, ZONE, seat(number), price(show, number), "USD"))
    return file.getvalue().encode()


def seat(number: int) -> str:
    """The name of a seat, counted from 0: rows A to Z, then AA to ZZ, and so on."""
    row, place = divmod(number, IN_A_ROW)
    times, letter = divmod(row, 26)
    return f"Row {chr(ord('A') + letter) * (times + 1)}, Seat {place + 1}"


def price(show: Show, number: int) -> Decimal:
    """The price of a seat, counted from 0: from the top price down to the average."""
    if show.seats == 1:
        return show.average.quantize(Decimal("0.01"))
    return (show.top - (show.top - show.average) * number / (show.seats - 1)).quantize(Decimal("0.01"))
