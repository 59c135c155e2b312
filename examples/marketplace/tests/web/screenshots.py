"""`make screenshots`: every page of the web client in light and dark, as WebP files of a few kilobytes."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import anyio
from playwright.async_api import Browser, Page
from web import chromium, tour
from web.house import opened

from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.running import Together
from ticketkit_marketplace.web.settings import Options

WIDTH: Final = 1100
LOWEST: Final = 640
HIGHEST: Final = 1250
LARGEST: Final = 60_000
"""Bytes of a file; the quality is lowered until it has no more."""
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


async def shot(page: Page) -> bytes:
    """What a page looks like."""
    session = await page.context.new_cdp_session(page)
    await page.set_viewport_size({"width": WIDTH, "height": LOWEST})
    height = min(HIGHEST, await page.evaluate("document.documentElement.scrollHeight"))
    await page.set_viewport_size({"width": WIDTH, "height": height})
    options: dict[str, Any] = {
        "format": "webp",
        "clip": {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1},
    }
    content = b""
    for quality in (80, 60, 40):
        taken = await session.send("Page.captureScreenshot", {**options, "quality": quality})
        content = base64.b64decode(taken["data"])
        if len(content) <= LARGEST:
            break
    await session.detach()
    return content


async def take(folder: Path, walk: AsyncIterator[tour.Stop]) -> None:
    """Take the pictures of a walk."""
    async for name, shown in walk:
        for scheme in SCHEMES:
            await shown.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            content = await shot(shown)
            await anyio.Path(folder / f"{name}-{scheme}.webp").write_bytes(content)
            print(f"{name}-{scheme}.webp  {len(content) / 1000:.0f} kB")  # noqa: T201


async def walk_through(folder: Path, base: str, data: Path) -> None:
    """Take all pictures: of the whole week, and of orders where time and the bank are in hand."""
    site = Together(Marketplace(clock=VirtualClock()), Options(uploads=data / "uploads"))
    async with chromium.started() as browser, opened(site) as house:
        for walk in tour.WALKS:
            await take(folder, walk(await window(browser, base)))
        await take(folder, tour.for_a_buyer(await window(browser, house.url), house))


async def window(browser: Browser, base: str) -> Page:
    """A window of a browser that knows nothing."""
    context = await browser.new_context(base_url=base, viewport={"width": WIDTH, "height": LOWEST})
    page: Page = await context.new_page()
    return page


def main(folder: Path) -> None:
    """Run the marketplace with the whole week, and take the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    with tempfile.TemporaryDirectory() as data:
        process = Process(Path(data), environment={})
        try:
            process.start()
            anyio.run(walk_through, folder, f"http://{process.host}:{process.port}", Path(data))
        finally:
            process.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
