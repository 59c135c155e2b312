"""What is in a seller's file: its tickets by live event, or the rows that can't be used with what to do about each."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from ticketkit.services.listings_csv import BadListings, Catalogue, Problem, parse

if TYPE_CHECKING:
    from ticketkit.domain.imports import Offer

SHOWN: Final = 3
"""Tickets that are shown of each live event."""
_LONGEST: Final = 160


class BadRow(BaseModel):
    """A place in a file that can't be used.

    Attributes:
        line: Counted from 1.
        text: The row as it is; empty where it is about the file.
    """

    line: int
    column: str | None
    reason: str
    text: str = ""


class Example(BaseModel):
    """A ticket of a file."""

    line: int
    name: str
    price: str


class Group(BaseModel):
    """The tickets of one live event in a file; amounts are of major units."""

    name: str
    venue: str
    starts_at: datetime
    zone: str
    on_sale_at: datetime | None
    tickets: int
    lowest: str
    highest: str
    currency: str
    examples: list[Example]


class Checked(BaseModel):
    """What is in a file.

    Attributes:
        bad: Rows that can't be used, the first of them.
        bad_total: How many there are.
        groups: Tickets that can be listed, by live event.
        tickets: How many.
    """

    bad: list[BadRow] = []
    bad_total: int = 0
    groups: list[Group] = []
    tickets: int = 0


def check(content: bytes, *, currency: str, now: datetime) -> tuple[Checked, bytes]:
    """Look through a file.

    Args:
        content: As it came.
        currency: Of rows that name none.
        now: Live events that have started by then can't be sold.

    Returns:
        What is in it, and what can be listed: the file without its bad rows where they can be left out, else as it
        came.
    """
    try:
        catalogue = parse(content, currency=currency, now=now)
    except BadListings as error:
        bad = list(_rows(content, error.problems))
        rest = without(content, {problem.line for problem in error.problems})
        if error.total > len(error.problems) or rest is None:
            return Checked(bad=bad, bad_total=error.total), content
        try:
            catalogue = parse(rest, currency=currency, now=now)
        except BadListings:
            return Checked(bad=bad, bad_total=error.total), content
        return checked_of(catalogue, bad, error.total), rest
    return checked_of(catalogue), content


def checked_of(catalogue: Catalogue, bad: list[BadRow] | None = None, bad_total: int = 0) -> Checked:
    """What to say of a file that was understood."""
    offers: list[list[Offer]] = [[] for _ in catalogue.announcements]
    for offer in catalogue.offers:
        offers[offer.event].append(offer)
    groups = [
        Group(
            name=event.name,
            venue=event.venue,
            starts_at=event.starts_at,
            zone=event.zone,
            on_sale_at=event.on_sale_at,
            tickets=len(found),
            lowest=str(min(offer.price.major for offer in found)),
            highest=str(max(offer.price.major for offer in found)),
            currency=found[0].price.currency,
            examples=[
                Example(line=offer.line, name=offer.seat or offer.title, price=str(offer.price.major))
                for offer in found[:SHOWN]
            ],
        )
        for event, found in zip(catalogue.announcements, offers, strict=True)
    ]
    return Checked(bad=bad or [], bad_total=bad_total, groups=groups, tickets=len(catalogue.offers))


def without(content: bytes, lines: Collection[int]) -> bytes | None:
    """A file without some of its rows.

    Returns:
        None where it would not mean the same: the header is bad, or a row says from when its live event is on sale,
        which other rows may have left to it.
    """
    if 1 in lines:
        return None
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    header: list[str] | None = None
    try:
        for line, cells in _records(content.decode("utf-8-sig")):
            if header is None:
                header = [cell.strip().lower() for cell in cells]
            elif line in lines:
                named = dict(zip(header, cells, strict=False))
                if named.get("on_sale_at", "").strip():
                    return None
                continue
            writer.writerow(cells)
    except (UnicodeDecodeError, csv.Error):
        return None
    return out.getvalue().encode()


def _rows(content: bytes, problems: Sequence[Problem]) -> Iterator[BadRow]:
    lines = content.decode("utf-8", "replace").splitlines()
    for problem in problems:
        text = lines[problem.line - 1] if 1 < problem.line <= len(lines) else ""
        text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
        yield BadRow(line=problem.line, column=problem.column, reason=problem.reason, text=text)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line that it begins at, counted as `listings_csv` counts."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        cells = next(reader, None)
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
