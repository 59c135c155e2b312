"""A walk through every page of the web client in a real browser: for tests that look at each, and for screenshots."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from playwright.async_api import Page

Stop: TypeAlias = tuple[str, Page]
Walk: TypeAlias = Callable[[Page], AsyncIterator[Stop]]

SHOW = "Grand Horizons"
PASSWORD = "correct horse"
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
    yield "home", page
    await page.goto("/?q=cats+and+dogs")
    yield "search-without-result", page
    await page.goto("/")
    await page.get_by_role("link", name=SHOW).click()
    yield "event", page
    await page.get_by_label("Price from").fill("cheap")
    await page.get_by_role("button", name="Show").click()
    yield "event-bad-filter", page
    await page.get_by_label("Price from").fill("100000")
    await page.get_by_role("button", name="Show").click()
    yield "event-without-result", page
    await page.get_by_role("link", name="Show all tickets").click()
    await page.locator("tbody a").first.click()
    yield "ticket", page
    await page.goto("/sell")
    yield "sell", page
    await page.goto("/sign-in?next=/listings")
    yield "sign-in", page
    await page.goto("/sign-up")
    yield "sign-up", page
    await page.get_by_label("E-mail address").fill("nobody")
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Create the account").click()
    yield "sign-up-errors", page
    await page.goto("/nowhere")
    yield "not-found", page


async def for_a_seller(page: Page) -> AsyncIterator[Stop]:
    """What a seller sees, from signing up on."""
    await page.goto("/sign-up?next=/listings")
    await page.get_by_label("E-mail address").fill(address())
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Create the account").click()
    yield "listings-empty", page
    await page.goto("/sell")
    await page.get_by_role("link", name=SHOW).click()
    yield "sell-ticket", page
    await page.goto("/sell/ticket")
    await page.get_by_role("button", name="List the ticket").click()
    yield "sell-new-event-errors", page
    await page.goto("/sell/file")
    yield "sell-file", page
    await choose(page, BAD_FILE)
    yield "sell-file-preview", page
    await page.get_by_role("button", name="without the bad rows").click()
    while not await page.get_by_text("Done: 2 tickets are for sale.").is_visible():
        await page.goto(page.url)  # as who has no JavaScript does it
    yield "sell-file-done", page
    await page.goto("/listings")
    yield "listings", page
    await page.locator("tbody a").first.click()
    yield "listing", page
    await page.get_by_role("link", name="Withdraw the ticket").click()
    yield "withdraw", page
    await page.get_by_role("button", name="Withdraw it").click()
    yield "listing-withdrawn", page


WALKS: tuple[Walk, ...] = (for_nobody, for_a_seller)
"""All of them; each begins with a browser that knows nothing."""


def address() -> str:
    """An e-mail address that nobody has yet."""
    return f"ada-{secrets.token_hex(4)}@example.com"


async def choose(page: Page, content: str) -> None:
    """Choose a file and have it looked through."""
    file = {"name": "jazz.csv", "mimeType": "text/csv", "buffer": content.encode()}
    await page.get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="Look through the file").click()
