"""Every page in a real browser: accessibility in light and dark, 320 px, the keyboard alone, no JavaScript."""

import re
from decimal import Decimal

import pytest
from playwright.async_api import expect
from web import tour
from web.barriers import CONTRAST, NARROW, RULES, SIZES, WIDE, look
from web.conftest import NewPage
from web.house import House
from web.keyboard import tab_to


@pytest.mark.parametrize("walk", tour.WALKS, ids=lambda walk: walk.__name__)
async def test_no_page_has_a_barrier_or_scrolls_sideways(new_page: NewPage, walk: tour.Walk) -> None:
    """At 320 px, the one that has least room; in the dark only the contrast is another."""
    page = await new_page(viewport=NARROW, reduced_motion="reduce")
    async for name, shown in walk(page):
        await look(name, shown, NARROW, light=RULES, dark=CONTRAST)


async def test_no_page_of_an_order_has_a_barrier_or_scrolls_sideways(house: House, house_page: NewPage) -> None:
    page = await house_page(viewport=NARROW, reduced_motion="reduce")
    async for name, shown in tour.for_a_buyer(page, house):
        await look(name, shown, NARROW, light=RULES, dark=CONTRAST)


@pytest.mark.proof
async def test_no_page_of_an_order_has_a_barrier_at_any_size(house: House, house_page: NewPage) -> None:
    page = await house_page(viewport=WIDE, reduced_motion="reduce")
    async for name, shown in tour.for_a_buyer(page, house):
        for size in SIZES:
            await look(name, shown, size, light=RULES, dark=RULES)


@pytest.mark.proof
@pytest.mark.parametrize("walk", tour.WALKS, ids=lambda walk: walk.__name__)
async def test_no_page_has_a_barrier_at_any_size_in_light_and_dark(new_page: NewPage, walk: tour.Walk) -> None:
    page = await new_page(viewport=WIDE, reduced_motion="reduce")
    async for name, shown in walk(page):
        for size in SIZES:
            await look(name, shown, size, light=RULES, dark=RULES)


async def test_somebody_signs_up_and_sells_with_the_keyboard_alone(new_page: NewPage) -> None:
    page = await new_page(viewport=WIDE)
    press, type_ = page.keyboard.press, page.keyboard.type
    await page.goto("/")
    await press("Tab")
    await expect(page.locator(":focus")).to_have_text("Skip to the content")
    await press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.goto("/sell")
    await tab_to(page, tour.SHOW)
    await press("Enter")
    await tour.headed(page, "Sign in")
    await tab_to(page, "Sign up")
    await press("Enter")
    await tour.headed(page, "Sign up")
    await tab_to(page, "E-mail address")
    await type_("not an address")
    await press("Enter")
    await expect(page.locator(":focus")).to_contain_text("There are problems")
    await tab_to(page, "This is not an e-mail")
    await press("Enter")
    await expect(page.locator("#email")).to_be_focused()
    await press("Control+A")
    await type_(tour.address())
    await press("Tab")
    await type_(tour.PASSWORD)
    await press("Enter")
    await tour.headed(page, "Sell a ticket")
    await tab_to(page, "Seat")
    await type_("Standing")
    await tab_to(page, "Price")
    await type_("75")
    await tab_to(page, "List the ticket")
    await press("Space")
    await tour.headed(page, "Standing")
    await tab_to(page, "Withdraw the ticket")
    await press("Enter")
    await tour.headed(page, "Withdraw Standing?")
    await tab_to(page, "Withdraw it")
    await press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The ticket is off the market.")


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
async def test_many_tickets_are_sold_from_a_file(new_page: NewPage, scripts: bool) -> None:  # noqa: FBT001
    page = await new_page(java_script_enabled=scripts)
    seen = [name async for name, _ in tour.for_a_seller(page)]
    assert "sell-file-done" in seen
    await page.goto("/listings?status=withdrawn")
    await expect(page.locator("tbody th a")).to_have_count(1)


async def test_a_listing_that_goes_on_is_followed_without_a_click(new_page: NewPage) -> None:
    page = await new_page()
    async for name, _ in tour.for_a_seller(page):
        if name == "sell-file":
            break
    rows = "event,venue,starts_at,price,quantity\nMarathon,Town,2030-07-03T20:00Z,5,4000\n"
    await tour.choose(page, rows)
    await page.get_by_role("button", name="List 4,000 tickets").click()
    await expect(page.get_by_text("Done: 4,000 tickets are for sale.")).to_be_visible(timeout=60_000)
    await expect(page).to_have_title(re.compile("4,000 of 4,000 listed"))


async def test_a_second_click_is_not_sent(new_page: NewPage) -> None:
    page = await new_page()
    posts: list[str] = []
    page.on("request", lambda sent: posts.append(sent.url) if sent.method == "POST" else None)
    await page.goto("/sign-up")
    await page.get_by_label("E-mail address").fill(tour.address())
    await page.get_by_label("Password").fill(tour.PASSWORD)
    await page.get_by_role("button", name="Create the account").dblclick(no_wait_after=True)
    await expect(page.get_by_role("status")).to_contain_text("Your account is ready")
    assert len(posts) == 1


async def test_text_may_be_twice_as_large(new_page: NewPage) -> None:
    """WCAG 1.4.4: nothing is lost at 200 %, which is what half the width shows."""
    page = await new_page(viewport={"width": 640, "height": 480}, device_scale_factor=2)
    await page.goto("/")
    await expect(page.get_by_role("button", name="Search")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 640


async def test_the_button_says_how_many_tickets_are_chosen_and_what_they_cost(new_page: NewPage) -> None:
    page = await new_page()
    await page.goto("/")
    await page.get_by_role("link", name=tour.SHOW).click()
    button = page.locator(".buy button")
    await expect(button).to_have_text("Buy the chosen tickets")
    boxes = page.get_by_role("checkbox")
    prices = [Decimal(text.removeprefix("$")) for text in await page.locator("tbody td.number").all_inner_texts()]
    await boxes.nth(0).check()
    await expect(button).to_have_text(f"Buy 1 ticket for ${prices[0]}")
    await boxes.nth(3).check()
    await expect(button).to_have_text(f"Buy 2 tickets for ${prices[0] + prices[3]}")
    await boxes.nth(0).uncheck()
    await boxes.nth(3).uncheck()
    await expect(button).to_have_text("Buy the chosen tickets")
