"""Runs the conformance kit on a backend with a planted bug, in a pytest of its own, and says which tests failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT: Final = 120
"""Seconds for the kit on one backend."""
_TARGETS: Final = {
    "payments": (
        "from ticketkit.testing.conformance import PaymentConformance as Kit, PaymentTarget",
        "from ticketkit.testing.conformance.payments import FAKE_TOKENS, FakeStage",
        "PaymentTarget(url={url!r}, plugins=({plugin!r},), tokens=FAKE_TOKENS, stage=FakeStage())",
    ),
}
_FILE: Final = """\
import pytest
{imports}

class TestPlanted(Kit):
    @pytest.fixture
    def target(self):
        return {target}
"""


@dataclass(frozen=True, slots=True)
class Planted:
    """A backend with one planted bug.

    Attributes:
        name: What is wrong, as a sentence.
        kind: Of the backend.
        plugin: Where its plugin is: `module:object`.
        url: Opens it.
        caught_by: Name of the kit's test that has to fail.
    """

    name: str
    kind: str
    plugin: str
    url: str
    caught_by: str


def caught(kind: str, plugin: str, url: str, tmp_path: Path) -> set[str]:
    """The names of the kit's tests that fail.

    Raises:
        AssertionError: The kit did not run.
    """
    *imports, target = _TARGETS[kind]
    file = tmp_path / "test_planted.py"
    file.write_text(
        _FILE.format(imports="\n".join(imports), target=target.format(url=url, plugin=plugin)), encoding="utf-8"
    )
    report = tmp_path / "report.json"
    settings = ["-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", os.devnull]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *settings,
            "--ticketkit-report=json",
            f"--ticketkit-report-file={report}",
            file,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (backend,) = json.loads(report.read_text(encoding="utf-8"))
    assert any(test["verdict"] == "kept" for test in backend["tests"]), done.stdout
    return {test["test"] for test in backend["tests"] if test["verdict"] == "BROKEN"}
