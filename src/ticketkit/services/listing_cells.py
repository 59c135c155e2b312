"""Reads single cells of a seller's file: times, amounts, numbers of seats."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from ticketkit.domain.errors import InvalidInput
from ticketkit.domain.money import Money

MOST_SEATS: Final = 10_000
"""Seats in one block."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_AMOUNT: Final = re.compile(r"\d{1,20}(\.\d{1,10})?", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,9}", re.ASCII)


def time(text: str, zone: str) -> datetime:
    """A time, in UTC: ISO 8601 with an offset, or the local time of a zone.

    Args:
        text: `2027-01-31T19:00:00-05:00`; seconds may be left out, and a space may stand for the T.
        zone: IANA time zone of a time without offset; empty when there is none.

    Raises:
        InvalidInput: It is no time, its zone is not said, or that night's clocks make it none or two.
    """
    if not text:
        raise InvalidInput("It must not be empty.")
    if _TIME.fullmatch(text) is None:
        raise InvalidInput(f"{text[:60]!r} is not a time such as 2027-01-31T19:00:00-05:00.")
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
        if zone:
            return _of_zone(found, zone)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text!r} is no time: {error}.") from None
    raise InvalidInput("A local time needs a zone: give an offset, or fill in the column zone.")


def price(text: str, currency: str) -> Money:
    """A price above 0, in major units: `25` or `25.50`.

    Raises:
        InvalidInput: It is none, or the currency is unknown (`field` says which).
    """
    if not text:
        raise InvalidInput("It must not be empty.")
    if _AMOUNT.fullmatch(text) is None:
        raise InvalidInput(f"{text[:40]!r} is not an amount such as 25 or 25.50.")
    found = Money.parse(text, currency)
    if found.minor <= 0:
        raise InvalidInput("The price must be greater than 0.")
    return found


def quantity(text: str) -> int:
    """The number of seats in a block.

    Raises:
        InvalidInput: It is not a whole number from 1 to `MOST_SEATS`.
    """
    if _WHOLE.fullmatch(text) is None or not 1 <= int(text) <= MOST_SEATS:
        raise InvalidInput(f"{text[:20]!r} is not a whole number from 1 to {MOST_SEATS}.")
    return int(text)


def spread(first: Money, last: Money, count: int) -> list[Money]:
    """Prices from the first to the last, evenly, each rounded down to a minor unit."""
    if count == 1 or first == last:
        return [first] * count
    span = last.minor - first.minor
    return [Money(first.minor + span * number // (count - 1), first.currency) for number in range(count)]


def _of_zone(local: datetime, zone: str) -> datetime:
    here = ZoneInfo(zone)
    first, second = (local.replace(tzinfo=here, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    exists = first.astimezone(here).replace(tzinfo=None) == local
    what = "is there twice" if exists else "does not exist"
    raise InvalidInput(f"{local} {what} in {zone}, where the clocks are changed. Give an offset.")
