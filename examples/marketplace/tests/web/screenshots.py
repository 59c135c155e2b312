"""`make screenshots`: every page of the web client in light and dark, as WebP files of a few kilobytes."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, Literal

import anyio
from playwright.async_api import Page
from web import chromium, tour

from ticketkit_marketplace.demo.process import Process

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


async def walk_through(folder: Path, base: str) -> None:
    """Take all pictures."""
    async with chromium.started() as browser:
        for walk in tour.WALKS:
            context = await browser.new_context(base_url=base, viewport={"width": WIDTH, "height": LOWEST})
            page = await context.new_page()
            async for name, shown in walk(page):
                for scheme in SCHEMES:
                    await shown.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                    content = await shot(shown)
                    await anyio.Path(folder / f"{name}-{scheme}.webp").write_bytes(content)
                    print(f"{name}-{scheme}.webp  {len(content) / 1000:.0f} kB")  # noqa: T201
            await context.close()


def main(folder: Path) -> None:
    """Run the marketplace with the whole week, and take the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    with tempfile.TemporaryDirectory() as data:
        process = Process(Path(data), environment={})
        try:
            process.start()
            anyio.run(walk_through, folder, f"http://{process.host}:{process.port}")
        finally:
            process.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
