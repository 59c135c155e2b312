"""What the readers of the how-tos type works: backends keep the promises of the kit, an app passes its own tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tools.fences import fences

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "howto").glob("*-backend.md"))
_FILE = re.compile(r"# (?P<path>(?:src|tests)/[\w./]+\.py)\n")


def written(page: Path, folder: Path) -> None:
    """Write the files that a page builds: each block says in its first line which one it goes on."""
    texts: dict[str, str] = {}
    for fence in (fence for fence in fences(page) if fence.language == "python"):
        if (found := _FILE.match(fence.text)) is not None:
            texts[found["path"]] = texts.get(found["path"], "") + fence.text[found.end() :]
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


SOME = {
    "storage-backend": "buyers_of_one_ticket or never_seen or answered_again or killed or late_mark or filters",
    "bus-backend": "share_its_events or retry_comes or killed_consumer or late_end or replayed_to",
    "timers-backend": "never_early or passed_over or void or survive or another_process",
    "payment-backend": "one_key or lost_answer or refunds_at_once or race or webhook",
}
"""Words of the names of tests that run always; all of the short form is a proof."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_backend_of_the_page_keeps_what_matters_most(page: Path, tmp_path: Path) -> None:
    assert passed(page, tmp_path, "-k", SOME[page.stem]) >= 4


@pytest.mark.proof
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_backend_of_the_page_passes_the_kit(page: Path, tmp_path: Path) -> None:
    assert passed(page, tmp_path) >= 25


def test_the_app_of_the_page_passes_its_tests(tmp_path: Path) -> None:
    assert passed(ROOT / "docs" / "howto" / "django.md", tmp_path) == 5


def passed(page: Path, tmp_path: Path, *more: str) -> int:
    """Write what the page builds, run its tests in their short form, and count those that passed."""
    written(page, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-W", "error", "--ticketkit-short"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *more, "tests"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(tmp_path / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None, done.stdout
    return int(found[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_names_every_method_of_its_port(page: Path) -> None:
    from ticketkit.backends.spec import BackendKind
    from ticketkit.cli.scaffold.ports import PORTS

    kind = {"payment": "payments"}.get(name := page.stem.removesuffix("-backend"), name)
    text = page.read_text(encoding="utf-8")
    missing = [method for method in PORTS[BackendKind(kind)].methods() if f"`{method}" not in text]
    assert missing == []
