<<<<<<< HEAD
"""Runs the conformance kit on a backend with a planted bug, in a pytest of its own, and says which tests failed."""
=======
"""Backends with one planted bug each, and a run of the conformance kit that has to catch it.

A bug is a row of `BUGS` in `storage_bugs.py`, `bus_bugs.py`, `timers_bugs.py` or `payments_bugs.py`.
"""
>>>>>>> storagekit

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
<<<<<<< HEAD
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
=======
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

_MODULE: Final = """
import pytest

from ticketkit.testing.conformance import {cls}, Target


class TestPlanted({cls}):
    patience = {patience}

    @pytest.fixture
    def target(self, tmp_path):
        return Target(url={url!r}.replace("TMP", str(tmp_path)), plugins={plugins!r})
"""
_SETTINGS: Final = "[pytest]\naddopts = --import-mode=importlib\nanyio_mode = auto\n"
>>>>>>> storagekit


@dataclass(frozen=True, slots=True)
class Planted:
<<<<<<< HEAD
    """A backend with one planted bug.

    Attributes:
        name: What is wrong, as a sentence.
        kind: Of the backend.
        plugin: Where its plugin is: `module:object`.
        url: Opens it.
        caught_by: Name of the kit's test that has to fail.
=======
    """A backend with a bug.

    Attributes:
        name: What is wrong with it, in one sentence.
        kind: Of the backend: `storage`, `bus`, `timers` or `payments`.
        plugin: Where it is: `tests.planted.module:Name`.
        url: Opens it; `TMP` in it is a fresh folder for each test.
        caught_by: The test of the kit that names the bug.
>>>>>>> storagekit
    """

    name: str
    kind: str
    plugin: str
    url: str
    caught_by: str


<<<<<<< HEAD
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
=======
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
    module.write_text(_MODULE.format(cls=CLASSES[kind], patience=_PATIENCE, url=url, plugins=plugins), encoding="utf-8")
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
>>>>>>> storagekit
