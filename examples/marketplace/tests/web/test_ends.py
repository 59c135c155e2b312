"""Ends of the way: not found, from another site, too large, the services away, an error of ours."""

import httpx2
import pytest
from web.browsing import Browser
from web.conftest import ListTickets, Stage, Visit

from ticketkit.marketplace import Marketplace
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.api import Api, Visitor
from ticketkit_marketplace.web.app import Web
from ticketkit_marketplace.web.settings import Options

NOTHING_HAPPENED = "Nothing has happened: nothing was ordered, and nothing was charged."
UNSURE = "We can't see yet whether it was done. Nothing is ever done twice."
NOTHING = "01a20dff-d3a1-70bd-b03d-9f4912000fee"


@pytest.mark.parametrize("path", ["/nowhere", f"/events/{NOTHING}", f"/tickets/{NOTHING}", "/events/x", "/tickets/x"])
async def test_what_does_not_exist_is_not_found(nobody: Browser, path: str) -> None:
    page = await nobody.open(path)
    assert page.status == 404
    assert page.heading == "This page does not exist"
    assert page.link("See what is on") == "/"


async def test_who_is_signed_in_stays_so_on_a_page_that_does_not_exist(seller: Browser) -> None:
    assert (await seller.open("/nowhere")).said(".who") == "seller@example.com"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "http://other.testserver"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_another_site_can_do_nothing_in_somebodys_name(
    seller: Browser, stage: Stage, market: Marketplace, headers: "dict[str, str]"
) -> None:
    data = {"title": "T", "price": "5", "currency": "USD"}
    for path in (f"/sell/ticket?event={(await stage()).id}", "/sign-out", "/sell/file", "/sign-in", "/sign-up"):
        response = await seller.client.post(path, data=data, headers=headers)
        assert response.status_code == 403, path
        assert "This came from another site" in response.text
    assert (await seller.open("/")).said(".who") == "seller@example.com"


async def test_a_way_that_a_page_does_not_have_is_said(nobody: Browser) -> None:
    response = await nobody.client.post("/", data={})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert (await nobody.client.get("/sign-out")).status_code == 405
    assert (await nobody.client.put("/sign-in")).status_code == 405


async def test_a_form_that_is_too_large_is_refused(seller: Browser) -> None:
    page = await seller._shown(await seller.client.post("/sell/file", content=b"x" * (33 * 1024 * 1024)))
    assert page.status == 413
    assert page.heading == "That is too large"


async def test_a_form_that_can_not_be_read_is_refused(seller: Browser) -> None:
    response = await seller.client.post(
        "/sell/file", content=b"nonsense", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    page = await seller._shown(response)
    assert page.status in (400, 422)


async def test_an_error_of_ours_is_told_with_its_number_and_nothing_more(
    site: Together, nobody: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Visitor, "part", broken)
    transport = httpx2.ASGITransport(app=site, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        page = await Browser(client, nobody.clock).open("/")
    assert page.status == 500
    assert page.heading == "Something went wrong here"
    assert page.response.headers["x-request-id"] in page.text
    assert "secret" not in page.response.text


class Absent(httpx2.AsyncBaseTransport):
    """Services that are not there; what they do instead of answering can be changed."""

    def __init__(self) -> None:
        self.answer: Exception | httpx2.Response = httpx2.ConnectError("refused")

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "heading", "happened"),
    [
        (httpx2.ConnectError("refused"), "The box office does not answer just now", NOTHING_HAPPENED),
        (httpx2.ReadTimeout("late"), "The box office did not answer in time", UNSURE),
        (httpx2.Response(502), "The box office did not answer in time", UNSURE),
        (
            httpx2.Response(503, json={"code": "unavailable"}, headers={"retry-after": "7"}),
            "The box office does not answer just now",
            NOTHING_HAPPENED,
        ),
        (
            httpx2.Response(503, json={"code": "outcome_unknown"}),
            "The box office did not answer in time",
            UNSURE,
        ),
    ],
)
async def test_the_services_being_away_is_said_with_what_has_happened(
    nobody: Browser, options: Options, answer: "Exception | httpx2.Response", heading: str, happened: str
) -> None:
    absent = Absent()
    async with (
        httpx2.AsyncClient(transport=absent, base_url="http://api") as inner,
        Web(Api(inner), options).running() as web,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=web), base_url="http://testserver") as client,
    ):
        browser = Browser(client, nobody.clock)
        page = await browser.open("/")
        assert page.status == 503
        assert page.heading == "The box office does not answer just now"
        assert page.link("Try again") == "/"
        await browser.open("/sign-in")
        absent.answer = answer
        page = await browser.submit("Sign in", email="ada@example.com", password="correct horse")
        assert page.status == 503
        assert page.heading == heading
        assert happened in page.text
        assert int(page.response.headers["retry-after"]) >= 1


@pytest.fixture
def options(site: Together) -> Options:
    return site.options


async def test_prices_are_still_shown_when_the_services_go_away(
    site: Together, nobody: Browser, stage: Stage, put_up: ListTickets, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_up(await stage(), "10")
    await nobody.open("/")
    monkeypatch.setattr(site.web.site.api.client, "send", _refusing)
    page = await nobody.open("/")
    assert page.every(".price") == ["from $10.00 Only 1 left"]


async def _refusing(*_: object, **__: object) -> httpx2.Response:
    raise httpx2.ConnectError("refused")


async def test_every_response_keeps_browsers_from_framing_guessing_and_telling(nobody: Browser, visit: Visit) -> None:
    page = await nobody.open("/")
    assets = [str(tag["href"]) for tag in page.soup.select("link")]
    for path in ("/", "/nowhere", "/sign-out", *assets):
        headers = (await nobody.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


async def test_in_production_browsers_are_told_to_keep_to_https(site: Together, nobody: Browser) -> None:
    options = Options(uploads=site.options.uploads, secure=True)
    async with (
        Api.within(site.market.asgi()) as api,
        Web(api, options).running() as web,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=web), base_url="https://x") as client,
    ):
        assert "max-age" in (await client.get("/")).headers["strict-transport-security"]
