"""The Broadway week as a file of listings."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ticketkit.services.listings_csv import parse
from ticketkit_marketplace import broadway


def test_the_week_has_28_shows_and_34662_seats() -> None:
    shows = broadway.week()
    assert len(shows) == 28
    assert sum(show.seats for show in shows) == 34_662


def test_the_file_has_a_ticket_a_seat() -> None:
    found = parse(broadway.listings(date(2027, 1, 3)))
    assert (len(found.announcements), len(found.offers)) == (28, 34_662)
    seats = {show.name: show.seats for show in broadway.week()}
    hamilton = next(index for index, event in enumerate(found.announcements) if event.name == "Hamilton")
    assert sum(offer.event == hamilton for offer in found.offers) == seats["Hamilton"] == 1324
    starts = datetime(2027, 1, 3, 19, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC)
    assert {event.starts_at for event in found.announcements} == {starts}
    assert {event.zone for event in found.announcements} == {"America/New_York"}


def test_prices_go_from_the_top_to_the_average() -> None:
    hamilton = next(show for show in broadway.week() if show.name == "Hamilton")
    prices = [broadway.price(hamilton, number) for number in range(hamilton.seats)]
    assert (prices[0], prices[-1]) == (Decimal("847.00"), Decimal("250.67"))
    assert prices == sorted(prices, reverse=True)


def test_all_seats_cost_the_average_where_no_top_price_was_reported() -> None:
    hadestown = next(show for show in broadway.week() if show.name == "Hadestown")
    assert {broadway.price(hadestown, number) for number in range(hadestown.seats)} == {Decimal("137.59")}


@pytest.mark.parametrize(
    ("number", "name"), [(0, "Row A, Seat 1"), (39, "Row A, Seat 40"), (40, "Row B, Seat 1"), (1040, "Row AA, Seat 1")]
)
def test_seats_are_in_rows_of_40(number: int, name: str) -> None:
    assert broadway.seat(number) == name


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-24T04:00:00+00:00", "2026-12-27"),  # still the 23rd in New York
        ("2026-11-27T12:00:00+00:00", "2026-12-27"),  # 30 days to the day
        ("2026-11-28T12:00:00+00:00", "2027-01-03"),
    ],
)
def test_the_performance_is_the_first_sunday_at_least_30_days_ahead(now: str, day: str) -> None:
    assert broadway.performance(datetime.fromisoformat(now)) == date.fromisoformat(day)
