"""Static files; the API and the pages on one address; the web client as a process of its own."""

from pathlib import Path

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from web.browsing import Browser
from web.conftest import Stage

from ticketkit.backends.errors import Misconfigured
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.runtime import NotRunning
from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.assets import Assets
from ticketkit_marketplace.web.process import Process as WebProcess
from ticketkit_marketplace.web.settings import Options, WebSettings


async def test_static_files_are_kept_for_ever_under_a_name_with_their_hash(nobody: Browser) -> None:
    page = await nobody.open("/")
    address = str(page.one("link[rel=stylesheet]")["href"])
    response = await nobody.client.get(address)
    assert response.headers["content-type"].startswith("text/css")
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-encoding"] == "gzip"
    plain = await nobody.client.get(address, headers={"accept-encoding": "identity"})
    assert plain.content == response.content
    assert (await nobody.client.get("/static/style.000000000000.css")).status_code == 404
    assert (await nobody.client.get("/static/..%2fapp.py")).status_code == 404


def test_a_page_with_all_that_it_loads_is_small() -> None:
    assets = Assets()
    loaded = [assets.url(name) for name in ("style.css", "app.js", "icon.svg")]
    assert sum(len(assets.content(url)) for url in loaded) < 35_000


async def test_the_api_keeps_its_paths_and_the_pages_have_the_rest(nobody: Browser) -> None:
    client = nobody.client
    assert (await client.get("/api/events")).json() == []
    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")
    assert (await client.get("/docs")).status_code == 200
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200
    assert "ticketkit" in (await client.get("/metrics")).text
    lost = await client.get("/api/nowhere")
    assert lost.status_code == 404
    assert lost.headers["content-type"] == "application/problem+json"
    assert (await client.get("/nowhere")).headers["content-type"].startswith("text/html")


class Plugin:
    """One with a route of its own."""

    def ticketkit_routes(self) -> "list[BaseRoute]":
        async def hello(_: Request) -> PlainTextResponse:
            return PlainTextResponse("hello")

        return [Route("/plugin/hello", hello)]


async def test_routes_of_plugins_are_served_beside_the_pages(tmp_path: Path) -> None:
    market = Marketplace(clock=VirtualClock(), plugins=[Plugin()])
    together = Together(market, Options(uploads=tmp_path))
    with pytest.raises(NotRunning):
        _ = together.web
    transport = httpx2.ASGITransport(app=together)
    async with together.running(), httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert (await client.get("/plugin/hello")).text == "hello"
        assert (await client.get("/")).status_code == 200


async def test_a_request_has_one_id_from_the_page_to_the_log_of_the_services(
    nobody: Browser, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/events/{(await stage()).id}"
    with caplog.at_level("INFO", logger="ticketkit.access"):
        response = await nobody.client.get(path, headers={"x-request-id": "number-7"})
    assert response.headers["x-request-id"] == "number-7"
    logged = {vars(record)["path"] for record in caplog.records if vars(record).get("correlation_id") == "number-7"}
    assert f"/api{path}" in logged
    response = await nobody.client.get(path, headers={"x-request-id": "bad id"})
    assert response.headers["x-request-id"] != "bad id"


async def test_tries_to_sign_in_are_counted_by_the_address_of_the_visitor(tmp_path: Path) -> None:
    """Not by that of the web client, which is one for all."""
    settings = Settings(data_dir=tmp_path, storage_url=SecretStr("memory:"), sign_in_per_minute_and_address=2)
    site = Together(Marketplace.of(settings), Options.of(settings, WebSettings()))

    async def answer(address: str) -> int:
        transport = httpx2.ASGITransport(app=site, client=(address, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            data = {"email": "ada@example.com", "password": "wrong password"}
            return int((await client.post("/sign-in", data=data)).status_code)

    async with site.running():
        assert [await answer("192.0.2.1") for _ in range(3)] == [422, 422, 429]
        assert await answer("192.0.2.2") == 422


def test_without_the_address_of_the_services_the_process_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="TICKETKIT_WEB_API_URL"):
        WebProcess(Settings(data_dir=tmp_path), WebSettings())


def test_a_setting_that_can_not_be_read_is_said_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_WEB_API_TIMEOUT", "soon")
    with pytest.raises(Misconfigured, match="TICKETKIT_WEB_API_TIMEOUT: Input should be a valid number"):
        WebSettings.read()
    with pytest.raises(Misconfigured, match="TICKETKIT_WEB_API_URL: URL scheme should be"):
        WebSettings.read(api_url="x://y", api_timeout="3")


async def test_the_web_client_runs_as_a_process_of_its_own(services: Process, tmp_path: Path) -> None:
    environment = {"TICKETKIT_WEB_API_URL": f"http://{services.host}:{services.port}"}
    process = Process(tmp_path / "web", environment=environment, program=("ticketkit_marketplace", "web"))
    try:
        await anyio.to_thread.run_sync(process.start)
        async with httpx2.AsyncClient(base_url=f"http://{process.host}:{process.port}") as client:
            browser = Browser(client, VirtualClock())
            page = await browser.open("/")
            assert "Grand Horizons" in page.every(".ticket h2")
            await browser.sign_up("ada")
            assert (await browser.open("/listings")).heading == "My listings"
            assert page.response.headers["x-request-id"]
        assert await anyio.to_thread.run_sync(process.stop) == 0
    finally:
        process.kill()


async def test_the_trace_of_a_page_goes_on_into_what_it_asks_of_the_api(nobody: Browser, market: Marketplace) -> None:
    form = (await nobody.open("/sign-up")).form("Create the account")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    nobody.client.headers["traceparent"] = trace
    async with market.runtime.backends.bus.broadcast(["user.signed_up"]) as subscription:
        await nobody.send(form, email="ada@example.com", password="correct horse")
        (delivery,) = await subscription.receive(1)
    assert delivery.event.traceparent == trace
