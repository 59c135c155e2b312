"""Backends with one planted bug each, and a run of the conformance kit that has to catch it.

A bug is a row of `BUGS` in `storage_bugs.py`, `bus_bugs.py`, `timers_bugs.py` or `payments_bugs.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
CLASSES: Final = {
    "storage": "StorageConformance",
    "bus": "BusConformance",
    "timers": "TimersConformance",
    "payments": "PaymentConformance",
}
_TIMEOUT: Final = 240
_PATIENCE: Final = 0.34  # a broken backend that hangs does so for 10 seconds a test, not for 30

_IMPORTS: Final = {
    "payments": "from ticketkit.testing.conformance import PaymentTarget as Target\n"
    "from ticketkit.testing.conformance.payments import FAKE_TOKENS, FakeStage",
}
_TARGET: Final = {"payments": ", tokens=FAKE_TOKENS, stage=FakeStage()"}
"""What the target of a kind is told besides URL and plugins."""
_MODULE: Final = """
import pytest

from ticketkit.testing.conformance import {cls}
{imports}


class TestPlanted({cls}):
    patience = {patience}

    @pytest.fixture
    def target(self, tmp_path):
        return Target(url={url!r}.replace("TMP", str(tmp_path)), plugins={plugins!r}{more})
"""
_SETTINGS: Final = "[pytest]\naddopts = --import-mode=importlib\nanyio_mode = auto\n"


@dataclass(frozen=True, slots=True)
class Planted:
    """A backend with a bug.

    Attributes:
        name: What is wrong with it, in one sentence.
        kind: Of the backend: `storage`, `bus`, `timers` or `payments`.
        plugin: Where it is: `tests.planted.module:Name`.
        url: Opens it; `TMP` in it is a fresh folder for each test.
        caught_by: The test of the kit that names the bug.
    """

    name: str
    kind: str
    plugin: str
    url: str
    caught_by: str


def caught(kind: str, plugin: str, url: str, tmp_path: Path, *, only: str = "") -> set[str]:
    """Run the short form of the kit on a backend, in a process of its own.

    Args:
        kind: Of the backend.
        plugin: Where it is; empty for one that is installed.
        url: Opens it; `TMP` in it is a fresh folder for each test.
        tmp_path: For files of the run.
        only: Name of the one test to run, whether it is long or not; default: the whole short form.

    Returns:
        Names of the tests that failed.

    Raises:
        AssertionError: The run came to no result.
    """
    report = tmp_path / "report.json"
    module = tmp_path / "test_planted_target.py"
    plugins = (plugin,) if plugin else ()
    text = _MODULE.format(
        cls=CLASSES[kind],
        imports=_IMPORTS.get(kind, "from ticketkit.testing.conformance import Target"),
        patience=_PATIENCE,
        url=url,
        plugins=plugins,
        more=_TARGET.get(kind, ""),
    )
    module.write_text(text, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(_SETTINGS, encoding="utf-8")
    tests = [f"{module}::TestPlanted::{only}"] if only else [str(module), "--ticketkit-short"]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(tmp_path / "pytest.ini")),
            *("--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "tests"), "--tb=short"),
            *("--ticketkit-report=json", f"--ticketkit-report-file={report}"),
            *tests,
        ],
        cwd=tmp_path,
        env={**_environment(), "PYTHONPATH": str(ROOT)},
        timeout=_TIMEOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stdout[-4000:] + run.stderr[-4000:]
    (found,) = json.loads(report.read_text(encoding="utf-8"))
    return {test["test"] for test in found["tests"] if test["verdict"] == "BROKEN"}


def _environment() -> dict[str, Any]:
    # Hundreds of short processes: coverage of backends that are wrong on purpose tells nobody anything.
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
