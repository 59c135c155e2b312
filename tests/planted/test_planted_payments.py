"""The kit is judged by what it catches: each payment provider with a planted bug fails the test that tells the bug."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.planted.catching import Planted, caught
from tests.planted.payments_bugs import BUGS

CHEAP = ("key-late", "signature-ignored")
PARAMETERS = [
    pytest.param(bug, id=name, marks=() if name in CHEAP else pytest.mark.proof)
    for bug in BUGS
    for name in (bug.url.partition(":")[0].removeprefix("planted-"),)
]


@pytest.mark.parametrize("bug", PARAMETERS)
def test_the_kit_catches_a_planted_payment_bug_by_the_test_that_tells_it(bug: Planted, tmp_path: Path) -> None:
    assert caught(bug.kind, bug.plugin, bug.url, tmp_path, only=bug.caught_by) == {bug.caught_by}


@pytest.mark.proof
def test_the_provider_without_a_planted_bug_passes(tmp_path: Path) -> None:
    plugin, url = "tests.planted.payments_original:ORIGINAL", "planted-nothing://TMP/books.jsonl"
    assert caught("payments", plugin, url, tmp_path) == set()
