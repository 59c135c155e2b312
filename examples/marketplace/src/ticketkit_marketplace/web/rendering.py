"""Makes pages of templates: amounts as the currency writes them, times in the zone of the venue."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, get_timezone_name
from babel.numbers import format_currency, get_currency_symbol
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ticketkit.domain.money import EXPONENTS, Money
from ticketkit_marketplace.web.forms import KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit_marketplace.web.assets import Assets

_MANY: Final = 4096
"""Texts of amounts and times that are remembered: they repeat from page to page, and cost more than the rest of one."""
LOCALE: Final = "en_US"
"""Language of the pages."""
_WITH_CODE: Final = "¤\u00a0#,##0.00"
"""Pattern for currencies without a sign of their own: `KWD 1.234`."""
LONG: Final = "EEEE, d MMMM y, HH:mm"
SHORT: Final = "EEE d MMM y, HH:mm"


def environment(assets: Assets, packages: Sequence[str] = ("ticketkit_marketplace.web",)) -> Environment:
    """Templates with their filters.

    Args:
        assets: Whose URLs they write.
        packages: With folders `templates`; those of earlier ones go before those of later ones.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "digits": EXPONENTS.__getitem__,
        "minor": minor,
        "money": money,
        "time": time,
        "part": time_part,
        "tint": tint,
    }
    made.globals |= {"asset": assets.url, "KEY": KEY}
    return made


@lru_cache(maxsize=_MANY)
def money(amount: Decimal | int | str, currency: str) -> str:
    """An amount of major units for people: `$250.67`, `¥1,200`."""
    exact = Decimal(amount)
    digits = EXPONENTS.get(currency, 2)
    if exact.as_tuple().exponent != -digits:
        exact = exact.quantize(Decimal(1).scaleb(-digits))
    pattern = _WITH_CODE if get_currency_symbol(currency, locale=LOCALE)[-1].isalpha() else None
    return format_currency(exact, currency, format=pattern, locale=LOCALE, currency_digits=True)


def minor(amount: Decimal | int, currency: str) -> int:
    """An amount of major units in minor ones."""
    return Money.parse(amount, currency).minor


def typed(amount: Decimal | int, currency: str) -> str:
    """An amount of major units as people type it, with all digits of its currency: `49.50`."""
    return f"{Decimal(amount):.{EXPONENTS.get(currency, 2)}f}"


@lru_cache(maxsize=_MANY)
def time(value: str | datetime, zone: str = "UTC", pattern: str = LONG) -> Markup:
    """A time as an element: in the zone for people, in UTC for programs.

    Args:
        value: RFC 3339 text, or a time.
        zone: IANA time zone.
        pattern: CLDR date pattern.
    """
    moment = moment_of(value)
    return Markup('<time datetime="{}">{} <abbr title="{}">{}</abbr></time>').format(
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), *_told(moment, zone, pattern)
    )


@lru_cache(maxsize=_MANY)
def time_part(value: str | datetime, zone: str, pattern: str) -> str:
    """A part of a time in a zone: `EEE` is the day of the week, `d` that of the month."""
    return format_datetime(moment_of(value), pattern, tzinfo=_zone(zone), locale=LOCALE)


def moment_of(value: str | datetime) -> datetime:
    """A time of the API."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def tint(id: str) -> int:
    """A number from 0 to 7 that stays with an id: the colour of a live event."""
    return int(id[-2:], 16) % 8


def _told(moment: datetime, zone: str, pattern: str) -> tuple[str, str, str]:
    where = _zone(zone)
    here = moment.astimezone(where)
    long = get_timezone_name(here, width="long", locale=LOCALE)
    return format_datetime(moment, pattern, tzinfo=where, locale=LOCALE), long, here.tzname() or zone


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
