"""Finds a Chromium or Chrome, or installs one where it may, and starts it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """There is no Chromium, and none could be installed."""


def found() -> str | None:
    """Path of the browser: on PATH, or Playwright's own."""
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    return next((str(path) for path in sorted(cache.glob("chromium-*/chrome-*/chrome"))), None)


def executable() -> str:
    """Path of a browser, installed if there is none.

    Raises:
        NoBrowser: See there; its text has the line that installs one.
    """
    with _alone():
        if (path := found()) is not None:
            return path
        tried = []
        for command in _installers():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if (path := found()) is not None:
                return path
            tried.append(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
    msg = "There is no Chromium. Install one: `apt-get install chromium`, or `.venv/bin/playwright install chromium`."
    raise NoBrowser("\n".join([msg, *tried]))


def _installers() -> Iterator[list[str]]:
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["apt-get", "-qq", "update"]
        yield ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "chromium"]
    yield [sys.executable, "-m", "playwright", "install", "chromium"]


@contextmanager
def _alone() -> Iterator[None]:
    """Tests run in several processes; one of them installs."""
    with (Path(tempfile.gettempdir()) / "ticketkit-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def started() -> AsyncIterator[Browser]:
    """A browser without a window.

    Raises:
        NoBrowser: See there.
    """
    path = executable()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()
