"""The front page."""

import html
from pathlib import Path

import httpx2
import pytest

from ticketkit.marketplace import Marketplace
from ticketkit.runtime.runtime import NotRunning
from ticketkit_marketplace import broadway, running
from ticketkit_marketplace.front import FrontPage


async def page_of(shows: "list[broadway.Show]", folder: Path) -> httpx2.Response:
    front = FrontPage()
    front.market = market = Marketplace(plugins=[front])
    async with market:
        await running.list_the_week(market, folder, shows=shows, say=lambda _: None)
        return await got(market)


async def got(market: Marketplace) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=market.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.get("/")


async def test_it_says_what_is_on_and_from_how_much(tmp_path: Path) -> None:
    shows = [show for show in broadway.week() if show.name in ("Hamilton", "A Soldier's Play")]
    answer = await page_of(shows, tmp_path)
    assert answer.status_code == 200
    text = html.unescape(answer.text)
    assert "2,045 tickets of 2 live events are for sale" in text
    assert text.index("A Soldier's Play") < text.index("Hamilton")
    assert "250.67 USD" in text
    assert "Sun " in text


async def test_names_are_escaped_and_nothing_inline_may_run(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    show = broadway.week()[0]
    evil = broadway.Show(name=bad, theatre=bad, average=show.average, top=show.top, seats=1)
    answer = await page_of([evil], tmp_path)
    assert bad not in answer.text
    assert html.escape(bad) in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_an_empty_marketplace_says_so() -> None:
    front = FrontPage()
    front.market = market = Marketplace(plugins=[front])
    async with market:
        assert "Nothing is on." in (await got(market)).text


async def test_without_a_marketplace_there_is_nothing_to_show() -> None:
    async with Marketplace(plugins=[front := FrontPage()]):
        with pytest.raises(NotRunning):
            await front._show(httpx2.Request("GET", "http://testserver/"))  # type: ignore[arg-type]
