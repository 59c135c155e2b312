"""Somebody who has no mouse."""

from __future__ import annotations

from playwright.async_api import Page


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until something has the focus that is called so; what has it on the way must be seen to have it."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        outline = await focused.evaluate(
            "e => [getComputedStyle(e), getComputedStyle(e, '::after')].some(s => s.outlineStyle !== 'none')"
        )
        assert outline, await focused.evaluate("e => e.outerHTML")
        said = await focused.evaluate("e => e.labels?.length ? e.labels[0].innerText : e.ariaLabel ?? e.innerText")
        if name in said:
            return
    raise AssertionError(f"Tab never comes to {name!r}")
