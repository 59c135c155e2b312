"""Sell one ticket, for a live event that there is or a new one."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from web.browsing import Browser
from web.conftest import Stage

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import Ticket
from ticketkit.marketplace import Marketplace

NEW: "dict[str, Any]" = {
    "name": "Jazz in the Yard",
    "venue": "The Yard",
    "zone": "Europe/Berlin",
    "starts_at": "2026-07-03T20:00",
    "price": "45",
    "currency": "EUR",
}


async def listed(market: Marketplace) -> "list[Ticket]":
    return list((await market.tickets.find(TicketQuery())).items)


async def test_selling_needs_an_account_and_goes_on_after_signing_up(nobody: Browser, stage: Stage) -> None:
    event = await stage()
    await nobody.open("/sell")
    page = await nobody.follow("Hamilton")
    assert page.heading == "Sign in"
    await nobody.follow("Sign up")
    page = await nobody.submit("Create the account", email="ada@example.com", password="correct horse")
    assert page.heading == "Sell a ticket"
    assert page.path.startswith(f"/sell/ticket?event={event.id}")


async def test_a_ticket_is_listed_for_a_live_event(seller: Browser, stage: Stage, market: Marketplace) -> None:
    event = await stage()
    await seller.open("/sell")
    await seller.follow("Hamilton")
    page = await seller.submit("List the ticket", seat="Row C, Seat 14", price="1249.50", currency="usd")
    assert "Your ticket is for sale." in page.text
    (ticket,) = await listed(market)
    assert page.path == f"/listings/{ticket.id}?done=listed"
    assert (ticket.title, ticket.seat, ticket.event_id) == ("Hamilton", "Row C, Seat 14", event.id)
    assert (ticket.price.major, ticket.price.currency) == (Decimal("1249.50"), "USD")
    page = await seller.open("/")
    assert page.every(".price") == ["from $1,249.50 Only 1 left"]


async def test_a_live_event_is_announced_along_with_its_first_ticket(seller: Browser, market: Marketplace) -> None:
    await seller.open("/sell")
    await seller.follow("Announce an event")
    page = await seller.submit("List the ticket", **NEW, on_sale_at="2026-06-01T10:00")
    assert page.heading == "Jazz in the Yard"
    assert "Friday, 3 July 2026, 20:00 CEST" in page.text
    (event,) = (await market.tickets.live_events()).items
    assert (event.starts_at.isoformat(), event.zone) == ("2026-07-03T18:00:00+00:00", "Europe/Berlin")
    assert event.on_sale_at is not None
    assert event.on_sale_at.isoformat() == "2026-06-01T08:00:00+00:00"


async def test_a_live_event_that_is_known_is_not_announced_twice(seller: Browser, market: Marketplace) -> None:
    for seat in ("1", "2"):
        await seller.open("/sell/ticket")
        await seller.submit("List the ticket", **NEW, seat=seat)
    assert len((await market.tickets.live_events()).items) == 1
    assert len({ticket.event_id for ticket in await listed(market)}) == 1


async def test_a_double_click_lists_one_ticket(seller: Browser, market: Marketplace) -> None:
    await seller.open("/sell/ticket")
    form = seller.page.form("List the ticket")
    first = await seller.send(form, **NEW)
    second = await seller.send(form, **NEW)
    assert first.headers["location"] == second.headers["location"]
    assert len(await listed(market)) == 1
    assert len((await market.tickets.live_events()).items) == 1


async def test_the_back_button_with_other_values_is_asked_back(
    seller: Browser, stage: Stage, market: Marketplace
) -> None:
    await seller.open(f"/sell/ticket?event={(await stage()).id}")
    form = seller.page.form("List the ticket")
    await seller.send(form, seat="1", price="10")
    page = await seller._shown(await seller.send(form, seat="2", price="10"))
    assert page.errors == {"": "You have sent this form before, with other contents. Send it again if that is meant."}
    await seller.submit("List the ticket")
    assert sorted(str(ticket.seat) for ticket in await listed(market)) == ["1", "2"]


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        ({"price": ""}, {"price": "Enter a price, such as 49.50."}),
        ({"price": "free"}, {"price": "'free' is not an amount such as 25 or 25.50."}),
        ({"price": "0"}, {"price": "The price must be greater than 0."}),
        ({"price": "1.999"}, {"price": "EUR has 2 digits after the decimal point; 1.999 has more."}),
        ({"currency": "XXX"}, {"currency": "Enter a currency of three letters, such as USD or EUR."}),
        ({"seat": "x" * 61}, {"seat": "Use 60 characters at most; these are 61."}),
        ({"name": ""}, {"name": "Enter the name of the event."}),
        ({"venue": ""}, {"venue": "Enter where it takes place."}),
        ({"starts_at": ""}, {"starts_at": "Enter when it starts."}),
        ({"zone": "Berlin"}, {"zone": "'Berlin' is not an IANA time zone, such as 'Europe/Berlin'."}),
        ({"on_sale_at": "2026-07-04T00:00"}, {"on_sale_at": "A live event goes on sale before it starts."}),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_listed(
    seller: Browser, market: Marketplace, typed: dict[str, str], errors: dict[str, str]
) -> None:
    await seller.open("/sell/ticket")
    page = await seller.submit("List the ticket", **(NEW | typed))
    assert page.status == 422
    assert page.errors == errors
    assert page.one("#venue")["value"] == (NEW | typed)["venue"]
    assert not await listed(market)


async def test_many_live_events_are_searched(nobody: Browser, stage: Stage) -> None:
    for number in range(15):
        await stage(f"Show {number}", starts_in=timedelta(days=1, minutes=number))
    page = await nobody.open("/sell")
    assert "And 3 more" in page.text
    page = await nobody.submit("Search", q="show 14")
    assert page.every(".choices h3") == ["Show 14"]
    page = await nobody.submit("Search", q="cats")
    assert page.link("Announce it") == "/sell/ticket"


async def test_a_live_event_that_does_not_exist_is_not_found(seller: Browser) -> None:
    assert (await seller.open("/sell/ticket?event=01a20dff-d3a1-70bd-b03d-9f4912000fee")).status == 404
    assert (await seller.open("/sell/ticket?event=nonsense")).status == 404
