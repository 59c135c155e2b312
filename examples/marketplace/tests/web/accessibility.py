"""`make accessibility`: axe's report on every page of the web client, at three widths, in light and dark."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio
from playwright.async_api import Page
from web import tour
from web.barriers import HEAVIEST, RULES, SIZES, barriers, weight
from web.screenshots import everywhere

TEXT: Final = """\
# Accessibility report

`make accessibility` walks through every page of the [web client](web-client.md) in a real browser, the orders
among them, and asks [axe-core](https://github.com/dequelabs/axe-core) {version} about each: the rules for WCAG 2.0,
2.1 and 2.2, levels A and AA, and axe's best practices, at {widths} px, in light and dark. It also sees whether a
page scrolls sideways, and what it weighs: the page, its style sheet and scripts, unpacked; less than {heaviest:,}
bytes is allowed.

**{pages} pages, {looks} looks, {found} violations.** The heaviest page has {weight:,} bytes.

What axe can't see is tested besides: buying and selling by keyboard alone, a focus that is seen, the announcements of
the time that is left, text twice as large. Nobody who depends on a screen reader has tried the pages yet.

| page | bytes | violations |
|---|---|---|
{rows}
"""


class Report:
    """What was found, page by page."""

    def __init__(self) -> None:
        self.version = ""
        self.weights: dict[str, int] = {}
        self.found: dict[str, list[str]] = {}

    async def walk(self, stops: AsyncIterator[tour.Stop]) -> None:
        """Look at each stop."""
        async for name, page in stops:
            await self._look(name, page)
            print(f"{name}: {len(self.found[name])}", flush=True)  # noqa: T201

    async def _look(self, name: str, page: Page) -> None:
        self.weights[name] = await weight(page)
        self.found[name] = [
            f"{size['width']} px, {one}"
            for size in SIZES
            for one in await barriers(page, size, light=RULES, dark=RULES)
        ]
        self.version = str(await page.evaluate("axe.version"))

    @property
    def lines(self) -> list[str]:
        """Everything that is wrong."""
        return [f"{name}: {one}" for name, found in self.found.items() for one in found]

    def text(self) -> str:
        """The page of the documentation."""
        rows = [f"| {name} | {self.weights[name]:,} | {len(found)} |" for name, found in self.found.items()]
        return TEXT.format(
            version=self.version,
            widths=", ".join(str(size["width"]) for size in SIZES),
            heaviest=HEAVIEST,
            pages=len(self.found),
            looks=len(self.found) * len(SIZES) * 2,
            found=len(self.lines),
            weight=max(self.weights.values()),
            rows="\n".join(rows),
        )


async def _report(report: Report, data: Path) -> None:
    async with everywhere(data) as walks:
        for stops in walks:
            await report.walk(stops)


def main(file: Path) -> int:
    """Walk, and write the report.

    Returns:
        How much is wrong.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as data:
        anyio.run(_report, report, Path(data))
    file.write_text(report.text(), encoding="utf-8")
    for line in report.lines:
        print(line)  # noqa: T201
    return len(report.lines)


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]))))
