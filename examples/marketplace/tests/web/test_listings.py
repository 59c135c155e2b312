"""My listings: what is for sale, being bought, sold or withdrawn; change the price, withdraw."""

import pytest
from web.browsing import Browser
from web.conftest import Stage, Visit

from ticketkit.domain.entities import Ticket, TicketStatus
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace


@pytest.fixture
async def tickets(seller: Browser, market: Marketplace, stage: Stage) -> "list[Ticket]":
    """Three tickets of the seller."""
    event = await stage()
    user = await market.auth.find("seller@example.com")
    assert user is not None
    listings = [
        Listing(title="Hamilton", price=Money.parse(price, "USD"), event_id=event.id, seat=f"Seat {price}")
        for price in ("10", "20", "30")
    ]
    return list(await market.tickets.list(user.id, listings))


async def test_a_seller_sees_what_is_for_sale_being_bought_sold_and_withdrawn(
    seller: Browser, tickets: "list[Ticket]", market: Marketplace
) -> None:
    await market.orders.place("somebody", [tickets[0].id])
    await market.tickets.withdraw(tickets[1].seller_id, tickets[1].id)
    page = await seller.open("/listings")
    rows = dict(zip(page.every("tbody th a"), page.every("tbody td:last-child"), strict=True))
    assert rows == {"Seat 10": "Being bought until 19:15 EST", "Seat 20": "Withdrawn", "Seat 30": "For sale"}
    assert "Hamilton, 7 Jan 2026" in page.text
    assert (await seller.follow("Being bought")).every("tbody th a") == ["Seat 10"]
    assert "None of your tickets is here." in (await seller.follow("Sold")).text


async def test_who_sells_nothing_is_shown_how_to_begin(seller: Browser) -> None:
    page = await seller.open("/listings")
    assert "You have not listed a ticket yet." in page.text
    assert page.link("Sell your first ticket") == "/sell"


async def test_many_listings_are_paged(seller: Browser, tickets: "list[Ticket]", market: Marketplace) -> None:
    one = tickets[0]
    more = [Listing(title="More", price=one.price, event_id=one.event_id, seat=str(number)) for number in range(40)]
    await market.tickets.list(one.seller_id, more)
    seen = (await seller.open("/listings?status=available")).every("tbody th a")
    seen += (await seller.follow("Next page")).every("tbody th a")
    assert len(seen) == len(set(seen)) == 43


async def test_the_price_is_changed_and_buyers_see_it(
    seller: Browser, nobody: Browser, tickets: "list[Ticket]"
) -> None:
    assert (await nobody.open("/")).said(".price b") == "$10.00"
    await seller.open(f"/listings/{tickets[0].id}")
    assert seller.page.one("#price")["value"] == "10.00"
    page = await seller.submit("Save", price="8.75")
    assert "The change is saved" in page.text
    assert (await nobody.open("/")).said(".price b") == "$8.75"


@pytest.mark.parametrize(
    ("price", "error"),
    [
        ("", "Enter a price, such as 49.50."),
        ("12,50", "'12,50' is not an amount such as 25 or 25.50."),
        ("0", "The price must be greater than 0."),
    ],
)
async def test_a_price_that_is_none_is_said(seller: Browser, tickets: "list[Ticket]", price: str, error: str) -> None:
    await seller.open(f"/listings/{tickets[0].id}")
    page = await seller.submit("Save", price=price)
    assert page.errors == {"price": error}
    assert page.one("#price")["value"] == price


async def test_a_ticket_that_was_locked_meanwhile_is_not_changed(
    seller: Browser, tickets: "list[Ticket]", market: Marketplace
) -> None:
    await seller.open(f"/listings/{tickets[0].id}")
    await market.orders.place("somebody", [tickets[0].id])
    page = await seller.submit("Save", price="5")
    assert page.status == 409
    assert page.said("#errors h2") == "Somebody was faster"
    assert "Somebody is buying it." in page.text
    assert (await market.tickets.get(tickets[0].id)).price == tickets[0].price


async def test_a_ticket_is_withdrawn_after_a_question(
    seller: Browser, tickets: "list[Ticket]", market: Marketplace
) -> None:
    await seller.open(f"/listings/{tickets[0].id}")
    page = await seller.follow("Withdraw the ticket")
    assert page.heading == "Withdraw Seat 10?"
    form = page.form("Withdraw it")
    page = await seller.submit("Withdraw it")
    assert "The ticket is off the market." in page.text
    assert (await market.tickets.get(tickets[0].id)).status is TicketStatus.WITHDRAWN
    again = await seller.send(form)
    assert again.headers["location"].endswith("done=withdrawn")


async def test_a_ticket_that_was_locked_meanwhile_is_not_withdrawn(
    seller: Browser, tickets: "list[Ticket]", market: Marketplace
) -> None:
    await seller.open(f"/listings/{tickets[0].id}/withdraw")
    await market.orders.place("somebody", [tickets[0].id])
    page = await seller.submit("Withdraw it")
    assert page.status == 409
    assert page.said("#errors h2") == "Somebody was faster"


async def test_the_lock_ends_and_the_ticket_can_be_changed_again(
    seller: Browser, tickets: "list[Ticket]", market: Marketplace
) -> None:
    await market.orders.place("somebody", [tickets[0].id])
    page = await seller.open(f"/listings/{tickets[0].id}")
    assert not page.soup.select("#price")
    await market.clock.advance(minutes=16)
    seller.client.cookies.set("session", (await market.auth.sign_in("seller@example.com", "correct horse")).token)
    assert (await seller.follow("Look again")).one("#price")["value"] == "10.00"


async def test_tickets_of_others_are_told_like_those_that_do_not_exist(visit: Visit, tickets: "list[Ticket]") -> None:
    other = await visit("other")
    for path in (f"/listings/{tickets[0].id}", f"/listings/{tickets[0].id}/withdraw"):
        assert (await other.open(path)).status == 404
    assert (await other.open("/listings/01a20dff-d3a1-70bd-b03d-9f4912000fee")).status == 404


async def test_ones_own_ticket_has_a_way_to_change_it_and_none_to_buy_it(
    seller: Browser, tickets: "list[Ticket]"
) -> None:
    page = await seller.open(f"/tickets/{tickets[0].id}")
    assert page.link("Change its price") == f"/listings/{tickets[0].id}"
    assert not page.soup.select("form[action='/orders']")


async def test_a_sold_ticket_says_so(seller: Browser, tickets: "list[Ticket]", market: Marketplace) -> None:
    placed = await market.orders.place("somebody", [tickets[0].id])
    await market.clock.settle()
    await market.payments.pay("somebody", placed.order.id, token="tok_visa")
    await market.clock.advance(seconds=5)
    assert "It is sold and paid for." in (await seller.open(f"/listings/{tickets[0].id}")).text
    assert (await seller.open("/listings?status=sold")).every("tbody th a") == ["Seat 10"]
