"""`make screenshots`: every page of the web client in light and dark, as WebP files of a few kilobytes."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import anyio.to_thread
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


@asynccontextmanager
async def everywhere(data: Path) -> AsyncIterator[list[AsyncIterator[tour.Stop]]]:
    """Walks through all pages: of the whole week on sale, and of orders where time and the bank are in hand.

    Args:
        data: Folder for what the marketplaces keep.
    """
    process = Process(data / "week", environment={})
    site = Together(Marketplace(clock=VirtualClock()), Options(uploads=data / "uploads"))
    try:
        await anyio.to_thread.run_sync(process.start)
        base = f"http://{process.host}:{process.port}"
        async with chromium.started() as browser, opened(site) as house:
            walks = [walk(await _window(browser, base)) for walk in tour.WALKS]
            yield [*walks, tour.for_a_buyer(await _window(browser, house.url), house)]
    finally:
        process.kill()


async def _window(browser: Browser, base: str) -> Page:
    context = await browser.new_context(
        base_url=base, viewport={"width": WIDTH, "height": LOWEST}, reduced_motion="reduce"
    )
    page: Page = await context.new_page()
    return page


async def _all(folder: Path, data: Path) -> None:
    async with everywhere(data) as walks:
        for walk in walks:
            await take(folder, walk)


def main(folder: Path) -> None:
    """Take the pictures into a folder, instead of those that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    with tempfile.TemporaryDirectory() as data:
        anyio.run(_all, folder, Path(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
