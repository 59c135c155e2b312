"""The harness of the conformance kit in a pytest of its own: options, gate, gaps, new promises, limits, reports."""

from __future__ import annotations

import json
import re
from importlib import metadata

import pytest
from tests.testing.mini import MINI

from ticketkit.testing.reporting import is_new

pytest_plugins = ["pytester"]
VERSION = ".".join(metadata.version("ticketkit").split(".")[:2])


class Kit:
    """Runs classes on the small kit."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, classes: str, *options: str, since: str = "0.0") -> pytest.RunResult:
        self.pytester.makepyfile(test_mini=MINI.replace("{since}", since) + classes)
        own = self.pytester.runpytest_subprocess if "-n" in options else self.pytester.runpytest_inprocess
        return own("-p", "no:cacheprovider", "-rA", "--ticketkit-stress=7", *options)


@pytest.fixture
def kit(pytester: pytest.Pytester) -> Kit:
    return Kit(pytester)


def test_what_is_kept_passes_and_what_is_not_declared_is_skipped_with_its_reason(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini): pass")
    result.assert_outcomes(passed=5, skipped=3)
    printed = result.stdout.str()
    assert "not declared: multi_process" in printed
    assert "declared: durable" in printed
    assert "no server on a network" in printed


def test_a_broken_promise_fails(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini):\n    broken = {'kept'}")
    result.assert_outcomes(passed=4, skipped=3, failed=1)
    result.stdout.fnmatch_lines("FAILED *test_kept*")


def test_the_short_form_leaves_out_what_takes_long(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini): pass", "--ticketkit-short")
    result.assert_outcomes(passed=4, skipped=3, deselected=1)
    result.stdout.no_fnmatch_line("*test_long*")


def test_a_new_promise_that_is_not_kept_warns_in_its_minor_version(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini):\n    broken = {'new'}", since=VERSION)
    assert result.ret == 0
    result.assert_outcomes(passed=4, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines(["*conformance: not kept*", "fake: test_new: new, not kept*"])


def test_a_promise_of_an_older_version_fails(kit: Kit) -> None:
    kit.run("class TestIt(Mini):\n    broken = {'new'}", since="0.0").assert_outcomes(passed=4, skipped=3, failed=1)


@pytest.mark.parametrize(
    ("since", "version", "new"),
    [
        ("0.2", "0.2.0", True),
        ("0.2", "0.2.9", True),
        ("0.2", "0.3.0", False),
        ("1.2", "2.2.0", False),
        (None, "0.2", False),
    ],
)
def test_a_promise_is_new_for_one_minor_version(since: str | None, version: str, *, new: bool) -> None:
    assert is_new(since, version=version) is new


GAP = "@known_gap('test_kept', reason='the server forgets', issue='https://example.org/1')\n"


def test_a_known_gap_passes_and_is_printed(kit: Kit) -> None:
    result = kit.run(GAP + "class TestIt(Mini):\n    broken = {'kept'}")
    assert result.ret == 0
    result.assert_outcomes(passed=4, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines("fake: test_kept: known gap the server forgets (https://example.org/1)")


def test_a_known_gap_that_is_closed_fails_until_it_is_taken_away(kit: Kit) -> None:
    result = kit.run(GAP + "class TestIt(Mini): pass")
    result.assert_outcomes(passed=4, skipped=3, failed=1)
    result.stdout.fnmatch_lines("*test_kept passes now: take its known_gap away from TestIt.")


def test_a_known_gap_is_of_its_class_alone(kit: Kit) -> None:
    both = GAP + "class TestIt(Mini):\n    broken = {'kept'}\n\nclass TestOther(Mini):\n    broken = {'kept'}"
    kit.run(both).assert_outcomes(passed=8, skipped=6, failed=1, xfailed=1)


@pytest.mark.parametrize(
    ("test", "reason", "issue", "message"),
    [
        ("test_kept", " ", "https://example.org/1", "needs a reason and an issue"),
        ("test_kept", "it forgets", "", "needs a reason and an issue"),
        ("test_unheard_of", "it forgets", "https://example.org/1", "TestIt has no test test_unheard_of of the kit"),
        ("target", "it forgets", "https://example.org/1", "TestIt has no test target of the kit"),
    ],
)
def test_a_known_gap_names_a_test_a_reason_and_an_issue(
    kit: Kit, test: str, reason: str, issue: str, message: str
) -> None:
    result = kit.run(f"@known_gap({test!r}, reason={reason!r}, issue={issue!r})\nclass TestIt(Mini): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(f"E   ValueError: *{message}*")


@pytest.mark.parametrize(
    "classes",
    [
        "class TestIt(Mini):\n    async def test_kept(self): pass",
        "class TestIt(Mini):\n    test_kept = None",
        "class Lenient:\n    async def test_kept(self): pass\n\nclass TestIt(Lenient, Mini): pass",
    ],
)
def test_a_test_of_the_kit_can_not_be_replaced(kit: Kit, classes: str) -> None:
    result = kit.run(classes)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "E   TypeError: TestIt.test_kept replaces a test of the kit; say known_gap('test_kept', ...*"
    )


def test_own_tests_may_stand_beside_those_of_the_kit(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini):\n    async def test_own(self, backend): assert backend.name == 'fake'")
    result.assert_outcomes(passed=6, skipped=3)


def test_a_test_that_hangs_fails_at_its_limit_and_shows_where(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini):\n    broken = {'limit'}")
    result.assert_outcomes(passed=4, skipped=3, failed=1)
    result.stdout.fnmatch_lines(["*await anyio.sleep_forever()", "E * the promise was not kept within 0.05 s"])


def test_patience_multiplies_the_limit(kit: Kit) -> None:
    result = kit.run("class TestIt(Mini):\n    broken = {'limit'}\n    patience = 3")
    result.stdout.fnmatch_lines("E * the promise was not kept within 0.15 s")


def test_a_class_without_a_target_says_what_to_give_it(kit: Kit) -> None:
    classes = (
        "from ticketkit.testing.conformance import PaymentConformance\n\nclass TestIt(PaymentConformance): pass\n\n"
        "class TestPlain(PaymentConformance):\n"
        "    @pytest.fixture\n    def target(self): return Target(url='fake:')"
    )
    result = kit.run(classes, "-k", "test_preparing_moves_no_money")
    result.assert_outcomes(errors=2, deselected=118)
    printed = result.stdout.str()
    assert "TestIt has no fixture `target`: give it one that returns" in printed
    assert "TestPlain.target returns a Target: let it return PaymentTarget(" in printed


TWO = GAP + "class TestIt(Mini):\n    broken = {'kept'}\n\nclass TestOther(Mini):\n    broken = {'limit'}"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_the_matrix_is_written_for_people(kit: Kit, workers: tuple[str, ...]) -> None:
    result = kit.run(TWO, "--ticketkit-report=md", *workers)
    result.stdout.fnmatch_lines("The capability matrix is in *ticketkit-report.md.")
    matrix = (kit.pytester.path / "ticketkit-report.md").read_text()
    assert matrix.count("### fake (`fake:`)") == 2
    assert "Capabilities: `durable`, `signed_time`." in matrix
    row = r"| What is kept is kept \| always. |  | known gap: the server forgets (https://example.org/1) |"
    assert row in matrix
    assert "| It ends. |  | BROKEN |" in matrix
    assert "| It needs several processes. | `multi_process` | does not apply: not declared: multi_process |" in matrix
    assert (
        len(re.findall(r"^\| It (?:is new|takes long|refuses a replay)\. \|  \| kept \|$", matrix, re.MULTILINE)) == 6
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_the_matrix_is_written_for_programs(kit: Kit, workers: tuple[str, ...]) -> None:
    kit.run(TWO, "--ticketkit-report=json", "--ticketkit-report-file=here.json", *workers)
    gap, broken = json.loads((kit.pytester.path / "here.json").read_text())
    assert (gap["class"], gap["kind"], gap["backend"], gap["schemes"]) == ("TestIt", "payments", "fake", ["fake"])
    assert (gap["passed"], broken["passed"]) == (True, False)
    assert gap["kit"] == metadata.version("ticketkit")
    verdicts = {test["test"]: test["verdict"] for test in broken["tests"]}
    assert verdicts == {
        "test_kept": "kept",
        "test_needs": "does not apply",
        "test_lacks_what_is_declared": "does not apply",
        "test_lacks": "kept",
        "test_network": "does not apply",
        "test_long": "kept",
        "test_new": "kept",
        "test_limit": "BROKEN",
    }


def test_a_backend_that_does_not_open_breaks_its_promises(kit: Kit) -> None:
    classes = "class TestIt(Mini):\n    @pytest.fixture\n    def target(self): return Target(url='fake://wrong')"
    kit.run(classes, "--ticketkit-report=json").assert_outcomes(errors=4, skipped=3, passed=1)
    (it,) = json.loads((kit.pytester.path / "ticketkit-report.json").read_text())
    assert not it["passed"]
    assert {test["test"] for test in it["tests"] if test["verdict"] == "BROKEN"} == {
        "test_kept",
        "test_lacks",
        "test_new",
        "test_limit",
    }


def test_no_report_is_written_where_no_test_of_the_kit_ran(kit: Kit) -> None:
    kit.run("def test_other(): pass", "--ticketkit-report=md").assert_outcomes(passed=1)
    assert not (kit.pytester.path / "ticketkit-report.md").exists()
