"""Reads a seller's file of listings: CSV in UTF-8, a ticket (or a block of numbered seats) a row.

Nothing is written here and nothing is looked up: a file is either understood as a whole, or every row that is not is
named with its line, column and reason.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.imports import Announcement, Offer
from ticketkit.domain.texts import SEAT, TITLE, bounded, checked_zone
from ticketkit.services import listing_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from ticketkit.domain.money import Money

T = TypeVar("T")

COLUMNS: Final[Mapping[str, str]] = {
    "event": "Name of the live event. Required.",
    "venue": "Where it takes place. Required.",
    "starts_at": "When it starts: 2027-01-31T19:00:00-05:00, or the venue's local time with `zone`. Required.",
    "zone": "IANA time zone of the venue, such as America/New_York; default: UTC, if starts_at has an offset.",
    "on_sale_at": "From when its tickets can be ordered, written like starts_at; default: at once.",
    "title": "What the ticket is called; default: the name of the live event.",
    "seat": "Seat of the ticket; with `quantity` what stands before the number, `Seat` by default.",
    "price": "Price of the ticket, such as 25 or 25.50. Required.",
    "currency": "ISO 4217 code, such as EUR; default: the marketplace's currency.",
    "quantity": "Makes the row a block of so many seats, numbered from 1.",
    "price_to": "Price of the last seat of a block; the seats between are priced evenly. Needs `quantity`.",
}
"""The columns with a sentence each, in the order of a full file. The order in a file is free."""

REQUIRED: Final = ("event", "venue", "starts_at", "price")
MOST_PROBLEMS: Final = 50
"""Problems that are named; the rest are counted."""
MOST_TICKETS: Final = 250_000
"""Tickets in one file: they are written in one transaction, and held in memory until then."""
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one place of a file.

    Attributes:
        line: Counted from 1, as an editor shows it.
        column: None when it is about the line, or the file.
        reason: A sentence.
    """

    line: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        """For people."""
        place = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{place}: {self.reason}"


class BadListings(InvalidInput):
    """The file can't be imported.

    Attributes:
        problems: The first of them, in the order of lines.
        total: How many there are.
    """

    default_code = "bad_listings"

    def __init__(self, problems: list[Problem], total: int | None = None) -> None:
        self.total = len(problems) if total is None else total
        self.problems = tuple(problems)
        lines = [str(problem) for problem in problems]
        if self.total > len(lines):
            lines.append(f"and {self.total - len(lines)} more")
        super().__init__("\n".join(lines), total=self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A file that was understood.

    Attributes:
        announcements: Its live events, in the order in which they are first named.
        offers: Its tickets, in the order of the file.
        digest: Of the file and of what it left to defaults: the same digest lists the same.
    """

    announcements: tuple[Announcement, ...]
    offers: tuple[Offer, ...]
    digest: str


def parse(
    content: bytes,
    *,
    currency: str = "USD",
    now: datetime | None = None,
    on_line: Callable[[int], None] | None = None,
) -> Catalogue:
    """Understand a file.

    Args:
        content: The file as it is.
        currency: Of rows that name none.
        now: If given, live events that have started are problems: their tickets could not be sold.
        on_line: Told the number of lines read, now and then, for a progress bar.

    Raises:
        BadListings: It is not understood; names all problems, up to `MOST_PROBLEMS`.
    """
    reader = _Reader(currency=currency, now=now)
    reader.read(_decoded(content), on_line or _ignore)
    digest = hashlib.sha256(f"{currency}\n".encode() + content).hexdigest()
    return Catalogue(announcements=tuple(reader.announcements), offers=tuple(reader.offers), digest=digest)


def _ignore(line: int) -> None:
    """Nobody watches."""


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadListings([Problem(1, None, "The file is in UTF-16. Save it as CSV in UTF-8.")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"The file is not in UTF-8 (byte 0x{content[error.start]:02X}). Save it as CSV in UTF-8."
        raise BadListings([Problem(line, None, reason)]) from None


@dataclass(slots=True)
class _Known:
    """A live event of the file, with what its rows said of it."""

    index: int
    line: int
    said: dict[str, str] = field(default_factory=dict)


class _RowRefused(Exception):
    """The row has problems; they are noted."""


class _Reader:
    """Reads rows into announcements and offers, and notes problems."""

    def __init__(self, *, currency: str, now: datetime | None) -> None:
        self.announcements: list[Announcement] = []
        self.offers: list[Offer] = []
        self._currency, self._now = currency, now
        self._problems: list[Problem] = []
        self._total = 0
        self._events: dict[tuple[str, str, datetime], _Known] = {}
        self._seats: dict[tuple[int, str], int] = {}
        self._checked: dict[tuple[str, str], str] = {}

    def read(self, text: str, on_line: Callable[[int], None]) -> None:
        """Read all rows.

        Raises:
            BadListings: There were problems.
        """
        rows = self._rows(text)
        _, header = next(rows, (1, []))
        columns = self._header(header, text)
        for line, cells in rows:
            if line % 500 == 0:
                on_line(line)
            try:
                self._row(line, self._cells(line, columns, cells))
            except _RowRefused:
                continue
            if len(self.offers) > MOST_TICKETS:
                self._note(line, None, f"The file has more than {MOST_TICKETS} tickets. Split it.")
                break
        if not self.offers and not self._total:
            self._note(1, None, "The file has a header and no rows.")
        if self._total:
            raise BadListings(self._problems, self._total)

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Lines that are not empty, each with the number that it begins at."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._note(line, None, f"This is not CSV: {error}.")
                return
            if any(cell.strip() for cell in cells):
                yield line, cells

    def _header(self, cells: list[str], text: str) -> list[str]:
        columns = [cell.strip().lower() for cell in cells]
        line = 1 + text[: text.find(cells[0])].count("\n") if cells else 1
        separator = next((name for char, name in _SEPARATORS.items() if char in "".join(cells[:1])), None)
        if not cells:
            if not self._total:
                self._note(1, None, "The file is empty.")
        elif separator and len(cells) == 1:
            self._note(line, None, f"Columns are separated by commas, and this file has {separator}.")
        else:
            for column in dict.fromkeys(columns):
                if reason := self._odd(column, columns.count(column)):
                    self._note(line, column[:40] or None, reason)
            for column in REQUIRED:
                if column not in columns:
                    self._note(line, column, "This column is missing.")
        if self._total:
            raise BadListings(self._problems, self._total)
        return columns

    @staticmethod
    def _odd(column: str, count: int) -> str | None:
        if not column:
            return "A column has no name."
        if column not in COLUMNS:
            return f"There is no such column. The columns are {', '.join(COLUMNS)}."
        return "This column is there twice." if count > 1 else None

    def _cells(self, line: int, columns: list[str], cells: list[str]) -> dict[str, str]:
        if len(cells) != len(columns):
            self._refuse(line, None, f"The row has {len(cells)} cells, and the header has {len(columns)}.")
        return {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}

    def _row(self, line: int, cells: dict[str, str]) -> None:
        before = self._total
        event = self._event(line, cells)
        title = self._text(line, "title", cells.get("title") or cells["event"]) if event is not None else ""
        prices = self._prices(line, cells)
        seats = self._seats_of(line, cells, len(prices)) if prices else []
        if self._total > before or event is None:
            raise _RowRefused
        for seat, price in zip(seats, prices, strict=True):
            self._offer(Offer(event=event, title=title, price=price, seat=seat, line=line))

    def _offer(self, offer: Offer) -> None:
        if offer.seat is not None:
            first = self._seats.setdefault((offer.event, offer.seat), offer.line)
            if first != offer.line:
                reason = f"{offer.seat!r} of this live event is in line {first} already."
                self._refuse(offer.line, "seat", reason)
        self.offers.append(offer)

    def _event(self, line: int, cells: dict[str, str]) -> int | None:
        name = self._text(line, "event", cells["event"])
        venue = self._text(line, "venue", cells["venue"])
        zone = cells.get("zone", "")
        if zone and not self._try(line, "zone", lambda: checked_zone(zone)):
            return None
        starts_at = self._try(line, "starts_at", lambda: listing_cells.time(cells["starts_at"], zone))
        on_sale = cells.get("on_sale_at", "")
        on_sale_at = self._try(line, "on_sale_at", lambda: listing_cells.time(on_sale, zone)) if on_sale else None
        if not name or not venue or starts_at is None:
            return None
        known = self._events.get((name, venue, starts_at))
        if known is not None:
            self._agree(line, known, cells)
            return known.index
        if self._now is not None and starts_at <= self._now:
            self._note(line, "starts_at", "The live event has started already; its tickets could not be sold.")
        if on_sale_at is not None and on_sale_at >= starts_at:
            self._note(line, "on_sale_at", "A live event goes on sale before it starts.")
        said = {"zone": zone, "on_sale_at": on_sale}
        known = self._events[name, venue, starts_at] = _Known(len(self.announcements), line, said)
        self.announcements.append(
            Announcement(name=name, venue=venue, starts_at=starts_at, zone=zone or "UTC", on_sale_at=on_sale_at)
        )
        return known.index

    def _agree(self, line: int, known: _Known, cells: dict[str, str]) -> None:
        """What is said of a live event is said in its first row; a later one may leave it out."""
        for column, first in known.said.items():
            value = cells.get(column, "")
            if value and value != first:
                said = repr(first) if first else "empty"
                self._note(line, column, f"It is {said} in line {known.line}, for the same live event.")

    def _prices(self, line: int, cells: dict[str, str]) -> list[Money]:
        currency = cells.get("currency") or self._currency
        quantity, price_to = cells.get("quantity", ""), cells.get("price_to", "")
        first = last = self._try(line, "price", lambda: listing_cells.price(cells["price"], currency))
        count = self._try(line, "quantity", lambda: listing_cells.quantity(quantity)) if quantity else 1
        if price_to and quantity:
            last = self._try(line, "price_to", lambda: listing_cells.price(price_to, currency))
        elif price_to:
            self._note(line, "price_to", "It needs the column quantity.")
        return listing_cells.spread(first, last, count) if first and last and count else []

    def _seats_of(self, line: int, cells: dict[str, str], count: int) -> list[str | None]:
        seat = cells.get("seat", "")
        if not cells.get("quantity"):
            return [self._text(line, "seat", seat, most=SEAT)] if seat else [None]
        self._text(line, "seat", f"{seat or 'Seat'} {count}", most=SEAT)
        return [f"{seat or 'Seat'} {number}" for number in range(1, count + 1)]

    def _text(self, line: int, column: str, text: str, *, most: int = TITLE) -> str:
        """The text within its bounds; empty when it is not, which is noted."""
        known = self._checked.get((column, text))
        if known is None:
            known = self._try(line, column, lambda: bounded(text, column, most=most)) or ""
            if known and column != "seat":  # seats hardly repeat
                self._checked[column, text] = known
        return known

    def _try(self, line: int, column: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except InvalidInput as error:
            self._note(line, "currency" if error.field == "currency" else column, error.message)
            return None

    def _note(self, line: int, column: str | None, reason: str) -> None:
        self._total += 1
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(line, column, reason))

    def _refuse(self, line: int, column: str | None, reason: str) -> NoReturn:
        self._note(line, column, reason)
        raise _RowRefused
