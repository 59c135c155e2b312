"""A walk through every page of the web client in a real browser: for tests that look at each, and for screenshots.

A click is not waited for: the browser may still have the old page, or have left it and not read the new one. So each
stop names what only its own page says, and is there when the page says it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

from playwright.async_api import Locator, Page, expect
from web.house import House

from ticketkit.domain.entities import Ticket

Stop: TypeAlias = tuple[str, Page]
Walk: TypeAlias = Callable[[Page], AsyncIterator[Stop]]

SHOW = "Grand Horizons"
PASSWORD = "correct horse"
FILE = "jazz.csv"
BAD_FILE = """\
event,venue,starts_at,zone,seat,price,currency
Jazz in the Yard,The Yard,2030-07-03T20:00,Europe/Berlin,Row A 1,45,EUR
Jazz in the Yard,The Yard,2030-07-03T20:00,Europe/Berlin,Row A 2,forty,EUR
Jazz in the Yard,The Yard,2030-07-03 at 8,Europe/Berlin,Row A 3,45,EUR
Jazz in the Yard,The Yard,2030-07-03T20:00,Europe/Berlin,Row A 4,49.50,EUR
"""


async def for_nobody(page: Page) -> AsyncIterator[Stop]:
    """What is there without an account."""
    await page.goto("/")
    yield await stop(page, "home", "What is on")
    await page.goto("/?q=cats+and+dogs")
    yield await stop(page, "search-without-result", "Found for “cats and dogs”")
    await page.goto("/")
    await page.get_by_role("link", name=SHOW).click()
    yield await stop(page, "event", SHOW)
    await page.get_by_label("Price from").fill("cheap")
    await page.get_by_role("button", name="Show").click()
    yield await stop(page, "event-bad-filter", SHOW, says="Nothing is shown")
    await page.get_by_label("Price from").fill("100000")
    await page.get_by_role("button", name="Show").click()
    yield await stop(page, "event-without-result", SHOW, says="No ticket for sale is like that.")
    await page.get_by_role("link", name="Show all tickets").click()
    first = page.locator("tbody a").first
    seat = await first.inner_text()
    await first.click()
    yield await stop(page, "ticket", seat)
    await page.goto("/sell")
    yield await stop(page, "sell", "Sell your tickets")
    await page.goto("/sign-in?next=/listings")
    yield await stop(page, "sign-in", "Sign in")
    await page.goto("/sign-up")
    yield await stop(page, "sign-up", "Sign up")
    await page.get_by_label("E-mail address").fill("nobody")
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Create the account").click()
    yield await stop(page, "sign-up-errors", "Sign up", says="There are problems")
    await page.goto("/nowhere")
    yield await stop(page, "not-found", "This page does not exist")


async def for_a_seller(page: Page) -> AsyncIterator[Stop]:
    """What a seller sees, from signing up on."""
    await sign_up(page, onward="/listings")
    yield await stop(page, "listings-empty", "My listings", says="Your account is ready")
    await page.goto("/sell")
    await page.get_by_role("link", name=SHOW).click()
    yield await stop(page, "sell-ticket", "Sell a ticket")
    await page.goto("/sell/ticket")
    await page.get_by_role("button", name="List the ticket").click()
    yield await stop(page, "sell-new-event-errors", "Announce an event and sell a ticket", says="There are problems")
    await page.goto("/sell/file")
    yield await stop(page, "sell-file", "Sell from a file")
    await choose(page, BAD_FILE)
    yield await stop(page, "sell-file-preview", f"What is in {FILE}")
    await page.get_by_role("button", name="without the bad rows").click()
    await headed(page, FILE)
    done = page.get_by_text("Done: 2 tickets are for sale.")
    while not await done.is_visible():
        await page.goto(page.url)  # as who has no JavaScript does it
    yield await stop(page, "sell-file-done", FILE, says=done)
    await page.goto("/listings")
    yield await stop(page, "listings", "My listings")
    first = page.locator("tbody a").first
    seat = await first.inner_text()
    await first.click()
    yield await stop(page, "listing", seat)
    await page.get_by_role("link", name="Withdraw the ticket").click()
    yield await stop(page, "withdraw", f"Withdraw {seat}?")
    await page.get_by_role("button", name="Withdraw it").click()
    yield await stop(page, "listing-withdrawn", seat, says="The ticket is off the market.")


async def for_a_buyer(page: Page, house: House) -> AsyncIterator[Stop]:
    """What a buyer sees: each way in which an order may end, the passes, and the door."""
    event = await house.announce(SHOW)
    tickets = await house.put_up(event, "49.50", "55.00", "62.50", "75.00", "82.00", "99.00", "120.00")
    await house.let_in(page.context, "buyer")
    async for seen in while_choosing(page, house, tickets):
        yield seen
    async for seen in while_paying(page, house, tickets):
        yield seen
    await page.get_by_role("link", name="Show the passes").click()
    yield await stop(page, "passes", "Your passes", says=page.get_by_role("img", name="QR code"))
    text = await page.locator("details code").text_content() or ""
    await page.goto("/orders")
    yield await stop(page, "orders", "My orders")
    await house.let_in(page.context, "house")
    await page.goto("/door")
    yield await stop(page, "door", "At the door")
    for name, heading in (("door-welcome", "Welcome"), ("door-refused", "In already")):
        await page.get_by_label("Pass").fill(text)
        await page.get_by_role("button", name="Check the pass").click()
        yield await stop(page, name, heading)


async def while_choosing(page: Page, house: House, tickets: Sequence[Ticket]) -> AsyncIterator[Stop]:
    """Why a ticket can't be had as it was seen."""
    early = await house.announce("Opening Night", on_sale_at=house.clock.now() + timedelta(days=1))
    (unsold,) = await house.put_up(early, "65.00")
    await page.goto(f"/events/{early.id}")
    yield await stop(page, "event-not-on-sale", "Opening Night", says="Not on sale yet.")
    await page.goto(f"/tickets/{tickets[1].id}")
    await page.locator("main [name=ticket]").evaluate("(field, id) => { field.value = id; }", unsold.id)  # an old page
    await buy(page)
    yield await stop(page, "not-on-sale", "Not on sale yet")
    await page.goto(f"/tickets/{tickets[1].id}")
    await house.reprice(tickets[1], "59.00")
    await buy(page)
    yield await stop(page, "price-changed", "The price has changed")
    await page.goto(f"/tickets/{tickets[2].id}")
    await house.market.orders.place("rival", [tickets[2].id])
    await buy(page)
    yield await stop(page, "taken", "Somebody was faster")


async def while_paying(page: Page, house: House, tickets: Sequence[Ticket]) -> AsyncIterator[Stop]:
    """How an order may end; the last one is paid."""
    await order(page, tickets[3])
    yield await stop(page, "pay", "Pay for your tickets", says=page.locator("[data-until]"))
    await pay(page, "without enough money")
    yield await stop(page, "declined", "Your payment was declined", says="The tickets went back on sale.")
    await order(page, tickets[3])
    await headed(page, "Pay for your tickets")
    await page.get_by_role("button", name="I need more time").click()
    yield await stop(page, "pay-extended", "Pay for your tickets", says="You have more time now.")
    await house.clock.advance(minutes=21)
    await page.goto(page.url)
    yield await stop(page, "expired", "This order has expired")
    await order(page, tickets[4])
    await headed(page, "Pay for your tickets")
    await page.get_by_role("button", name="Cancel the order").click()
    yield await stop(page, "cancelled", "You cancelled this order")
    await order(page, tickets[0])
    await headed(page, "Pay for your tickets")
    await pay(page, "takes its time", wait=False)
    await house.keep_waiting()
    yield await stop(page, "undecided", "Waiting for your bank")
    await house.decide()
    await page.goto(page.url)
    yield await stop(page, "paid", "The tickets are yours")


async def buy(page: Page) -> None:
    """Press the button of a ticket; the page after that is not waited for."""
    await page.get_by_role("button", name="Buy for").click()


async def order(page: Page, ticket: Ticket) -> None:
    """Order a ticket; the page after that is not waited for."""
    await page.goto(f"/tickets/{ticket.id}")
    await buy(page)


async def pay(page: Page, card: str, *, wait: bool = True) -> None:
    """Choose a test card and pay with it; the page after that is not waited for.

    Args:
        page: Of the order.
        card: What it does.
        wait: Whether the click waits for the answer to begin.
    """
    await page.get_by_label(card).check()
    await page.get_by_role("button", name="Pay $").click(no_wait_after=not wait)


WALKS: tuple[Walk, ...] = (for_nobody, for_a_seller)
"""Those that need nothing but the pages; each begins with a browser that knows nothing."""


async def stop(page: Page, name: str, heading: str, *, says: Locator | str | None = None) -> Stop:
    """Wait until a page is there whole.

    Args:
        page: The window.
        name: Of the stop.
        heading: Of the page.
        says: What else is seen on it, where the page before has the same heading.
    """
    await headed(page, heading)
    if says is not None:
        await expect(page.get_by_text(says) if isinstance(says, str) else says).to_be_visible()
        await page.wait_for_load_state("load")
    return name, page


async def headed(page: Page, heading: str) -> None:
    """Wait for a page with this heading, and until it is loaded."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    await page.wait_for_load_state("load")


async def sign_up(page: Page, *, onward: str) -> None:
    """Make an account; the page after that is not waited for."""
    await page.goto(f"/sign-up?next={onward}")
    await page.get_by_label("E-mail address").fill(address())
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create the account").click()


def address() -> str:
    """An e-mail address that nobody has yet."""
    return f"ada-{secrets.token_hex(4)}@example.com"


async def choose(page: Page, content: str) -> None:
    """Choose a file and have it looked through."""
    file = {"name": FILE, "mimeType": "text/csv", "buffer": content.encode()}
    await page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="Look through the file").click()
