"""`make screenshots`: some pages of the operations page in light and dark, as WebP files of a few kilobytes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

import anyio
from ops import tour
from web import chromium
from web.screenshots import LOWEST, SCHEMES, WIDTH, shot

from ticketkit_marketplace.demo.process import Process

WANTED: Final = ("overview", "order", "locks", "cancel")
"""Names of the stops."""


async def walk_through(folder: Path, place: tour.Place) -> None:
    """Take all pictures."""
    async with chromium.started() as browser:
        context = await browser.new_context(base_url=place.ops, viewport={"width": WIDTH, "height": LOWEST})
        page = await context.new_page()
        page.set_default_timeout(tour.PATIENCE)
        async for name, shown in tour.walk(page, place):
            for scheme in SCHEMES if name in WANTED else ():
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
            place = tour.place_of(process.said, f"http://{process.host}:{process.port}")
            anyio.run(walk_through, folder, place)
        finally:
            process.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
