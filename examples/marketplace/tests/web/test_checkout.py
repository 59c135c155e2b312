"""Buying in a real browser: the whole way with and without scripts, by keyboard, in a race, and against the time."""

from __future__ import annotations

import re

import anyio
import pytest
from playwright.async_api import Page, Route, expect
from web import tour
from web.conftest import NewPage
from web.house import House
from web.keyboard import tab_to

from ticketkit.domain.policy import OnDecline, Policy

MINUTE = 60_000
PAY = "Pay for your tickets"
PAID = "The tickets are yours"


async def alone(page: Page) -> None:
    """Let nothing be looked at again: what happens on the page comes of its own clock."""

    async def refuse(route: Route) -> None:
        live = route.request.resource_type in ("fetch", "eventsource", "xhr")
        await (route.abort() if live else route.fallback())

    await page.route("**/*", refuse)


async def orders_of(house: House, name: str) -> list[str]:
    user = await house.market.auth.find(f"{name}@example.com")
    assert user is not None
    mine, _ = await house.market.orders.mine(user.id)
    return [placed.order.id for placed in mine]


async def click_twice(page: Page, house: House, button: str) -> None:
    """The second comes before the answer to the first."""
    place = page.get_by_role("button", name=button)
    await place.scroll_into_view_if_needed()
    box = await place.bounding_box()
    assert box is not None
    house.answers.shut()
    for number in (1, 2):
        await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await house.answers.held(number)
    house.answers.open()


@pytest.mark.parametrize("scripts", ["with scripts", "without JavaScript", "scripts that never come"])
async def test_a_newcomer_buys_two_tickets_and_has_their_passes(
    house: House, house_page: NewPage, scripts: str
) -> None:
    await house.put_up(await house.announce(tour.SHOW), "49.50", "55.00", "62.50")
    page = await house_page(java_script_enabled=scripts != "without JavaScript")
    if scripts == "scripts that never come":
        await page.route("**/static/*.js", lambda route: route.abort())
    await tour.sign_up(page, onward="/")
    await tour.headed(page, "What is on")
    await page.get_by_role("link", name=tour.SHOW).click()
    await tour.headed(page, tour.SHOW)
    for number in (0, 2):
        await page.get_by_role("checkbox").nth(number).check()
    await page.locator(".buy button").click()
    await tour.headed(page, PAY)
    await expect(page.locator("main")).to_contain_text("$112.00")
    await tour.pay(page, "A card that pays")
    await tour.headed(page, PAID)
    await page.get_by_role("link", name="Show the passes").click()
    await tour.headed(page, "Your passes")
    await expect(page.get_by_role("img", name="QR code")).to_have_count(2)
    assert house.captured() == [11200]


async def test_somebody_buys_with_the_keyboard_alone(house: House, house_page: NewPage) -> None:
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page()
    await house.let_in(page.context, "buyer")
    await page.goto(f"/tickets/{ticket.id}")
    await tab_to(page, "Buy for $49.50")
    await page.keyboard.press("Enter")
    await tour.headed(page, PAY)
    await tab_to(page, "A card that pays")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("A card that is declined")).to_be_checked()
    await page.keyboard.press("ArrowUp")
    await tab_to(page, "Pay $49.50")
    await page.keyboard.press("Space")
    await tour.headed(page, PAID)
    await tab_to(page, "Show the passes")
    await page.keyboard.press("Enter")
    await tour.headed(page, "Your passes")
    await tab_to(page, "The pass as text")
    await page.keyboard.press("Space")
    await expect(page.locator("details code")).to_be_visible()


async def test_of_two_browsers_that_race_one_pays_and_the_other_is_offered_the_next_best(
    house: House, house_page: NewPage
) -> None:
    tickets = await house.put_up(await house.announce(tour.SHOW), "49.50", "20.00", "48.00", "90.00")
    pages = [await house_page() for _ in range(2)]
    for number, page in enumerate(pages):
        await house.let_in(page.context, f"racer-{number}")
        await page.goto(f"/tickets/{tickets[0].id}")
    async with anyio.create_task_group() as race:
        for page in pages:
            race.start_soon(tour.buy, page)
    told = [page.get_by_role("heading", level=1) for page in pages]
    for heading in told:
        await expect(heading).to_have_text(re.compile(f"{PAY}|Somebody was faster"))
    lost = [page for page, heading in zip(pages, told, strict=True) if "faster" in await heading.inner_text()]
    assert len(lost) == 1
    nearest = lost[0].locator("tbody th")
    await expect(nearest).to_have_text(["Orchestra K 103", "Orchestra K 102", "Orchestra K 104"])
    await lost[0].get_by_role("checkbox").first.check()
    await lost[0].get_by_role("button", name="Buy the chosen tickets").click()
    await tour.headed(lost[0], PAY)
    await expect(lost[0].locator("main")).to_contain_text("Orchestra K 103")


async def test_two_clicks_and_the_back_button_order_and_pay_once(house: House, house_page: NewPage) -> None:
    """Without scripts, which would not send the second."""
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page(java_script_enabled=False)
    await house.let_in(page.context, "buyer")
    await page.goto(f"/tickets/{ticket.id}")
    await click_twice(page, house, "Buy for $49.50")
    await tour.headed(page, PAY)
    assert len(await orders_of(house, "buyer")) == 1
    await click_twice(page, house, "Pay $49.50")
    await tour.headed(page, PAID)
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(f"{PAID}|{PAY}|{ticket.seat}"))
    for button in await page.get_by_role("button", name=re.compile("Pay|Buy for")).all():
        await button.click()
    await page.goto("/orders")
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert len(await orders_of(house, "buyer")) == 1
    assert house.captured() == [4950]


async def test_the_time_is_counted_down_announced_and_extended_once_by_one_click(
    house: House, house_page: NewPage
) -> None:
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page()
    await house.let_in(page.context, "buyer")
    await page.clock.install(time=house.clock.now())
    await alone(page)
    await tour.order(page, ticket)
    await tour.headed(page, PAY)
    until, said = page.locator("[data-until]"), page.locator("#time-left")
    await page.clock.run_for(9 * MINUTE)
    await expect(until).to_have_text(re.compile(r"[56]:\d\d left"))
    await expect(said).to_have_text("")
    await page.clock.run_for(MINUTE + 1000)
    await expect(said).to_have_text("5 minutes left to pay. You can ask for more time below.")
    await house.clock.advance(minutes=10)
    await page.get_by_role("button", name="I need more time").click()
    await expect(page.get_by_role("status").first).to_have_text("You have more time now.")
    await expect(page.locator("main")).to_contain_text("until 19:20:00")
    await page.clock.run_for(9 * MINUTE)
    await expect(said).to_have_text("1 minute left to pay. You can ask for more time below.")
    await page.get_by_role("button", name="I need more time").click()
    await expect(page.get_by_role("status").first).to_contain_text("it can't be extended again")


async def test_an_order_that_expires_while_its_page_is_open_says_that_nothing_was_charged(
    house: House, house_page: NewPage
) -> None:
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page()
    await house.let_in(page.context, "buyer")
    await page.clock.install(time=house.clock.now())
    await tour.order(page, ticket)
    await tour.headed(page, PAY)
    await house.clock.advance(minutes=15, seconds=1)
    await page.clock.run_for(15 * MINUTE + 5000)
    await tour.headed(page, "This order has expired")
    await expect(page.locator("main")).to_contain_text("You were not charged.")
    await expect(page.get_by_role("button", name="Pay")).to_have_count(0)
    await expect(page.get_by_text("more time")).to_have_count(0)
    assert house.booked() == []


@pytest.mark.parametrize("house", [Policy(on_decline=OnDecline.KEEP)], indirect=True, ids=["kept"])
async def test_after_a_decline_another_card_pays_for_the_same_tickets(house: House, house_page: NewPage) -> None:
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page()
    await house.let_in(page.context, "buyer")
    await tour.order(page, ticket)
    await tour.headed(page, PAY)
    await tour.pay(page, "A card that has expired")
    await tour.headed(page, "Your payment was declined")
    await expect(page.get_by_role("alert")).to_have_text("The card has expired. You were not charged.")
    await page.get_by_role("link", name="Try another card").click()
    await tour.headed(page, PAY)
    await tour.pay(page, "A card that pays")
    await tour.headed(page, PAID)
    assert len(await orders_of(house, "buyer")) == 1
    assert house.captured() == [4950]


async def test_a_payment_that_the_bank_takes_its_time_for_is_told_when_it_is_decided(
    house: House, house_page: NewPage
) -> None:
    (ticket,) = await house.put_up(await house.announce(tour.SHOW), "49.50")
    page = await house_page()
    await house.let_in(page.context, "buyer")
    await tour.order(page, ticket)
    await tour.headed(page, PAY)
    await tour.pay(page, "takes its time", wait=False)
    await house.keep_waiting()
    await tour.headed(page, "Waiting for your bank")
    order_page = page.url.partition("?")[0]
    await page.goto(order_page)
    await tour.headed(page, PAY)
    await tour.pay(page, "A card that pays")
    await tour.headed(page, "Waiting for your bank")  # which has the first one, so there is no second
    await house.decide()
    await tour.headed(page, PAID)
    assert house.captured() == [4950]
