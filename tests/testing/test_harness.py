"""The harness of the conformance kit, by runs of pytest on a small kit: gate, gaps, new promises, limits, reports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tests.testing.mini import Mini

from ticketkit.testing.conformance import known_gap
from ticketkit.testing.reporting import is_new

ROOT = Path(__file__).resolve().parents[2]
ISSUE = "https://example.org/1"
CLASSES = """
import pytest

from tests.testing.mini import Mini
from ticketkit.testing.conformance import PaymentConformance, Target, known_gap


class TestGood(Mini):
    async def test_own(self, backend):
        assert backend.name == "fake"

class TestBroken(Mini):
    broken = {"kept", "not_new"}

class TestNew(Mini):
    broken = {"new"}

@known_gap("test_kept", reason="the server forgets", issue="https://example.org/1")
class TestGap(Mini):
    broken = {"kept"}

@known_gap("test_kept", reason="the server forgets", issue="https://example.org/1")
class TestClosed(Mini):
    pass

class TestHangs(Mini):
    broken = {"limit"}
    patience = 3

class TestNotOpening(Mini):
    @pytest.fixture
    def target(self):
        return Target(url="fake://wrong")

class TestWithoutTarget(PaymentConformance):
    pass

class TestPlainTarget(PaymentConformance):
    @pytest.fixture
    def target(self):
        return Target(url="fake:")
"""
ONE_EACH = "Mini or Good or Broken or New or Gap or Closed or Hangs or NotOpening or test_preparing_moves_no_money"


@dataclass(frozen=True)
class Run:
    """A run of pytest that ended."""

    status: int
    printed: str
    report: Path

    def of(self, name: str) -> dict[str, Any]:
        """The chapter of a class."""
        (chapter,) = (one for one in json.loads(self.report.read_text()) if one["class"] == name)
        return dict(chapter)

    def verdicts(self, name: str) -> dict[str, str]:
        """What the tests of a class came to, by their names without `test_`."""
        return {test["test"].removeprefix("test_"): test["verdict"] for test in self.of(name)["tests"]}


Start = Callable[..., Run]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    def run(form: str, *options: str, classes: str = CLASSES) -> Run:
        folder = tmp_path_factory.mktemp("run")
        (folder / "test_mini.py").write_text(classes)
        report = folder / f"ticketkit-report.{form}"
        settings = ("-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}", "-rA", "--ticketkit-stress=7")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *settings, f"--ticketkit-report={form}", "-k", ONE_EACH, *options, folder],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr, report)

    return run


@pytest.fixture(scope="module")
def plain(start: Start) -> Run:
    """The whole form in one process."""
    return start("json")


def test_what_is_kept_passes_and_what_is_not_declared_does_not_apply(plain: Run) -> None:
    assert plain.verdicts("TestGood") == {
        "kept": "kept",
        "needs": "does not apply",
        "lacks_what_is_declared": "does not apply",
        "lacks": "kept",
        "network": "does not apply",
        "long": "kept",
        "new": "kept",
        "not_new": "kept",
        "limit": "kept",
    }
    why = {test["test"]: test["why"] for test in plain.of("TestGood")["tests"] if test["why"]}
    assert why == {
        "test_needs": "not declared: multi_process",
        "test_lacks_what_is_declared": "declared: durable",
        "test_network": "no server on a network: its URL names no host and port",
    }


def test_a_backend_is_named_with_all_that_it_declares(plain: Run) -> None:
    good = plain.of("TestGood")
    assert (good["kind"], good["backend"], good["schemes"]) == ("payments", "fake", ["fake"])
    assert (good["capabilities"], good["maxEntities"]) == (["durable", "signed_time"], None)
    assert good["kit"] == metadata.version("ticketkit")
    assert good["passed"]


def test_own_tests_may_stand_beside_those_of_the_kit(plain: Run) -> None:
    assert "PASSED test_mini.py::TestGood::test_own" in plain.printed


def test_a_broken_promise_fails(plain: Run) -> None:
    assert plain.status == 1
    assert "FAILED test_mini.py::TestBroken::test_kept" in plain.printed
    assert plain.verdicts("TestBroken")["kept"] == "BROKEN"
    assert not plain.of("TestBroken")["passed"]


def test_a_new_promise_that_is_not_kept_warns_in_its_minor_version(plain: Run) -> None:
    assert "XFAIL test_mini.py::TestNew::test_new" in plain.printed
    assert re.search(r"conformance: not kept(.|\n)*^fake: test_new: new, not kept$", plain.printed, re.MULTILINE)
    assert plain.of("TestNew")["passed"]


def test_a_promise_of_an_older_version_fails(plain: Run) -> None:
    assert "FAILED test_mini.py::TestBroken::test_not_new" in plain.printed


@pytest.mark.parametrize(
    ("since", "version", "new"),
    [
        ("0.2", "0.2.0", True),
        ("0.2", "0.2.9", True),
        ("0.2", "0.3.0", False),
        ("1.2", "2.2.0", False),
        (None, "0.2.0", False),
    ],
)
def test_a_promise_is_new_for_one_minor_version(since: str | None, version: str, *, new: bool) -> None:
    assert is_new(since, version=version) is new


def test_a_known_gap_passes_and_is_printed(plain: Run) -> None:
    assert "XFAIL test_mini.py::TestGap::test_kept - known gap: the server forgets" in plain.printed
    assert f"fake: test_kept: known gap the server forgets ({ISSUE})" in plain.printed.splitlines()
    assert plain.of("TestGap")["passed"]


def test_a_known_gap_that_is_closed_fails_until_it_is_taken_away(plain: Run) -> None:
    assert "test_kept passes now: take its known_gap away from TestClosed." in plain.printed
    assert plain.verdicts("TestClosed")["kept"] == "BROKEN"


@pytest.mark.parametrize(
    ("test", "reason", "issue", "message"),
    [
        ("test_kept", " ", ISSUE, "needs a reason and an issue"),
        ("test_kept", "it forgets", "", "needs a reason and an issue"),
        ("test_unheard_of", "it forgets", ISSUE, "TestIt has no test test_unheard_of of the kit"),
        ("target", "it forgets", ISSUE, "TestIt has no test target of the kit"),
    ],
)
def test_a_known_gap_names_a_test_a_reason_and_an_issue(test: str, reason: str, issue: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):

        @known_gap(test, reason=reason, issue=issue)
        class TestIt(Mini):
            pass


async def _nothing(self: Mini) -> None:
    """Stand in for a test of the kit."""


class Lenient:
    """Comes before the kit in the order of the bases."""

    test_kept = _nothing


@pytest.mark.parametrize(
    ("bases", "body"),
    [((Mini,), {"test_kept": _nothing}), ((Mini,), {"test_kept": None}), ((Lenient, Mini), {})],
    ids=["written over", "taken away", "by a mixin"],
)
def test_a_test_of_the_kit_can_not_be_replaced(bases: tuple[type, ...], body: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"TestIt.test_kept replaces a test of the kit; say known_gap\('test_kept'"):
        type("TestIt", bases, {"__module__": __name__, **body})


def test_a_test_that_hangs_fails_at_its_limit_and_shows_where(plain: Run) -> None:
    assert "await anyio.sleep_forever()" in plain.printed
    assert "AssertionError: the promise was not kept within 0.15 s" in plain.printed, "patience multiplies the limit"


def test_a_class_without_a_target_says_what_to_give_it(plain: Run) -> None:
    assert "TestWithoutTarget has no fixture `target`: give it one that returns" in plain.printed
    assert "TestPlainTarget.target returns a Target: let it return PaymentTarget(" in plain.printed


def test_a_backend_that_does_not_open_breaks_its_promises(plain: Run) -> None:
    verdicts = plain.verdicts("TestNotOpening")
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert broken == {"kept", "lacks", "new", "not_new", "limit"} - {"new"}
    assert verdicts["new"] == "new, not kept"


def test_the_matrix_is_the_same_under_xdist_and_written_for_people(start: Start, plain: Run) -> None:
    spread = start("md", "-n", "2")
    assert spread.status == plain.status
    assert f"The capability matrix is in {spread.report}." in spread.printed
    matrix = spread.report.read_text()
    assert "### fake (`fake:`)\n\nCapabilities: `durable`, `signed_time`. Kit of ticketkit" in matrix
    rows = (
        r"| What is kept is kept \| always. |  | kept |",
        r"| What is kept is kept \| always. |  | BROKEN |",
        rf"| What is kept is kept \| always. |  | known gap: the server forgets ({ISSUE}) |",
        "| It needs several processes. | `multi_process` | does not apply: not declared: multi_process |",
    )
    for row in rows:
        assert row in matrix.splitlines()
    told = [len(chapter["tests"]) for chapter in json.loads(plain.report.read_text())]
    assert matrix.count("\n| ") == sum(told) + len(told), "a row each, and the head"


def test_the_short_form_leaves_out_what_takes_long(start: Start) -> None:
    short = start("json", "--ticketkit-short", "-k", "TestGood")
    assert short.status == 0, short.printed
    assert "long" not in short.verdicts("TestGood")
    assert "kept" in short.verdicts("TestGood")


@pytest.mark.proof
def test_no_report_is_written_where_no_test_of_the_kit_ran(start: Start) -> None:
    other = start("md", "-k", "other", classes="def test_other(): pass")
    assert other.status == 0, other.printed
    assert not other.report.exists()
