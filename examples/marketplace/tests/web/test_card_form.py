"""Stripe's card form: card data goes from the browser to Stripe, and the order's page says what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import pytest
from money.shop import provider
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, expect
from pydantic import SecretStr
from web import stripe_js, tour
from web.barriers import CONTRAST, NARROW, RULES, look
from web.browsing import Browser
from web.conftest import ListTickets, NewPage, Stage, windows
from web.house import House, opened
from web.stripe_js import StripeJs

from ticketkit.backends.errors import Misconfigured
from ticketkit.marketplace import Marketplace
from ticketkit.runtime.settings import Environment, Settings
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.api import Api
from ticketkit_marketplace.web.app import Web
from ticketkit_marketplace.web.security import POLICY, policy
from ticketkit_marketplace.web.settings import CardForm, Options, WebSettings
from ticketkit_stripe.simulator import Simulator, Statement

FORM = CardForm("pk_test_simulator")
PAY = "Pay for your tickets"
STRIPES = {
    "connect-src": "'self' https://api.stripe.com",
    "frame-src": "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
    "script-src": "'self' https://js.stripe.com https://*.js.stripe.com",
}


@pytest.fixture(scope="module")
def stripe() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def shop(stripe: Simulator, tmp_path: Path) -> AsyncIterator[House]:
    """A marketplace whose money goes to the simulator, which tells it by webhooks."""
    await anyio.to_thread.run_sync(stripe.control.reset)
    market = Marketplace(payments=provider(stripe))
    async with opened(Together(market, Options(uploads=tmp_path / "uploads", card_form=FORM))) as house:
        await anyio.to_thread.run_sync(stripe.control.add_endpoint, f"{house.url}/api/payments/webhooks/stripe")
        yield house


@pytest.fixture
async def shop_page(chromium: Chromium, shop: House) -> AsyncIterator[NewPage]:
    async with windows(chromium, shop.url, *stripe_js.SITES) as window:
        yield window


@pytest.fixture
def stripe_in_browser(stripe: Simulator) -> StripeJs:
    return StripeJs(stripe.control)


async def books(stripe: Simulator) -> Statement:
    return await anyio.to_thread.run_sync(stripe.control.books)


async def at_the_form(page: Page, shop: House, stand_in: StripeJs | None = None) -> None:
    """A buyer is to pay $49.50."""
    (ticket,) = await shop.put_up(await shop.announce(tour.SHOW), "49.50")
    await shop.let_in(page.context, "buyer")
    if stand_in is not None:
        await stand_in.stand_in(page)
    await tour.order(page, ticket)
    await tour.headed(page, PAY)


async def enter(page: Page, number: str) -> None:
    """Type a card into Stripe's frame, and pay."""
    await page.get_by_role("button", name="Enter your card").click()
    await page.frame_locator("#card-fields iframe").get_by_label("Card number").fill(number)
    await page.get_by_role("button", name="Pay $49.50").click()


async def test_a_card_goes_to_stripe_and_never_comes_here(
    shop: House, shop_page: NewPage, stripe: Simulator, stripe_in_browser: StripeJs
) -> None:
    page = await shop_page(viewport=NARROW)
    seen: list[str] = []
    page.on("request", lambda sent: seen.append(f"{sent.url} {sent.post_data}") if shop.url in sent.url else None)
    await at_the_form(page, shop, stripe_in_browser)
    await page.get_by_role("button", name="Enter your card").dblclick()
    number = page.frame_locator("#card-fields iframe").get_by_label("Card number")
    await expect(number).to_be_visible()
    await look("card-form", page, NARROW, light=RULES, dark=CONTRAST)
    await page.get_by_role("button", name="Pay $49.50").click()
    await expect(page.get_by_role("alert")).to_have_text("Your card number is incomplete.")
    await number.fill(stripe_js.PAYS)
    await page.get_by_role("button", name="Pay $49.50").click()
    await tour.headed(page, "The tickets are yours")
    found = await books(stripe)
    assert [(line.captured, line.captures) for line in found.intents] == [(4950, 1)]
    assert found.violations == []
    assert len(seen) > 5
    assert not [line for line in seen if stripe_js.PAYS in line]
    await expect(page.locator("#card-loading")).to_have_count(0)
    assert stripe_in_browser.asked[0] == "/endive/stripe.js"


async def test_a_card_that_is_declined_is_told_with_the_reason(
    shop: House, shop_page: NewPage, stripe: Simulator, stripe_in_browser: StripeJs
) -> None:
    page = await shop_page()
    await at_the_form(page, shop, stripe_in_browser)
    await enter(page, stripe_js.DECLINED)
    await tour.headed(page, "Your payment was declined")
    await expect(page.get_by_role("alert")).to_have_text("The card has insufficient funds. You were not charged.")
    assert (await books(stripe)).moved("capture") == 0


async def test_a_bank_that_asks_the_buyer_is_answered_in_stripes_frame(
    shop: House, shop_page: NewPage, stripe: Simulator, stripe_in_browser: StripeJs
) -> None:
    page = await shop_page()
    await at_the_form(page, shop, stripe_in_browser)
    await enter(page, stripe_js.ASKS)
    await page.frame_locator("#card-fields iframe").get_by_role("button", name="Complete authentication").click()
    await tour.headed(page, "The tickets are yours")
    assert [line.captured for line in (await books(stripe)).intents] == [4950]


async def test_two_windows_have_one_payment_between_them(
    shop: House, shop_page: NewPage, stripe: Simulator, stripe_in_browser: StripeJs
) -> None:
    page = await shop_page()
    await at_the_form(page, shop, stripe_in_browser)
    second = await page.context.new_page()
    await stripe_in_browser.stand_in(second)
    await second.goto(page.url)
    await second.get_by_role("button", name="Enter your card").click()
    await enter(page, stripe_js.PAYS)
    await tour.headed(page, "The tickets are yours")
    await tour.headed(second, "The tickets are yours")  # by itself, though Stripe's frame was open there
    await expect(second.locator("#card-form")).to_have_count(0)
    assert [(line.captured, line.captures) for line in (await books(stripe)).intents] == [(4950, 1)]


async def test_without_javascript_the_page_says_that_the_card_form_needs_it(
    shop: House, shop_page: NewPage, stripe: Simulator
) -> None:
    page = await shop_page(java_script_enabled=False)
    await at_the_form(page, shop)
    told = page.locator("#card-loading")
    await expect(told).to_be_visible()
    await expect(told).to_contain_text("The card form is Stripe's")
    await expect(told).to_contain_text("It needs JavaScript")
    await expect(told).to_contain_text("Nothing was charged")
    await expect(page.get_by_role("button", name="Enter your card")).to_be_hidden()
    await expect(page.get_by_role("button", name="Cancel the order")).to_be_visible()
    assert (await books(stripe)).intents == []


async def test_when_stripe_can_not_be_reached_the_page_says_so(shop: House, shop_page: NewPage) -> None:
    page = await shop_page()
    await page.route("https://js.stripe.com/**", lambda route: route.abort())
    await at_the_form(page, shop)
    await expect(page.get_by_role("alert")).to_contain_text("could not be loaded. You were not charged.")
    await expect(page.get_by_role("button", name="Enter your card")).to_be_hidden()


def directives(page: httpx2.Response) -> dict[str, str]:
    parts = (part.partition(" ") for part in page.headers["content-security-policy"].split("; "))
    return {name: sources for name, _, sources in parts}


@pytest.mark.parametrize("form", [None, FORM], ids=["test cards", "Stripe"])
async def test_stripes_sites_are_allowed_where_stripe_takes_the_card_and_nowhere_else(
    site: Together, buyer: Browser, stage: Stage, put_up: ListTickets, form: CardForm | None
) -> None:
    market = site.market
    (ticket,) = await put_up(await stage(), "49.50")
    options = replace(site.options, card_form=form)
    async with (
        Api.within(market.asgi()) as api,
        Web(api, options, clock=market.clock).running() as web,
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=web), base_url="http://testserver", cookies=buyer.client.cookies
        ) as client,
    ):
        before = await client.get(f"/tickets/{ticket.id}")
        browser = Browser(client, buyer.clock)
        await browser.open(f"/tickets/{ticket.id}")
        placed = await browser.send(browser.page.form("Buy for $49.50"))
        order = await client.get(placed.headers["location"])
        away = await client.get("/nowhere")
    assert directives(before) == directives(away) == POLICY
    if form is None:
        assert directives(order) == POLICY
        assert "stripe" not in order.text
    else:
        assert directives(order) == POLICY | STRIPES
        assert 'payment=(self "https://js.stripe.com")' in order.headers["permissions-policy"]
        assert 'data-key="pk_test_simulator"' in order.text


def test_a_policy_can_be_added_to_and_never_loosened() -> None:
    assert "unsafe" not in policy(STRIPES)


@pytest.mark.parametrize("key", ["sk_test_abc", "sk_live_abc", "rk_live_abc", "whsec_abc"])
def test_a_secret_is_never_taken_for_the_key_that_visitors_see(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("TICKETKIT_WEB_STRIPE_PUBLISHABLE_KEY", key)
    with pytest.raises(Misconfigured, match="STRIPE_PUBLISHABLE_KEY: This is a secret of Stripe's") as refused:
        WebSettings.read()
    assert key not in str(refused.value)


def test_what_is_no_key_and_no_account_is_refused() -> None:
    with pytest.raises(Misconfigured, match="begins with pk_test_ or pk_live_"):
        WebSettings.read(stripe_publishable_key="12345")
    with pytest.raises(Misconfigured, match="TICKETKIT_WEB_STRIPE_ACCOUNT: The id of a connected account"):
        WebSettings.read(stripe_account="me")


def test_the_card_form_is_shown_where_stripe_takes_the_payments_and_has_a_key(tmp_path: Path) -> None:
    web = WebSettings.read(stripe_publishable_key="pk_test_1", stripe_account="acct_1")
    stripe = Settings(data_dir=tmp_path, payments=SecretStr("stripe:?methods=card"))
    assert Options.of(stripe, web).card_form == CardForm("pk_test_1", "acct_1")
    assert Options.of(stripe, WebSettings.read()).card_form is None
    assert Options.of(Settings(data_dir=tmp_path), web).card_form is None


def test_in_production_stripe_without_its_card_form_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, payments=SecretStr("stripe:"), environment=Environment.PRODUCTION)
    with pytest.raises(Misconfigured, match="export TICKETKIT_WEB_STRIPE_PUBLISHABLE_KEY"):
        Options.of(settings, WebSettings.read())
