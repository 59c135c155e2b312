"""Open pages are told what changes, by server-sent events; whoever is not told looks again by themselves."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from web.browsing import Browser
from web.conftest import ListTickets, Stage, Visit
from web.listening import reading

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.events.envelope import Event
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web import live, streams
from ticketkit_marketplace.web.live import FEW, Hub
from ticketkit_marketplace.web.process import Process as WebProcess
from ticketkit_marketplace.web.settings import Options, WebSettings

NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PAUSE", 0.02)


def address(browser: Browser) -> str:
    """Where the page that is open is told of what it shows."""
    main = browser.page.one("main")
    return f"{main['data-live']}&since={main['data-since']}"


def cookie(browser: Browser) -> str:
    return f"session={browser.client.cookies['session']}"


async def test_the_page_of_a_live_event_is_told_that_a_ticket_is_gone(
    site: Together, nobody: Browser, visit: Visit, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    ticket, _ = await put_up(event, "10", "20")
    await nobody.open(f"/events/{event.id}")
    buyer = await visit("ada")
    async with reading(site, address(nobody)) as page:
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/event-stream")
        assert page.headers["cache-control"] == "no-store"
        await buyer.open(f"/tickets/{ticket.id}")
        await buyer.submit("Buy for $10.00")
        assert await page.event() == ("change", {"what": "ticket", "id": ticket.id, "version": 2})
    shown = await nobody.open(f"/events/{event.id}")
    assert shown.every("tbody th a") == ["Seat 2"]
    assert "$20.00" in shown.said(".headline"), "not the price of the ticket that is gone, which is remembered"


async def test_the_page_of_a_ticket_is_told_of_its_price_and_of_its_live_event(
    site: Together, market: Marketplace, nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    ticket, other = await put_up(event, "10", "20")
    await nobody.open(f"/tickets/{ticket.id}")
    async with reading(site, address(nobody)) as page:
        await market.tickets.edit(event.owner_id, other.id, title="Other", price=other.price)
        await market.tickets.edit(event.owner_id, ticket.id, title=ticket.title, price=other.price)
        assert await page.event() == ("change", {"what": "ticket", "id": ticket.id, "version": 2})
        await market.tickets.pause(event.id, owner_id=event.owner_id)
        assert await page.event() == ("change", {"what": "event", "id": event.id, "version": 2})


async def test_an_order_is_told_to_its_buyer_alone(
    site: Together, buyer: Browser, visit: Visit, stage: Stage, put_up: ListTickets
) -> None:
    [ticket] = await put_up(await stage(), "10")
    await buyer.open(f"/tickets/{ticket.id}")
    order = (await buyer.submit("Buy for $10.00")).path.removeprefix("/orders/")
    for other in (cookie(await visit("eve")), "session=forged", ""):
        async with reading(site, f"/live?order={order}", cookie=other) as refused:
            assert refused.status == 404
    async with reading(site, address(buyer), cookie=cookie(buyer)) as page:
        assert page.status == 200
        await buyer.submit("Pay $10.00", card="tok_visa")
        _, said = await page.event()
        assert said["what"] in ("order", "charge")
        assert set(said) == {"what", "id", "version"}
    assert "data-live" not in buyer.page.one("main").attrs, "a paid order is what it is"


async def test_an_order_that_expires_is_told(site: Together, buyer: Browser, stage: Stage, put_up: ListTickets) -> None:
    [ticket] = await put_up(await stage(), "10")
    await buyer.open(f"/tickets/{ticket.id}")
    await buyer.submit("Buy for $10.00")
    async with reading(site, address(buyer), cookie=cookie(buyer)) as page:
        await buyer.clock.advance(minutes=16)
        assert (await page.event())[1]["what"] == "order"


async def test_what_changed_after_the_page_was_made_is_told_at_once(
    site: Together, market: Marketplace, nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    one, other = await put_up(event, "10", "20")
    await market.clock.settle()
    pages = {}
    for ticket in (one, other):
        await nobody.open(f"/tickets/{ticket.id}")
        pages[ticket.id] = address(nobody)
    await market.tickets.withdraw(event.owner_id, one.id)
    await market.clock.settle()
    async with reading(site, pages[one.id]) as late, reading(site, pages[other.id]) as idle:
        assert await late.event() == ("again", {})
        await market.tickets.withdraw(event.owner_id, other.id)
        assert (await idle.event())[0] == "change", "nothing of its own had changed before"
    async with reading(site, pages[one.id], last_event_id=late.last_id) as back:
        await market.tickets.pause(event.id, owner_id=event.owner_id)
        assert (await back.event())[1]["what"] == "event", "who comes back has missed nothing in between"
    async with reading(site, f"/live?ticket={one.id}&since=before-a-restart.7") as stranger:
        assert await stranger.event() == ("again", {})


async def test_many_changes_are_one_message_and_take_no_room(
    site: Together, market: Marketplace, nobody: Browser, stage: Stage, put_up: ListTickets
) -> None:
    event = await stage()
    tickets = await put_up(event, *["10"] * (5 * FEW))
    await nobody.open(f"/events/{event.id}")
    async with reading(site, address(nobody)) as page:
        page.slow = anyio.Event()  # it reads nothing for a while
        for ticket in tickets:
            await market.tickets.withdraw(event.owner_id, ticket.id)
        await market.clock.settle()
        page.slow.set()
        told = [await page.event()]
        while told[-1][0] != "again":
            told.append(await page.event())
        assert len(told) <= FEW + 1
        assert page.chunks <= 3


async def test_few_changes_within_a_pause_are_told_together(
    site: Together, nobody: Browser, stage: Stage, put_up: ListTickets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAUSE", 0.3)
    market = site.market
    event = await stage()
    tickets = await put_up(event, "10", "20", "30")
    await nobody.open(f"/events/{event.id}")
    async with reading(site, address(nobody)) as page:
        for ticket in tickets:
            await market.tickets.edit(event.owner_id, ticket.id, title="A", price=ticket.price)
            await market.tickets.edit(event.owner_id, ticket.id, title="B", price=ticket.price)
        told = [(await page.event())[1] for _ in tickets]
        while not all(said["version"] == 3 for said in {said["id"]: said for said in told}.values()):
            told.append((await page.event())[1])
        assert page.chunks <= 3, "the greeting, the first change, and the rest"


@pytest.mark.parametrize(
    "query",
    ["", "since=1", "user=1", f"order={NOBODY}&user=1", "ticket=../x", "&".join(f"ticket={n}" for n in range(5))],
)
async def test_a_stream_about_nothing_is_refused(nobody: Browser, query: str) -> None:
    assert (await nobody.client.get(f"/live?{query}")).status_code == 400


async def test_a_page_of_another_site_can_not_open_one(nobody: Browser) -> None:
    for where, status in (("cross-site", 403), ("same-site", 403)):
        response = await nobody.client.get(f"/live?ticket={NOBODY}", headers={"sec-fetch-site": where})
        assert response.status_code == status


async def test_asking_for_the_headers_alone_opens_no_stream(site: Together, nobody: Browser) -> None:
    response = await nobody.client.head(f"/live?ticket={NOBODY}")
    assert response.status_code == 200
    assert site.web.site.hub.open == 0


@asynccontextmanager
async def small(folder: Path, **limits: int) -> AsyncIterator[Together]:
    site = Together(Marketplace(clock=VirtualClock()), Options(uploads=folder, **limits))  # type: ignore[arg-type]
    async with site.running():
        yield site


async def test_there_are_so_many_streams_of_one_address_and_so_many_in_all(tmp_path: Path) -> None:
    path = f"/live?ticket={NOBODY}"
    async with small(tmp_path, streams=3, streams_per_address=2) as site:
        async with reading(site, path), reading(site, path) as second:
            async with reading(site, path) as refused:
                assert (refused.status, refused.headers["retry-after"]) == (429, "30")
            async with reading(site, path, client="192.0.2.1"), reading(site, path, client="192.0.2.2") as full:
                assert (full.status, full.headers["retry-after"]) == (503, "30")
            second.gone.set()
            await second.ended.wait()
            async with reading(site, path) as again:
                assert again.status == 200
        assert site.web.site.hub.open == 0
        assert site.web.site.hub._ears == {}


async def test_silence_is_broken_now_and_then(site: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT", 0.02)
    async with reading(site, f"/live?ticket={NOBODY}") as page:
        assert await page.block() == ":"
        assert await page.block() == ":"


async def test_a_stream_ends_after_a_while_so_that_it_is_asked_anew_who_may_see_what(
    site: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST", 0.05)
    async with reading(site, f"/live?ticket={NOBODY}") as page:
        with anyio.fail_after(5):
            await page.ended.wait()


async def test_all_streams_end_when_the_process_stops(site: Together) -> None:
    path = f"/live?ticket={NOBODY}"
    async with reading(site, path) as one, reading(site, path) as other:
        site.end_streams()
        with anyio.fail_after(5):
            await one.ended.wait()
            await other.ended.wait()
        async with reading(site, path) as late:
            assert late.status == 503


async def test_where_nothing_can_be_heard_pages_offer_no_stream_and_look_again(
    nobody: Browser, site: Together, stage: Stage
) -> None:
    event = await stage()
    site.web.site.hub._deafen()
    main = (await nobody.open(f"/events/{event.id}")).one("main")
    assert "data-live" not in main.attrs
    assert main["data-refresh"] == "30"
    assert (await nobody.client.get(f"/live?event={event.id}")).status_code == 503


async def test_a_bus_that_can_not_be_opened_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "AGAIN_AFTER", 0.01)
    hub, tries = Hub(most=1, most_an_address=1), iter([Unavailable("no server"), Misconfigured("no permission"), None])

    @asynccontextmanager
    async def source() -> AsyncIterator[AsyncIterator[Event[Any]]]:
        if (error := next(tries)) is not None:
            raise error
        async with market.listen(*live.HEARD) as events:
            yield events

    async with Marketplace(clock=VirtualClock()) as market, anyio.create_task_group() as group:
        with anyio.fail_after(5):
            await group.start(hub.hear, source)
            assert not hub.hears, "the pages are there meanwhile"
            await _until(lambda: hub.hears)
        group.cancel_scope.cancel()
    assert "no server" in caplog.text
    assert "no permission" in caplog.text


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - of what pages are made with there is no event
        await anyio.sleep(0.01)


async def test_the_web_client_as_its_own_process_hears_the_bus_of_the_services(
    tmp_path: Path, redis_url: str, free_tcp_port: int
) -> None:
    bus = f"{redis_url}?prefix=live_{uuid4().hex[:12]}"
    settings = Settings(data_dir=tmp_path, bus_url=SecretStr(bus))
    web = WebSettings.read(api_url=f"http://127.0.0.1:{free_tcp_port}")
    pages, shop = WebProcess(settings, web), Marketplace(bus=bus)
    async with shop, pages.lifespan(), reading(pages, f"/live?event={NOBODY}") as page:
        assert page.status == 200
        event = await shop.tickets.announce(
            "house", name="Hamilton", venue="Here", starts_at=shop.clock.now().replace(year=2099), zone="UTC"
        )
        async with reading(pages, f"/live?event={event.id}") as other:
            await shop.tickets.pause(event.id, owner_id="house")
            assert await other.event() == ("change", {"what": "event", "id": event.id, "version": 2})
        pages.end_streams()
        with anyio.fail_after(5):
            await page.ended.wait()


async def test_a_bus_inside_the_services_can_not_be_heard_from_outside(tmp_path: Path) -> None:
    process = WebProcess(Settings(data_dir=tmp_path), WebSettings.read(api_url="http://127.0.0.1:9"))
    async with process.lifespan():
        transport = httpx2.ASGITransport(app=process)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            assert (await client.get(f"/live?event={NOBODY}")).status_code == 503


def test_a_bus_that_there_is_not_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="carrier-pigeon"):
        WebProcess(
            Settings(data_dir=tmp_path, bus_url=SecretStr("carrier-pigeon://loft")),
            WebSettings.read(api_url="http://127.0.0.1:9"),
        )
