"""The documentation shows every page, and its pictures are small."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from web import tour

DOCS = Path(__file__).parents[4] / "docs"
PICTURES = DOCS / "images" / "web"
MOST = 3_000_000

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the example alone has no documentation of the repository")


def stops() -> set[str]:
    """Names of all stops, as the walks have them."""
    source = inspect.getsource(tour)
    return set(re.findall(r'stop\(\s*page, "([a-z-]+)"', source)) | set(re.findall(r'\(\("([a-z-]+)", ', source))


def test_every_stop_has_a_picture_in_light_and_dark_that_is_shown() -> None:
    found = {file.name for file in PICTURES.glob("*.webp")}
    text = (DOCS / "web-pictures.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(images/web/([a-z-]+\.webp)\)", text))
    wanted = {f"{name}-{scheme}.webp" for name in stops() | {"door-refused"} for scheme in ("light", "dark")}
    assert len(stops()) > 30
    assert found == wanted
    assert shown == wanted


def test_the_pictures_are_small() -> None:
    assert sum(file.stat().st_size for file in PICTURES.glob("*.webp")) < MOST


def test_the_accessibility_report_is_of_every_stop_and_has_no_violation() -> None:
    text = (DOCS / "accessibility.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z-]+) \| [\d,]+ \| (\d+) \|$", text, re.MULTILINE))
    assert rows.keys() == stops() | {"door-refused"}
    assert set(rows.values()) == {"0"}
