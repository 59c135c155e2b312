"""What changes is seen without a click in a real browser, and nothing that somebody is filling in is lost."""

import re

from playwright.async_api import Page, expect
from web.conftest import NewPage
from web.house import House

from ticketkit.domain.entities import LiveEvent, Ticket

SOON = 5_000
"""Milliseconds within which a page that is told shows it; one that only looks by itself takes half a minute."""


HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def goes_on_sale(house: House, *prices: str) -> "tuple[LiveEvent, list[Ticket]]":
    event = await house.announce("Hamilton")
    return event, await house.put_up(event, *prices)


async def told(page: Page, path: str) -> None:
    """Open a page, and wait until the server tells it what changes."""
    async with page.expect_response(lambda answer: "/live?" in answer.url) as opened:
        await page.goto(path)
    assert (await opened.value).status == 200


async def heading(page: Page, text: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(text, timeout=SOON)


async def test_a_ticket_that_somebody_buys_is_gone_from_the_pages_of_others(house: House, house_page: NewPage) -> None:
    event, (one, other) = await goes_on_sale(house, "100", "120")
    listed, shown, buying = await house_page(), await house_page(), await house_page()
    await told(listed, f"/events/{event.id}")
    await told(shown, f"/tickets/{one.id}")
    await house.let_in(buying.context, "ada")
    await buying.goto(f"/tickets/{one.id}")
    await buying.get_by_role("button", name="Buy for $100.00").click()
    await heading(buying, "Pay for your tickets")
    await expect(listed.locator("tbody th a")).to_have_text(["Orchestra K 102"], timeout=SOON)
    await expect(listed.locator(".headline .big")).to_have_text("$120.00")
    await expect(shown.locator("main .note")).to_contain_text("Somebody is buying this ticket.", timeout=SOON)
    await expect(shown.get_by_role("button", name="Buy for")).to_have_count(0)
    await expect(shown.locator("#news")).to_contain_text("Somebody is buying this ticket.")
    await buying.get_by_role("button", name="Cancel the order").click()
    await heading(buying, "You cancelled this order")
    await expect(listed.locator("tbody th a")).to_have_text(["Orchestra K 101", "Orchestra K 102"], timeout=SOON)
    await expect(shown.get_by_role("button", name="Buy for $100.00")).to_be_visible(timeout=SOON)
    await house.reprice(other, "90")
    await expect(listed.locator("tbody td.number")).to_have_text(["$90.00", "$100.00"], timeout=SOON)
    await expect(listed.locator("tbody th a")).to_have_text(["Orchestra K 102", "Orchestra K 101"])


async def test_a_price_that_changes_is_shown_and_said(house: House, house_page: NewPage) -> None:
    _, [ticket] = await goes_on_sale(house, "100")
    page = await house_page()
    await told(page, f"/tickets/{ticket.id}")
    await house.reprice(ticket, "80")
    await expect(page.get_by_role("button", name="Buy for $80.00")).to_be_visible(timeout=SOON)
    await expect(page.locator("#news")).to_have_text("Price $80.00")
    await house.let_in(page.context, "ada")
    await page.get_by_role("button", name="Buy for $80.00").click()
    await heading(page, "Pay for your tickets")


async def test_sales_that_are_paused_are_seen_at_once(house: House, house_page: NewPage) -> None:
    event, _ = await goes_on_sale(house, "100")
    page = await house_page()
    await told(page, f"/events/{event.id}")
    await house.market.tickets.pause(event.id, owner_id=event.owner_id)
    await expect(page.locator("main").get_by_text("Sales are paused.")).to_be_visible(timeout=SOON)
    await expect(page.get_by_role("checkbox")).to_have_count(0)
    await house.market.tickets.pause(event.id, owner_id=event.owner_id, paused=False)
    await page.get_by_role("checkbox").check(timeout=SOON)
    await expect(page.locator(".buy button")).to_have_text("Buy 1 ticket for $100.00")


async def test_what_is_chosen_and_typed_stays_while_the_list_changes(house: House, house_page: NewPage) -> None:
    event, tickets = await goes_on_sale(house, "100", "110", "120", "130")
    page = await house_page()
    await told(page, f"/events/{event.id}")
    await page.get_by_role("checkbox").nth(1).check()
    await page.get_by_role("checkbox").nth(2).check()
    await page.get_by_label("Seat or title").fill("orch")
    for gone in (tickets[0], tickets[2]):
        await house.market.tickets.withdraw(gone.seller_id, gone.id)
    await house.reprice(tickets[1], "105")
    seats = page.locator("tbody th")
    await expect(seats).to_have_text(["Orchestra K 102", "Orchestra K 103 Gone", "Orchestra K 104"], timeout=SOON)
    await expect(page.locator("#news")).to_have_text("Orchestra K 103 is gone. You have not ordered it.")
    await expect(page.get_by_role("checkbox").nth(0)).to_be_checked()
    await expect(page.get_by_role("checkbox").nth(1)).to_be_disabled()
    await expect(page.locator(".buy button")).to_have_text("Buy 1 ticket for $105.00")
    await expect(page.get_by_label("Seat or title")).to_have_value("orch")
    await expect(page.get_by_label("Seat or title")).to_be_focused()
    await house.let_in(page.context, "ada")
    await page.locator(".buy button").click()
    await heading(page, "The price has changed")
    await expect(page.get_by_role("main")).to_contain_text("$110.00")


async def ordered(house: House, page: Page, *, answer: int = 200) -> str:
    """Somebody orders a ticket; the path of the order, whose page asks to be told what changes."""
    _, [ticket] = await goes_on_sale(house, "100")
    await house.let_in(page.context, "ada")
    await page.goto(f"/tickets/{ticket.id}")
    async with page.expect_response(lambda answer: "/live?order=" in answer.url) as opened:
        await page.get_by_role("button", name="Buy for $100.00").click()
    assert (await opened.value).status == answer
    await heading(page, "Pay for your tickets")
    return re.sub(r"^https?://[^/]+", "", page.url)


async def test_an_order_that_is_paid_in_another_window_is_seen_as_paid(house: House, house_page: NewPage) -> None:
    page = await house_page()
    path = await ordered(house, page)
    other = await page.context.new_page()
    await told(other, path)
    await other.get_by_role("button", name="Pay $100.00").click()
    await heading(other, "The tickets are yours")
    await heading(page, "The tickets are yours")
    await expect(page).to_have_title(re.compile("Your order"))
    await expect(page.get_by_role("button", name="Pay")).to_have_count(0)
    await expect(page.locator("#news")).to_have_text("The tickets are yours")
    assert await page.locator("main").get_attribute("data-live") is None
    assert house.captured() == [10_000]


async def test_an_order_that_expires_is_seen_as_expired(house: House, house_page: NewPage) -> None:
    page = await house_page()
    await ordered(house, page)
    await page.get_by_label("A card that is declined").check()
    await house.clock.advance(minutes=16)
    await heading(page, "This order has expired")
    await expect(page.get_by_role("main")).to_contain_text("You were not charged.")
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(page.locator("#news")).to_contain_text("This order has expired")


async def test_a_card_that_is_chosen_stays_when_the_order_gets_more_time(house: House, house_page: NewPage) -> None:
    page = await house_page()
    path = await ordered(house, page)
    until = page.locator("[data-until]")
    before = await until.get_attribute("data-until")
    assert before is not None
    await page.get_by_label("A card that is declined").check()
    other = await page.context.new_page()
    await other.goto(path)
    await other.get_by_role("button", name="I need more time").click()
    await expect(other.get_by_role("status").first).to_have_text("You have more time now.")
    await expect(until).not_to_have_attribute("data-until", before, timeout=SOON)
    await expect(until).to_contain_text("left")
    await expect(page.get_by_label("A card that is declined")).to_be_checked()
    await expect(page.get_by_label("A card that is declined")).to_be_focused()


async def test_where_there_is_no_stream_the_page_looks_by_itself(house: House, house_page: NewPage) -> None:
    house.site.web.site.hub._most = 0
    page = await house_page()
    await ordered(house, page, answer=503)
    await house.clock.advance(minutes=16)
    await page.locator("#order").evaluate("order => { order.dataset.refresh = '1' }")  # not in 15 seconds, but in one
    await heading(page, "This order has expired")


async def test_a_page_that_nobody_sees_has_no_stream_and_misses_nothing(house: House, house_page: NewPage) -> None:
    _, [ticket] = await goes_on_sale(house, "100")
    page = await house_page()
    hub = house.site.web.site.hub
    await told(page, f"/tickets/{ticket.id}")
    assert hub.open == 1
    async with page.expect_event("requestfailed", lambda request: "/live?" in request.url):
        await page.evaluate(HIDE, arg=True)
    await house.reprice(ticket, "70")
    await page.evaluate(HIDE, arg=False)
    await expect(page.get_by_role("button", name="Buy for $70.00")).to_be_visible(timeout=SOON)
