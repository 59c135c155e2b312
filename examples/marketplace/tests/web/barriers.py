"""What keeps somebody from using a page: what axe finds, a page that scrolls sideways, one that is heavy."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, ViewportSize

Rules: TypeAlias = dict[str, Any]

RULES: Final[Rules] = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
}
CONTRAST: Final[Rules] = {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""All that is another in the dark."""
NARROW: Final[ViewportSize] = {"width": 320, "height": 720}
MIDDLE: Final[ViewportSize] = {"width": 760, "height": 900}
WIDE: Final[ViewportSize] = {"width": 1280, "height": 900}
SIZES: Final = (NARROW, MIDDLE, WIDE)
HEAVIEST: Final = 60_000
"""Bytes of a page with all that it loads, unpacked."""
_WEIGHT: Final = """() => performance.getEntries().filter(
  (entry) => entry.entryType === "navigation" || ["link", "script", "img", "css"].includes(entry.initiatorType)
).reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""


async def violations(page: Page, rules: Rules) -> list[str]:
    """What axe finds; the page gets its script once."""
    if await page.evaluate("typeof axe") == "undefined":
        await page.evaluate(Axe().axe_script)
    found: list[dict[str, Any]] = await page.evaluate("async (rules) => (await axe.run(rules)).violations", rules)
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]


async def weight(page: Page) -> int:
    """Bytes of a page with all that it loads, unpacked; of other sites nothing is known."""
    return int(await page.evaluate(_WEIGHT))


async def barriers(page: Page, size: ViewportSize, *, light: Rules, dark: Rules) -> list[str]:
    """What is wrong with a page.

    Args:
        page: That is shown.
        size: Of the window.
        light: What axe is asked in the light.
        dark: The same in the dark.
    """
    await page.wait_for_load_state("load")
    await page.set_viewport_size(size)
    width = await page.evaluate("document.documentElement.scrollWidth")
    found = [] if width <= size["width"] else [f"it is {width} px wide"]
    heavy = await weight(page)
    found += [] if 0 < heavy < HEAVIEST else [f"it has {heavy} bytes"]
    await page.emulate_media(color_scheme="light")
    found += [f"light: {one}" for one in await violations(page, light)]
    await page.emulate_media(color_scheme="dark")
    return found + [f"dark: {one}" for one in await violations(page, dark)]


async def look(name: str, page: Page, size: ViewportSize, *, light: Rules, dark: Rules) -> None:
    """Fail where a page has a barrier."""
    found = await barriers(page, size, light=light, dark=dark)
    assert not found, f"{name}, {size['width']} px: {found}"
