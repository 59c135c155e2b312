"""Who may use the operations page."""

from http.cookies import SimpleCookie

import pytest
from ops.conftest import PASSWORD, Visit
from web.browsing import Browser

from ticketkit.domain.entities import Order
from ticketkit.marketplace import Marketplace
from ticketkit_marketplace.ops import sampling


async def test_who_is_not_signed_in_signs_in_first_and_goes_on_where_they_were(
    nobody: Browser, market: Marketplace
) -> None:
    await market.auth.sign_up("olga@example.com", PASSWORD, roles=("operator",))
    page = await nobody.open("/ops/orders?state=completed")
    assert page.heading == "Sign in"
    page = await nobody.submit("Sign in", email="olga@example.com", password="wrong password")
    assert (page.status, page.errors) == (422, {"": "E-mail address or password is wrong."})
    page = await nobody.submit("Sign in", email="", password="")
    assert page.errors == {"email": "Enter your e-mail address.", "password": "Enter your password."}
    page = await nobody.submit("Sign in", email="olga@example.com", password=PASSWORD)
    assert page.heading == "Orders: paid"
    assert "olga@example.com" in page.said(".account")


async def test_who_has_not_the_role_is_told_so_and_shown_nothing(visit: Visit, order: Order) -> None:
    buyer = await visit("bob")
    for path in ("/ops", "/ops/orders", f"/ops/orders/{order.id}", "/ops/dead-letters", "/ops/traffic"):
        page = await buyer.open(path)
        assert (page.status, page.heading) == (403, "This page is for operators")
        assert "does not have the role" in page.text
        assert not page.soup.select("nav")
    sent = await buyer.client.post(f"/ops/locks/{order.id}/release", data={"key": "k"})
    assert sent.status_code == 403


async def test_a_form_of_nobody_does_nothing(nobody: Browser, order: Order, market: Marketplace) -> None:
    sent = await nobody.client.post(f"/ops/locks/{order.id}/release", data={"key": "k"})
    assert sent.headers["location"].startswith("/ops/sign-in")
    assert (await market.orders.get("ada", order.id)).order.status == "created"


async def test_another_site_can_not_act_in_an_operators_name(
    operator: Browser, order: Order, market: Marketplace
) -> None:
    for headers in (
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "http://testserver:8000"},
        {"origin": "http://testserver:8000"},
    ):
        sent = await operator.client.post(f"/ops/locks/{order.id}/release", data={"key": "k"}, headers=headers)
        assert sent.status_code == 403
        assert "another site" in sent.text
    assert (await market.orders.get("ada", order.id)).order.status == "created"


async def test_signing_out_ends_the_session_and_leaves_the_one_of_the_web_client(
    visit: Visit, market: Marketplace
) -> None:
    await market.auth.sign_up("olga@example.com", PASSWORD, roles=("operator",))
    browser = await visit()
    shop = {"email": "olga@example.com", "password": PASSWORD}
    response = await browser.client.post("http://testserver/sign-in", data=shop)
    session = SimpleCookie(response.headers["set-cookie"])["session"].value
    await browser.open("/ops/sign-in")
    await browser.submit("Sign in", email="olga@example.com", password=PASSWORD)
    token = browser.client.cookies["ops_session"]
    page = await browser.submit("Sign out")
    assert (page.heading, "You are signed out" in page.text) == ("Sign in", True)
    browser.client.cookies.set("ops_session", token)
    await market.clock.settle()
    assert (await browser.open("/ops")).heading == "Sign in"
    shown = await browser.client.get("http://testserver/listings", headers={"cookie": f"session={session}"})
    assert shown.status_code == 200


async def test_the_cookie_is_for_this_page_alone(nobody: Browser, market: Marketplace) -> None:
    await market.auth.sign_up("olga@example.com", PASSWORD, roles=("operator",))
    data = {"email": "olga@example.com", "password": PASSWORD}
    response = await nobody.client.post("/ops/sign-in", data=data)
    cookie = SimpleCookie(response.headers["set-cookie"])["ops_session"]
    assert (cookie["path"], cookie["samesite"].lower(), bool(cookie["httponly"])) == ("/ops", "strict", True)


async def test_a_session_that_is_used_is_renewed_and_one_that_is_not_ends(
    operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "EVERY", 60.0)
    before = operator.client.cookies["ops_session"]
    await operator.clock.advance(minutes=6)
    assert (await operator.open("/ops")).heading == "Overview"
    assert operator.client.cookies["ops_session"] != before
    await operator.clock.advance(minutes=11)
    assert (await operator.open("/ops")).heading == "Sign in"


async def test_the_other_port_has_no_operations_page(visit: Visit) -> None:
    shopper = await visit(port=8000)
    assert (await shopper.client.get("/ops")).status_code == 404
    ops = await visit()
    assert (await ops.client.get("/")).headers["location"] == "/ops"
    assert (await ops.client.get("/api/events")).status_code == 404
    assert (await ops.client.get("/healthz")).text == "alive"


async def test_what_is_not_there_is_said(operator: Browser) -> None:
    for path in (
        "/ops/nowhere",
        "/ops/orders/0199c0de-0000-7000-8000-000000000000",
        "/ops/orders/nonsense",
        "/ops/events/0199c0de-0000-7000-8000-000000000000",
        "/ops/dead-letters/letter?in=bus&id=1",
        "/ops/locks?cursor=nonsense",
    ):
        page = await operator.open(path)
        assert (page.status, page.heading) == (404, "There is nothing here"), path
