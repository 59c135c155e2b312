"""Buying without JavaScript: hold, pay, and each way in which it may end; passes and the door."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from web.browsing import Browser
from web.conftest import ListTickets, Stage, Visit

from ticketkit.domain.money import Money
from ticketkit.marketplace import Marketplace

PASSWORD = "correct horse"


def shown(text: str) -> dict[str, Any]:
    return {"pass": text}


@pytest.fixture
async def at_order(buyer: Browser, stage: Stage, put_up: ListTickets) -> Browser:
    """A buyer who holds a ticket and is to pay."""
    (ticket,) = await put_up(await stage(), "49.50")
    await buyer.open(f"/tickets/{ticket.id}")
    await buyer.submit("Buy for $49.50")
    return buyer


async def test_a_ticket_is_held_paid_and_has_a_pass_that_is_good_once(
    at_order: Browser, visit: Visit, market: Marketplace
) -> None:
    assert at_order.page.heading == "Pay for your tickets"
    assert "until 19:15:00 EST" in at_order.page.text
    paid = await at_order.submit("Pay $49.50", card="tok_visa")
    assert (paid.status, paid.heading) == (200, "The tickets are yours")
    passes = await at_order.follow("Show the passes")
    assert len(passes.soup.select(".qr svg")) == 1
    text = passes.said("details code")
    house = await visit()
    house.client.cookies.set("session", (await market.auth.sign_in("house@example.com", PASSWORD)).token)
    await house.open("/door")
    assert (await house.submit("Check the pass", **shown(text))).heading == "Welcome"
    again = await house.submit("Check the pass", **shown(text))
    assert (again.status, again.heading) == (409, "In already")
    assert (await house.submit("Check the pass", **shown("nonsense"))).heading == "Not a pass"


async def test_a_double_click_orders_and_pays_once(
    buyer: Browser, stage: Stage, put_up: ListTickets, market: Marketplace
) -> None:
    (ticket,) = await put_up(await stage(), "49.50")
    form = (await buyer.open(f"/tickets/{ticket.id}")).form("Buy for $49.50")
    first, second = await buyer.send(form), await buyer.send(form)
    assert first.headers["location"] == second.headers["location"]
    pay = (await buyer.open(first.headers["location"])).form("Pay $49.50")
    for _ in range(2):
        assert (await buyer.send(pay, card="tok_visa")).status_code in (303, 409)
    books = market.payments.provider.books()  # type: ignore[attr-defined]
    assert [booked.captured for booked in books.charges] == [4950]


async def test_a_declined_card_is_told_with_what_to_do(at_order: Browser) -> None:
    shown = await at_order.submit("Pay $49.50", card="tok_chargeDeclinedInsufficientFunds")
    assert (shown.status, shown.heading) == (402, "Your payment was declined")
    assert "insufficient funds. You were not charged" in shown.text
    assert "one with more money on it" in shown.text
    orders = await at_order.open("/orders")
    assert "Over" in orders.text


async def test_an_order_that_ran_out_of_time_was_not_charged(at_order: Browser, market: Marketplace) -> None:
    form = at_order.page.form("Pay $49.50")
    await market.clock.advance(minutes=16)
    assert (await at_order.send(form, card="tok_visa")).status_code == 409
    shown = await at_order.open(at_order.page.path)
    assert shown.heading == "This order has expired"
    assert "You were not charged" in shown.text
    assert market.payments.provider.books().charges == ()  # type: ignore[attr-defined]


async def test_more_time_is_given_once(at_order: Browser, market: Marketplace) -> None:
    shown = await at_order.submit("I need more time")
    assert "until 19:20:00 EST" in shown.text
    assert "You have more time now" in shown.text
    assert "can't be extended again" in (await at_order.submit("I need more time")).text
    await market.clock.advance(minutes=17)
    assert (await at_order.submit("Pay $49.50", card="tok_visa")).heading == "The tickets are yours"


async def test_a_cancelled_order_is_over(at_order: Browser) -> None:
    assert (await at_order.submit("Cancel the order")).heading == "You cancelled this order"


async def test_who_is_too_late_is_shown_the_nearest_in_price(
    buyer: Browser, visit: Visit, stage: Stage, put_up: ListTickets
) -> None:
    tickets = await put_up(await stage(), "10", "49.50", "48", "200")
    rival = await visit("rival")
    await rival.open(f"/tickets/{tickets[1].id}")
    await buyer.open(f"/tickets/{tickets[1].id}")
    await rival.submit("Buy for $49.50")
    shown = await buyer.submit("Buy for $49.50")
    assert (shown.status, shown.heading) == (409, "Somebody was faster")
    assert shown.every("tbody th") == ["Seat 3", "Seat 1", "Seat 4"]
    chosen = await buyer.submit("Buy the chosen tickets", ticket=[tickets[2].id])
    assert chosen.heading == "Pay for your tickets"


async def test_a_price_that_changed_since_it_was_seen_is_asked_for_again(
    buyer: Browser, stage: Stage, put_up: ListTickets, market: Marketplace
) -> None:
    event = await stage()
    (ticket,) = await put_up(event, "49.50")
    await buyer.open(f"/tickets/{ticket.id}")
    await market.tickets.edit(event.owner_id, ticket.id, title=ticket.title, price=Money(6000, "USD"))
    shown = await buyer.submit("Buy for $49.50")
    assert (shown.status, shown.heading) == (409, "The price has changed")
    assert shown.every("td.number") == ["$49.50", "$60.00"]
    assert "Pay $60.00" in (await buyer.submit("Buy at the new price")).text


async def test_what_is_not_on_sale_says_when_or_why(
    buyer: Browser, stage: Stage, put_up: ListTickets, market: Marketplace
) -> None:
    opens = market.clock.now() + timedelta(days=1)
    (early,) = await put_up(await stage("Early", on_sale_at=opens), "10")
    paused = await stage("Paused")
    (held,) = await put_up(paused, "10")
    form = (await buyer.open(f"/tickets/{held.id}")).form("Buy for $10.00")
    await market.tickets.pause(paused.id, owner_id=None)
    for ticket, heading, words in ((early, "Not on sale yet", "19:00"), (held, "Sales are paused", "later")):
        fields = [(name, value) for name, value in form.fields if name == "key"]
        form.fields = [*fields, ("ticket", ticket.id)]
        answer = await buyer.send(form)
        assert answer.status_code == 409
        assert heading in answer.text
        assert words in answer.text
    assert "Sales are paused" in (await buyer.open(f"/events/{paused.id}")).text


async def test_nothing_chosen_and_nobody_signed_in_lose_nothing(
    nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    (ticket,) = await put_up(event, "10")
    await nobody.open(f"/events/{event.id}")
    assert (await nobody.submit("Buy the chosen tickets")).heading == "No ticket is chosen"
    await nobody.open(f"/tickets/{ticket.id}")
    shown = await nobody.submit("Buy for $10.00")
    assert shown.path == f"/sign-in?next=%2Ftickets%2F{ticket.id}"


async def test_a_payment_that_is_not_decided_keeps_the_tickets(at_order: Browser, market: Marketplace) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(partial(at_order.submit, "Pay $49.50", card="tok_pending"))
        await market.clock.advance(seconds=12)  # so long it waits for the bank, and then goes on
    assert (at_order.page.status, at_order.page.heading) == (200, "Waiting for your bank")
    assert "you can't be charged twice" in at_order.page.text
    (booked,) = market.payments.provider.books().charges  # type: ignore[attr-defined]
    await market.payments.provider.resolve(booked.reference)  # type: ignore[attr-defined]
    await market.clock.advance(seconds=40)
    assert (await at_order.open(at_order.page.path)).heading == "The tickets are yours"
