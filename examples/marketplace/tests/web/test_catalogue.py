"""What is for sale: the front page, a live event with its tickets, a ticket."""

from datetime import timedelta
from typing import Any

import pytest
from web.browsing import Browser
from web.conftest import ListTickets, Stage

from ticketkit.marketplace import Marketplace
from ticketkit.memory.clock import START


async def test_an_empty_marketplace_says_so(nobody: Browser) -> None:
    page = await nobody.open("/")
    assert page.status == 200
    assert "Nothing is on just now." in page.text


async def test_the_front_page_has_what_is_to_come_the_next_one_first_with_the_lowest_price(
    nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    later = await stage("Later", starts_in=timedelta(days=9))
    await put_up(later, "50", "25.50", "99")
    await put_up(await stage("Sooner", starts_in=timedelta(days=2)), *["10"] * 12)
    await stage("Empty", starts_in=timedelta(days=20))
    page = await nobody.open("/")
    assert page.every(".ticket h2") == ["Sooner", "Later", "Empty"]
    assert page.every(".price") == ["from $10.00", "from $25.50 Only 3 left", "Sold out"]
    assert "Richard Rodgers Theatre Fri 9 Jan 2026, 19:00 EST" in page.every(".what")[1]
    assert page.link("Later") == f"/events/{later.id}"


async def test_what_has_started_or_is_cancelled_is_not_on_the_front_page(
    nobody: Browser, stage: Stage, market: Marketplace
) -> None:
    await stage("Soon over", starts_in=timedelta(hours=1))
    cancelled = await stage("Cancelled")
    await stage("On")
    await market.tickets.call_off(cancelled.id, owner_id=None)
    await market.clock.advance(hours=2)
    assert (await nobody.open("/")).every(".ticket h2") == ["On"]


async def test_search_finds_by_words_of_name_and_venue(nobody: Browser, stage: Stage) -> None:
    await stage("Hamilton")
    await stage("Wicked", venue="Gershwin Theatre")
    await nobody.open("/")
    page = await nobody.submit("Search", q="GERSHWIN wick")
    assert page.every(".ticket h2") == ["Wicked"]
    assert page.one("#q")["value"] == "GERSHWIN wick"
    page = await nobody.submit("Search", q="cats")
    assert "Nothing that is still to come has these words" in page.text
    assert page.link("Show everything") == "/"


async def test_more_live_events_than_fit_are_on_further_pages(nobody: Browser, stage: Stage) -> None:
    for number in range(30):
        await stage(f"Show {number:02}", starts_in=timedelta(days=1, minutes=number))
    page = await nobody.open("/?q=show")
    assert len(page.every(".ticket h2")) == 24
    page = await nobody.follow("Next page")
    assert page.every(".ticket h2") == [f"Show {number}" for number in range(24, 30)]
    assert (await nobody.follow("Previous page")).every(".ticket h2")[0] == "Show 00"


async def test_names_are_escaped(nobody: Browser, stage: Stage) -> None:
    evil = "<script>alert(1)</script>"
    event = await stage(evil, venue=evil)
    for path in ("/", f"/events/{event.id}", "/?q=%3Cscript%3E"):
        page = await nobody.open(path)
        assert evil not in page.response.text
        assert evil in page.text


async def test_a_live_event_shows_its_tickets_cheapest_first(
    nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    await put_up(event, "50", "25.50", "99")
    page = await nobody.open(f"/events/{event.id}")
    assert page.heading == "Hamilton"
    assert "Wednesday, 7 January 2026, 19:00 EST" in page.text
    assert page.one("time")["datetime"] == "2026-01-08T00:00:00Z"
    assert page.every("tbody th") == ["Seat 2", "Seat 1", "Seat 3"]
    assert page.every("tbody td.number") == ["$25.50", "$50.00", "$99.00"]


async def test_tickets_are_filtered_and_sorted(nobody: Browser, stage: Stage, put_up: ListTickets) -> None:
    event = await stage()
    await put_up(event, "10", "20", "30", "40", seat="Row A,")
    await put_up(event, "25", seat="Balcony")
    await nobody.open(f"/events/{event.id}")
    page = await nobody.submit("Show", q="row", minPrice="20", maxPrice="30.00", sort="-price")
    assert page.every("tbody td.number") == ["$30.00", "$20.00"]
    assert page.one("#minPrice")["value"] == "20"
    assert page.said("#sort [selected]") == "Most expensive first"
    page = await nobody.submit("Show", q="", minPrice="500", maxPrice="")
    assert "No ticket for sale is like that." in page.text
    page = await nobody.follow("Show all tickets")
    assert len(page.every("tbody tr")) == 5


async def test_a_filter_that_can_not_be_read_is_said_at_its_field(nobody: Browser, stage: Stage) -> None:
    event = await stage()
    await nobody.open(f"/events/{event.id}")
    page = await nobody.submit("Show", minPrice="cheap", maxPrice="")
    assert page.status == 422
    assert page.errors == {"minPrice": "A decimal number is expected, such as 19.99."}
    assert page.one("#minPrice")["value"] == "cheap"


async def test_many_tickets_are_paged_and_each_is_there_once(
    nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    await put_up(event, *[str(price) for price in range(1, 61)])
    seen = (await nobody.open(f"/events/{event.id}?sort=price")).every("tbody th")
    while any("Next page" in words for words in nobody.page.every("a")):
        seen += (await nobody.follow("Next page")).every("tbody th")
    assert seen == [f"Seat {number}" for number in range(1, 61)]
    assert (await nobody.follow("Back to the first page")).every("tbody th")[0] == "Seat 1"


async def test_tickets_can_be_chosen_and_their_form_says_the_price_that_was_seen(
    nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    (ticket,) = await put_up(event, "1234.50")
    page = await nobody.open(f"/events/{event.id}")
    box = page.one("input[type=checkbox]")
    assert (box["name"], box["value"], box["aria-label"]) == ("ticket", ticket.id, "Choose Seat 1, $1,234.50")
    form = page.form("Buy the chosen tickets")
    assert (form.method, form.action) == ("post", "/orders")
    assert form.value("seen") == f"{ticket.id} 1234.5 USD"
    assert len(form.value("key")) > 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"on_sale_at": START + timedelta(days=3)},
            "Not on sale yet. Tickets can be bought from Saturday, 3 January 2026",
        ),
        ({"starts_in": timedelta(seconds=1)}, "This event has started."),
    ],
)
async def test_what_is_not_sold_now_says_why_and_has_no_way_to_buy(
    nobody: Browser, stage: Stage, put_up: ListTickets, options: "dict[str, Any]", said: str
) -> None:
    event = await stage(**options)
    (ticket,) = await put_up(event, "10")
    await nobody.clock.advance(seconds=2)
    for path in (f"/events/{event.id}", f"/tickets/{ticket.id}"):
        page = await nobody.open(path)
        assert said in page.text
        assert not page.soup.select("form[action='/orders'] button")


async def test_a_cancelled_live_event_says_so(nobody: Browser, stage: Stage, market: Marketplace) -> None:
    event = await stage()
    await market.tickets.call_off(event.id, owner_id=None)
    assert "This event is cancelled." in (await nobody.open(f"/events/{event.id}")).text


async def test_a_ticket_has_its_seat_price_and_live_event(nobody: Browser, stage: Stage, put_up: ListTickets) -> None:
    event = await stage()
    (ticket,) = await put_up(event, "19.99", currency="EUR")
    page = await nobody.open(f"/tickets/{ticket.id}")
    assert page.heading == "Seat 1"
    assert "Richard Rodgers Theatre" in page.text
    form = page.form("Buy for €19.99")
    assert [value for name, value in form.fields if name == "ticket"] == [ticket.id]
    assert page.link("Hamilton") == f"/events/{event.id}"


async def test_a_ticket_that_is_not_for_sale_says_why(
    nobody: Browser, stage: Stage, put_up: ListTickets, market: Marketplace
) -> None:
    event = await stage()
    locked, withdrawn = await put_up(event, "10", "20")
    await market.orders.place("somebody", [locked.id])
    await market.tickets.withdraw(event.owner_id, withdrawn.id)
    page = await nobody.open(f"/tickets/{locked.id}")
    assert "Somebody is buying this ticket." in page.text
    assert page.link("See other tickets") == f"/events/{event.id}#tickets"
    assert "off the market" in (await nobody.open(f"/tickets/{withdrawn.id}")).text


@pytest.mark.parametrize(("price", "told"), [("1200 JPY", "¥1,200"), ("1.234 KWD", "KWD 1.234"), ("5 GBP", "£5.00")])
async def test_amounts_have_the_digits_of_their_currency(
    nobody: Browser, stage: Stage, put_up: ListTickets, price: str, told: str
) -> None:
    amount, _, currency = price.partition(" ")
    (ticket,) = await put_up(await stage(), amount, currency=currency)
    page = await nobody.open(f"/tickets/{ticket.id}")
    assert told in page.said(".big").replace("\xa0", " ")
