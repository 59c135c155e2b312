"""The operations page in a real browser: accessibility, light and dark, 320 px, numbers that change by themselves."""

from collections.abc import AsyncIterator, Iterator

import pytest
from ops import tour
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect
from web.barriers import CONTRAST, NARROW, RULES, WIDE, look
from web.chromium import started

from ticketkit_marketplace.demo.process import Process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tour.Place]:
    """A marketplace as `make run` runs it, with one show."""
    process = Process(tmp_path_factory.mktemp("ops"), environment={}, arguments=("--show", "Grand Horizons"))
    try:
        process.start()
        yield tour.place_of(process.said, f"http://{process.host}:{process.port}")
    finally:
        process.kill()


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    async with started() as browser:
        yield browser


@pytest.fixture
async def page(chromium: Chromium, place: tour.Place) -> AsyncIterator[Page]:
    """A window; fails if a page says an error or asks another site."""
    wrong: list[str] = []
    context = await chromium.new_context(base_url=place.ops, viewport=NARROW, reduced_motion="reduce")
    context.set_default_timeout(tour.PATIENCE)
    made: Page = await context.new_page()
    made.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("request", lambda sent: None if sent.url.startswith(place.ops) else wrong.append(sent.url))
    yield made
    await context.close()
    assert not [line for line in wrong if "Failed to load resource" not in line]


async def test_no_page_has_a_barrier_or_scrolls_sideways(page: Page, place: tour.Place) -> None:
    async for name, shown in tour.walk(page, place):
        await look(name, shown, NARROW, light=RULES, dark=CONTRAST)


@pytest.mark.proof
async def test_no_page_has_a_barrier_when_there_is_room(page: Page, place: tour.Place) -> None:
    async for name, shown in tour.walk(page, place):
        await look(name, shown, WIDE, light=RULES, dark=RULES)


async def test_numbers_change_without_a_click_until_they_are_stopped(page: Page, place: tour.Place) -> None:
    await page.set_viewport_size(WIDE)
    await tour.sign_in(page, place)
    before = int(await page.locator("#completed").inner_text())
    await page.locator("#tile-completed").focus()
    await tour.some_trade(place, orders=2)
    await expect(page.locator("#completed")).to_have_text(str(before + 1), timeout=tour.PATIENCE)
    await expect(page.locator("#tile-completed")).to_be_focused()
    await page.get_by_role("button", name="Stop refreshing").click()
    await expect(page.get_by_role("status")).to_contain_text(
        ["Stopped: what you see stays as it is."], timeout=tour.PATIENCE
    )
    seen = await page.locator("#live time").inner_text()
    await page.wait_for_timeout(2_500)
    assert await page.locator("#live time").inner_text() == seen
    await page.get_by_role("button", name="Stop refreshing").click()
    await expect(page.locator("#live time")).not_to_have_text(seen, timeout=tour.PATIENCE)


async def test_when_the_session_ends_elsewhere_the_page_asks_to_sign_in(page: Page, place: tour.Place) -> None:
    await tour.sign_in(page, place)
    await page.context.clear_cookies()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in", timeout=tour.PATIENCE)
