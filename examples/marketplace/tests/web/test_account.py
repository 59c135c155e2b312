"""Sign up, sign in, sign out."""

import pytest
from web.browsing import Browser
from web.conftest import Stage, Visit

from ticketkit.marketplace import Marketplace

PASSWORD = "correct horse"


async def test_somebody_signs_up_and_out_and_in(nobody: Browser) -> None:
    await nobody.open("/")
    await nobody.follow("Sign up")
    page = await nobody.submit("Create the account", email="ada@example.com", password=PASSWORD)
    assert page.path == "/?done=signed-up"
    assert "Your account is ready" in page.text
    assert page.said(".who") == "ada@example.com"
    page = await nobody.submit("Sign out")
    assert "You are signed out" in page.text
    assert not page.soup.select(".who")
    await nobody.follow("Sign in")
    page = await nobody.submit("Sign in", email="Ada@Example.com", password=PASSWORD)
    assert page.said(".who") == "ada@example.com"


async def test_the_session_is_a_cookie_that_scripts_can_not_read(nobody: Browser) -> None:
    await nobody.open("/sign-up")
    form = nobody.page.form("Create the account")
    response = await nobody.send(form, email="ada@example.com", password=PASSWORD)
    assert response.status_code == 303
    assert "session=" in response.headers["set-cookie"]
    assert "HttpOnly" in response.headers["set-cookie"]
    assert "samesite=lax" in response.headers["set-cookie"].lower()


async def test_after_signing_in_one_goes_on_where_one_was(nobody: Browser, market: Marketplace) -> None:
    await market.auth.sign_up("ada@example.com", PASSWORD)
    page = await nobody.open("/listings?status=sold")
    assert page.heading == "Sign in"
    page = await nobody.submit("Sign in", email="ada@example.com", password=PASSWORD)
    assert page.path == "/listings?status=sold&done=signed-in"
    assert page.heading == "My listings"


async def test_signing_up_instead_goes_on_there_too(nobody: Browser) -> None:
    await nobody.open("/listings")
    await nobody.follow("Sign up")
    page = await nobody.submit("Create the account", email="ada@example.com", password=PASSWORD)
    assert page.heading == "My listings"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:1"])
async def test_one_never_goes_on_to_another_site(nobody: Browser, market: Marketplace, elsewhere: str) -> None:
    await market.auth.sign_up("ada@example.com", PASSWORD)
    await nobody.open("/sign-in")
    form = nobody.page.form("Sign in")
    form.action = f"/sign-in?next={elsewhere}"
    response = await nobody.send(form, email="ada@example.com", password=PASSWORD, next=elsewhere)
    assert response.headers["location"] == "/?done=signed-in"


@pytest.mark.parametrize(
    ("email", "password", "errors"),
    [
        ("", "", {"email": "Enter your e-mail address.", "password": "Use 8 to 128 characters; these are 0."}),
        ("nobody", PASSWORD, {"email": "This is not an e-mail address. It looks like name@example.com."}),
        ("nobody@", PASSWORD, {"email": "This is not an e-mail address. It looks like name@example.com."}),
        ("a@example.com", "short", {"password": "Use 8 to 128 characters; these are 5."}),
    ],
)
async def test_what_is_wrong_with_a_sign_up_is_said_at_the_field(
    nobody: Browser, email: str, password: str, errors: dict[str, str]
) -> None:
    await nobody.open("/sign-up")
    page = await nobody.submit("Create the account", email=email, password=password)
    assert page.status == 422
    assert page.errors == errors
    assert page.one("#email")["value"] == email
    assert "value" not in page.one("#password").attrs
    assert page.soup.title is not None
    assert str(page.soup.title.string).startswith("Error: ")


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(nobody: Browser, market: Marketplace) -> None:
    await market.auth.sign_up("ada@example.com", PASSWORD)
    told = []
    for email in ("ada@example.com", "bob@example.com"):
        await nobody.open("/sign-in")
        page = await nobody.submit("Sign in", email=email, password="wrong password")
        told.append(page.errors)
    assert told == [{"": "E-mail address or password is wrong."}] * 2


async def test_an_address_that_is_taken_is_said(nobody: Browser, market: Marketplace) -> None:
    await market.auth.sign_up("ada@example.com", PASSWORD)
    await nobody.open("/sign-up")
    page = await nobody.submit("Create the account", email="ada@example.com", password="another one")
    assert page.errors["email"].startswith("There is an account with this address already")


async def test_a_double_click_on_sign_up_is_signed_in_all_the_same(nobody: Browser) -> None:
    await nobody.open("/sign-up")
    form = nobody.page.form("Create the account")
    for _ in range(2):
        response = await nobody.send(form, email="ada@example.com", password=PASSWORD)
        nobody.client.cookies.clear()
        assert response.status_code == 303
        assert "session=" in response.headers["set-cookie"]


async def test_too_many_tries_are_told_with_the_time_to_wait(nobody: Browser) -> None:
    page = await nobody.open("/sign-in")
    for _ in range(11):
        await nobody.open("/sign-in")
        page = await nobody.submit("Sign in", email="ada@example.com", password="guess again")
    assert page.status == 429
    assert page.heading == "Too many tries"
    assert "Try again in" in page.text
    assert int(page.response.headers["retry-after"]) > 0


async def test_a_session_that_was_ended_elsewhere_is_over_here(visit: Visit, market: Marketplace) -> None:
    here, there = await visit("ada"), await visit()
    there.client.cookies.set("session", here.client.cookies["session"])
    await there.open("/")
    await there.submit("Sign out")
    await market.clock.settle()
    page = await here.open("/listings")
    assert page.heading == "Sign in"


async def test_nobody_gets_the_session_of_another_visitor(visit: Visit, stage: Stage) -> None:
    ada, bob, nobody = await visit("ada"), await visit("bob"), await visit()
    for _ in range(3):
        assert (await ada.open("/")).said(".who") == "ada@example.com"
        assert (await bob.open("/")).said(".who") == "bob@example.com"
        assert not (await nobody.open("/")).soup.select(".who")


async def test_pages_of_somebody_are_kept_by_no_cache(visit: Visit, nobody: Browser) -> None:
    ada = await visit("ada")
    assert (await ada.open("/")).response.headers["cache-control"] == "no-store"
    assert (await nobody.open("/")).response.headers["cache-control"] == "no-cache"
