"""A walk through every page of the web client in a real browser: for tests that look at each, and for screenshots.

A click is not waited for: the browser may still have the old page, or have left it and not read the new one. So each
stop names what only its own page says, and is there when the page says it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from playwright.async_api import Locator, Page, expect

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


WALKS: tuple[Walk, ...] = (for_nobody, for_a_seller)
"""All of them; each begins with a browser that knows nothing."""


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
