"""A seller's file is understood as a whole, or every place that is not is named."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketkit.domain.money import Money
from ticketkit.services import listing_cells
from ticketkit.services.listings_csv import COLUMNS, MOST_PROBLEMS, BadListings, Problem, parse

HEADER = "event,venue,starts_at,price\n"
GOOD = "Hamlet,Globe,2027-01-31T19:00:00Z,25\n"


def problems(text: "str | bytes", **options: datetime) -> "list[tuple[int, str | None, str]]":
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(BadListings) as raised:
        parse(content, **options)  # type: ignore[arg-type]
    return [(problem.line, problem.column, problem.reason) for problem in raised.value.problems]


def cells(**values: str) -> str:
    """A file of one row."""
    row = {"event": "Hamlet", "venue": "Globe", "starts_at": "2027-01-31T19:00Z", "price": "25"} | values
    quoted = [f'"{value}"' for value in row.values()]
    return f"{','.join(row)}\n{','.join(quoted)}\n"


def test_a_row_is_a_ticket() -> None:
    found = parse((HEADER + GOOD + GOOD.replace("25", "30.50")).encode())
    (event,) = found.announcements
    assert (event.name, event.venue, event.zone, event.on_sale_at) == ("Hamlet", "Globe", "UTC", None)
    assert event.starts_at == datetime(2027, 1, 31, 19, tzinfo=UTC)
    assert [(offer.event, offer.title, offer.seat, offer.line) for offer in found.offers] == [
        (0, "Hamlet", None, 2),
        (0, "Hamlet", None, 3),
    ]
    assert [offer.price for offer in found.offers] == [Money(2500, "USD"), Money(3050, "USD")]


def test_all_columns_in_any_order_and_case() -> None:
    row = {
        "Seat": "Box 1",
        "title": "Hamlet, premiere",
        "EVENT": "Hamlet",
        " venue ": "Globe",
        "starts_at": "2027-01-31 19:00",
        "zone": "Europe/London",
        "on_sale_at": "2027-01-01T10:00+01:00",
        "currency": "JPY",
        "price": "2500",
    }
    values = ",".join(f'"{value}"' for value in row.values())
    found = parse(f"{','.join(row)}\n{values}".encode())
    assert found.announcements[0].on_sale_at == datetime(2027, 1, 1, 9, tzinfo=UTC)
    assert found.announcements[0].zone == "Europe/London"
    assert (found.offers[0].title, found.offers[0].seat) == ("Hamlet, premiere", "Box 1")
    assert found.offers[0].price == Money(2500, "JPY")


def test_the_currency_of_a_row_that_names_none_is_the_marketplaces() -> None:
    assert parse((HEADER + GOOD).encode(), currency="EUR").offers[0].price == Money(2500, "EUR")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + GOOD,
        (HEADER + GOOD).replace("\n", "\r\n"),
        (HEADER + GOOD).replace("\n", "\r"),
        HEADER + "\n  \n,,,\n" + GOOD + "\n\n",
        "\n" + HEADER + GOOD,
        (HEADER + GOOD).rstrip(),
        HEADER + GOOD.replace("Hamlet", '  "Hamlet"').replace('  "Hamlet"', "  Hamlet  "),
    ],
    ids=["bom", "crlf", "cr", "empty-lines", "line-before", "no-newline", "spaces"],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    (offer,) = parse(text.encode()).offers
    assert offer.title == "Hamlet"


def test_quoted_commas_quotes_and_line_breaks() -> None:
    text = HEADER + '"Harry Potter, ""one and two""",Lyric,2027-01-31T19:00Z,1\n'
    assert parse(text.encode()).announcements[0].name == 'Harry Potter, "one and two"'
    broken = HEADER + '"Harry\nPotter",Lyric,2027-01-31T19:00Z,1\n' + "Hamlet,Globe,2027-01-31T19:00Z,x\n"
    assert [line for line, *_ in problems(broken)] == [2, 4]  # where each row begins


def test_the_same_live_event_is_one() -> None:
    other = GOOD.replace("Globe", "Lyric")
    local = "Hamlet,Globe,2027-01-31T20:00+01:00,25\n"
    found = parse((HEADER + GOOD + other + local).encode())
    assert [offer.event for offer in found.offers] == [0, 1, 0]


def test_a_block_is_numbered_and_priced_evenly() -> None:
    found = parse(cells(seat="Row A, Seat", quantity="5", price="10", price_to="20").encode())
    assert [offer.seat for offer in found.offers] == [f"Row A, Seat {number}" for number in range(1, 6)]
    assert [str(offer.price.major) for offer in found.offers] == ["10.00", "12.50", "15.00", "17.50", "20.00"]


def test_a_block_without_a_seat_is_called_seat_and_without_price_to_costs_the_same() -> None:
    found = parse(cells(quantity="2").encode())
    assert [(offer.seat, offer.price.minor) for offer in found.offers] == [("Seat 1", 2500), ("Seat 2", 2500)]


@given(first=st.integers(1, 10**9), last=st.integers(1, 10**9), count=st.integers(1, 300))
def test_a_block_begins_and_ends_at_its_prices(first: int, last: int, count: int) -> None:
    prices = [price.minor for price in listing_cells.spread(Money(first, "USD"), Money(last, "USD"), count)]
    assert len(prices) == count
    assert prices[0] == first
    assert prices[-1] == (last if count > 1 else first)
    assert prices == sorted(prices, reverse=last < first)
    steps = {after - before for before, after in itertools.pairwise(prices)}
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("values", "column", "words"),
    [
        ({"event": " "}, "event", "must not be empty"),
        ({"event": "x" * 201}, "event", "at most 200"),
        ({"event": "Ham\x07let"}, "event", "control characters"),
        ({"venue": ""}, "venue", "must not be empty"),
        ({"starts_at": ""}, "starts_at", "must not be empty"),
        ({"starts_at": "31.01.2027 19:00"}, "starts_at", "is not a time such as"),
        ({"starts_at": "2027-01-31"}, "starts_at", "is not a time such as"),
        ({"starts_at": "2027-02-30T19:00Z"}, "starts_at", "is no time"),
        ({"starts_at": "0001-01-01T00:00+14:00"}, "starts_at", "is no time"),
        ({"starts_at": "2027-01-31T19:00"}, "starts_at", "needs a zone"),
        ({"starts_at": "2027-03-28T01:30", "zone": "Europe/London"}, "starts_at", "does not exist in Europe/London"),
        ({"starts_at": "2027-10-31T01:30", "zone": "Europe/London"}, "starts_at", "is there twice in Europe/London"),
        ({"zone": "Mars/Olympus"}, "zone", "not an IANA time zone"),
        ({"zone": "../etc/passwd"}, "zone", "not an IANA time zone"),
        ({"on_sale_at": "soon"}, "on_sale_at", "is not a time such as"),
        ({"on_sale_at": "2028-01-01T00:00Z"}, "on_sale_at", "before it starts"),
        ({"title": "x" * 201}, "title", "at most 200"),
        ({"seat": "x" * 61}, "seat", "at most 60"),
        ({"price": ""}, "price", "must not be empty"),
        ({"price": "$25"}, "price", "is not an amount such as"),
        ({"price": "1,000"}, "price", "is not an amount such as"),
        ({"price": "1e3"}, "price", "is not an amount such as"),
        ({"price": "-5"}, "price", "is not an amount such as"),
        ({"price": "NaN"}, "price", "is not an amount such as"),
        ({"price": "٢٥"}, "price", "is not an amount such as"),
        ({"price": "0.00"}, "price", "greater than 0"),
        ({"price": "25.505"}, "price", "2 digits after the decimal point"),
        ({"price": "25.50", "currency": "JPY"}, "price", "0 digits after the decimal point"),
        ({"price": "99999999999999999999"}, "price", "too large"),
        ({"currency": "usd"}, "currency", "not an ISO 4217"),
        ({"quantity": "0"}, "quantity", "whole number from 1"),
        ({"quantity": "2.5"}, "quantity", "whole number from 1"),
        ({"quantity": "10001"}, "quantity", "whole number from 1"),
        ({"quantity": "3", "price_to": "dear"}, "price_to", "is not an amount such as"),
        ({"quantity": "3", "price_to": "30.555"}, "price_to", "2 digits"),
        ({"price_to": "30"}, "price_to", "needs the column quantity"),
        ({"quantity": "10", "seat": "x" * 58}, "seat", "at most 60"),
    ],
)
def test_a_bad_cell_is_named(values: "dict[str, str]", column: str, words: str) -> None:
    ((line, where, reason),) = problems(cells(**values))
    assert (line, where) == (2, column)
    assert words in reason


def test_all_problems_are_named_in_their_order() -> None:
    text = HEADER + "Hamlet,,tomorrow,free\n" + GOOD + "Hamlet,Globe\n"
    assert [(line, column) for line, column, _ in problems(text)] == [
        (2, "venue"),
        (2, "starts_at"),
        (2, "price"),
        (4, None),
    ]


def test_after_the_fiftieth_problem_the_rest_are_counted() -> None:
    with pytest.raises(BadListings, match=r"\nand 150 more$") as raised:
        parse((HEADER + GOOD.replace("25", "x") * 200).encode())
    assert len(raised.value.problems) == MOST_PROBLEMS
    assert raised.value.total == 200


def test_a_seat_is_listed_once_in_a_live_event() -> None:
    header, row = cells(seat="Box 1").splitlines()
    again, elsewhere = row.replace("25", "30"), row.replace("Globe", "Lyric")
    ((line, column, reason),) = problems(f"{header}\n{row}\n{elsewhere}\n{again}")
    assert (line, column) == (4, "seat")
    assert "'Box 1' of this live event is in line 2 already" in reason


def test_a_block_overlaps_a_seat() -> None:
    header, row = cells(seat="Row A", quantity="3").splitlines()
    single = row.replace("Row A", "Row A 2").replace('"3"', '""')
    ((line, _, reason),) = problems(f"{header}\n{row}\n{single}")
    assert (line, "'Row A 2'" in reason) == (3, True)


def test_rows_of_one_live_event_must_agree_or_be_silent() -> None:
    header, row = cells(zone="Europe/London").splitlines()
    silent, other = row.replace("Europe/London", ""), row.replace("Europe/London", "Europe/Paris")
    assert len(parse(f"{header}\n{row}\n{silent}".encode()).offers) == 2
    ((line, column, reason),) = problems(f"{header}\n{row}\n{other}")
    assert (line, column) == (3, "zone")
    assert "It is 'Europe/London' in line 2" in reason


def test_a_live_event_that_has_started_is_refused_if_the_time_is_known() -> None:
    start = datetime(2027, 1, 31, 19, tzinfo=UTC)
    assert parse((HEADER + GOOD).encode(), now=start - timedelta(seconds=1)).offers
    ((line, column, reason),) = problems(HEADER + GOOD + GOOD, now=start)
    assert (line, column) == (2, "starts_at")
    assert "has started already" in reason


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"", 1, None, "The file is empty"),
        (b"\n \n,,\n", 1, None, "The file is empty"),
        (HEADER.encode(), 1, None, "a header and no rows"),
        ((HEADER + GOOD).encode("utf-16"), 1, None, "UTF-16"),
        ((HEADER + GOOD + GOOD.replace("Hamlet", "Amélie")).encode("latin-1"), 3, None, "not in UTF-8 (byte 0xE9)"),
        (HEADER.replace(",", ";").encode(), 1, None, "this file has semicolons"),
        (HEADER.replace(",", "\t").encode(), 1, None, "this file has tabs"),
        ((HEADER + '"Hamlet,Globe\n').encode(), 2, None, "This is not CSV"),
        ((HEADER + '"Ham"let,Globe,x,1\n').encode(), 2, None, "This is not CSV"),
    ],
)
def test_a_file_that_is_no_such_file(content: bytes, line: int, column: "str | None", words: str) -> None:
    ((where, named, reason),) = problems(content)
    assert (where, named) == (line, column)
    assert words in reason


def test_unknown_missing_doubled_and_nameless_columns_are_named_with_the_known_ones() -> None:
    found = problems("event,venue,cost,event,\n" + GOOD)
    assert [(column, reason.split(".")[0]) for _, column, reason in found] == [
        ("event", "This column is there twice"),
        ("cost", "There is no such column"),
        (None, "A column has no name"),
        ("starts_at", "This column is missing"),
        ("price", "This column is missing"),
    ]
    assert all(name in found[1][2] for name in COLUMNS)


def test_a_field_without_end_does_not_fill_the_memory() -> None:
    ((_, _, reason),) = problems(HEADER + "x" * 200_000 + ",a,b,c\n")
    assert "This is not CSV: field larger than field limit" in reason


def test_the_digest_is_of_the_file_and_its_defaults() -> None:
    content = (HEADER + GOOD).encode()
    assert parse(content).digest == parse(content).digest
    assert len({parse(content).digest, parse(content + b"\n").digest, parse(content, currency="EUR").digest}) == 3


def test_progress_is_told_by_lines() -> None:
    told: list[int] = []
    parse((HEADER + GOOD * 1500).encode(), on_line=told.append)
    assert told == [500, 1000, 1500]


def test_a_problem_reads_like_a_place() -> None:
    assert str(Problem(7, "price", "It must not be empty.")) == "line 7, price: It must not be empty."
    assert str(Problem(7, None, "Odd.")) == "line 7: Odd."


def outcome(content: bytes) -> int:
    """The number of tickets, or of problems, below 0."""
    try:
        return len(parse(content).offers)
    except BadListings as error:
        return -error.total


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    for file in (content, HEADER.encode() + content, (HEADER + GOOD).encode() + content):
        assert outcome(file) != 0


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_texts_break_the_reader(name: str, starts_at: str, price: str) -> None:
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in (name, "Globe", starts_at, price))
    assert outcome((HEADER + quoted).encode("utf-8", "surrogatepass")) != 0
