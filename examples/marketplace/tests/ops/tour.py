"""A walk through every page of the operations page in a real browser: for tests that look at each, and for pictures."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from playwright.async_api import Page, expect
from web.tour import PASSWORD, Stop, address

PATIENCE = 30_000
"""Milliseconds that something may take to be seen, on a machine that has much to do."""


@dataclass(frozen=True)
class Place:
    """A marketplace that runs, and where its operations page is.

    Args:
        shop: URL of the marketplace.
        ops: URL of the operations page.
        account: File with address and password of the operator.
    """

    shop: str
    ops: str
    account: Path


def place_of(said: list[str], shop: str) -> Place:
    """From what `ticketkit-marketplace run` said at its start."""
    found = [re.fullmatch(r"The operations page is on (\S+)/ops; its account is in (.+)", line) for line in said]
    (match,) = [one for one in found if one is not None]
    return Place(shop, match[1], Path(match[2]))


async def some_trade(place: Place, *, orders: int = 6) -> None:
    """Have a buyer order tickets and pay for every other one; somebody else comes too late for the first."""
    async with httpx2.AsyncClient(base_url=place.shop, timeout=60) as buyer:
        await buyer.post("/api/users/signup", json={"email": address(), "password": PASSWORD})
        events = (await buyer.get("/api/events")).json()
        path = f"/api/events/{events[0]['id']}/tickets"
        tickets = (await buyer.get(path, params={"limit": 100})).json()
        free = [ticket for ticket in tickets if ticket["status"] == "available"][:orders]
        for number, ticket in enumerate(free):
            answer = await buyer.post("/api/orders", json={"ticketIds": [ticket["id"]]})
            if number % 2 == 0:
                await buyer.post("/api/payments", json={"orderId": answer.json()["id"], "token": "tok_visa"})
            await buyer.post("/api/orders", json={"ticketIds": [free[0]["id"]]})


async def sign_in(page: Page, place: Place) -> None:
    """Sign in as the operator; then the overview is shown."""
    account = json.loads(place.account.read_text(encoding="utf-8"))
    await page.goto("/ops")
    await page.get_by_label("E-mail address").fill(account["email"])
    await page.get_by_label("Password").fill(account["password"])
    await page.get_by_role("button", name="Sign in").click()
    await arrived(page, "Overview")


async def arrived(page: Page, heading: str | re.Pattern[str]) -> None:
    """Wait for a page."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading, timeout=PATIENCE)


async def walk(page: Page, place: Place) -> AsyncIterator[Stop]:
    """Every page; nothing is changed but the sales of one live event, which are paused and resumed."""
    await page.goto("/ops")
    yield "sign-in", page
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible(timeout=PATIENCE)
    yield "sign-in-errors", page
    await sign_in(page, place)
    await some_trade(place)
    await expect(page.locator("#completed")).not_to_have_text("0", timeout=PATIENCE)
    await page.goto("/ops")
    yield "overview", page
    await page.get_by_role("link", name="Requests by route").click()
    await arrived(page, "Requests by route")
    yield "traffic", page
    await page.goto("/ops/flow")
    yield "flow", page
    await page.goto("/ops/orders?state=completed")
    yield "orders", page
    await page.locator("tbody a").first.click()
    await arrived(page, "Order")
    yield "order", page
    await page.goto("/ops/orders?order=nonsense")
    yield "orders-error", page
    await page.get_by_role("link", name="Locks").click()
    await arrived(page, "Locks")
    yield "locks", page
    await page.get_by_role("link", name="Release the lock").first.click()
    await arrived(page, "Release the lock?")
    yield "release", page
    await page.goto("/ops/events")
    yield "events", page
    await page.locator("tbody a").first.click()
    await expect(page.get_by_role("button", name="Pause sales")).to_be_visible(timeout=PATIENCE)
    yield "event", page
    await page.get_by_role("button", name="Pause sales").click()
    await expect(page.get_by_role("button", name="Resume sales")).to_be_visible(timeout=PATIENCE)
    yield "event-paused", page
    await page.get_by_role("button", name="Resume sales").click()
    await page.get_by_role("link", name="Cancel and refund everybody").click()
    await arrived(page, re.compile("^Cancel .+\\?$"))
    yield "cancel", page
    await page.get_by_role("button", name="Cancel it and refund everybody").click()
    await expect(page.get_by_role("alert")).to_contain_text("Type the name of the live event", timeout=PATIENCE)
    yield "cancel-error", page
    await page.goto("/ops/dead-letters")
    yield "dead-letters", page
    await page.goto("/ops/payments")
    yield "payments", page
    await page.goto("/ops/nowhere")
    yield "not-found", page
