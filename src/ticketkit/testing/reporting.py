"""What the conformance kit adds to pytest: its options, its marks, known gaps, and the capability matrix.

Light: it is imported in every run of pytest where ticketkit is installed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from ticketkit.backends.errors import Unimplemented

MARK: Final = "ticketkit_promise"
GAPS: Final = "__ticketkit_gaps__"
PROPERTY: Final = "ticketkit"
KEPT, BROKEN, GAP, NEW, NOT_DECLARED = "kept", "BROKEN", "known gap", "new, not kept", "does not apply"
_BAR: Final = r"\|"
_WORST_FIRST: Final = (BROKEN, GAP, NEW, KEPT, NOT_DECLARED)


def add_options(parser: pytest.Parser) -> None:
    """`--ticketkit-stress`, `--ticketkit-short` and `--ticketkit-report`."""
    group = parser.getgroup("ticketkit", "conformance of ticketkit's backends")
    group.addoption(
        "--ticketkit-stress", type=int, default=1, metavar="N", help="as many times as many take part in each race"
    )
    group.addoption(
        "--ticketkit-short", action="store_true", help="only the short form of each conformance class (20 s a backend)"
    )
    group.addoption(
        "--ticketkit-report", choices=("md", "json"), help="write the capability matrix of the tested backends"
    )
    group.addoption(
        "--ticketkit-report-file",
        type=Path,
        metavar="FILE",
        help="where to (default: ticketkit-report.md or .json in the root folder)",
    )


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not of the short form, when that is asked for."""
    if not config.getoption("--ticketkit-short"):
        return
    marks = {item: item.get_closest_marker(MARK) for item in items}
    left_out = [item for item, mark in marks.items() if mark is not None and mark.kwargs["long"]]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


def judge(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the failure of a known gap or of a new promise into an expected one; note what the matrix needs.

    A failure for want of a method that is still to be written is told in one line.
    """
    report = yield
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return report
    if report.failed and call.excinfo is not None and (lack := _unimplemented(call.excinfo.value)) is not None:
        report.longrepr = cast("Any", Line(str(lack), item.path, item.name))
    name = getattr(item, "originalname", item.name)
    gap = next((gap for gap in getattr(item.cls, GAPS, ()) if gap.test == name), None)  # type: ignore[attr-defined]
    verdict = None
    if report.failed and gap is not None:
        report.outcome, verdict = "skipped", GAP
        report.wasxfail = f"known gap: {gap.reason} ({gap.issue})"
    elif report.failed and is_new(mark.kwargs["since"]):
        report.outcome, verdict = "skipped", NEW
        report.wasxfail = f"new in {mark.kwargs['since']}: it fails from the next minor version of ticketkit on"
    elif report.passed and report.when == "call" and gap is not None:
        report.outcome = "failed"
        report.longrepr = f"{name} passes now: take its known_gap away from {item.cls.__name__}."  # type: ignore[attr-defined]
    if report.when == "call" or not report.passed:
        verdict = verdict or _verdict(report)
        # As text: pytest-xdist sends no enumerations between processes.
        report.user_properties.append((PROPERTY, json.dumps(_entry(item, name, verdict, report, gap))))
    return report


class Line:
    """A failure that one line tells; in pytest's summary, too.

    Args:
        text: The line.
        path: File of the test.
        test: Its name.
    """

    def __init__(self, text: str, path: Path, test: str) -> None:
        self.text = text
        self.reprcrash = Crash(str(path), test, text)

    def __str__(self) -> str:
        return self.text

    def toterminal(self, writer: Any) -> None:
        """Print it."""
        writer.line(self.text)


@dataclass(frozen=True, slots=True)
class Crash:
    """What pytest's summary shows of a failure."""

    path: str
    lineno: str
    message: str


def _unimplemented(error: BaseException) -> Unimplemented | None:
    """The first method that is still to be written, also in the groups that tasks raise."""
    from ticketkit.backends.errors import Unimplemented

    if isinstance(error, Unimplemented):
        return error
    within = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    found = (_unimplemented(one) for one in (*within, error.__cause__, error.__context__) if one is not None)
    return next((one for one in found if one is not None), None)


def is_new(since: str | None, *, version: str | None = None) -> bool:
    """Whether a promise joined in this minor version of ticketkit, so that it only warns.

    Args:
        since: Such as `0.2`; None for those of the first kit.
        version: Of ticketkit; default: the one that is installed.
    """
    if since is None:
        return False
    return (version or metadata.version("ticketkit")).split(".")[:2] == since.split(".")[:2]


def _verdict(report: pytest.TestReport) -> str:
    if report.skipped:
        return NOT_DECLARED
    return KEPT if report.passed else BROKEN


def _entry(item: pytest.Item, name: str, verdict: str, report: pytest.TestReport, gap: Any) -> dict[str, Any]:
    from ticketkit.testing.conformance.conformance import SPEC

    spec = item.stash.get(SPEC, None)
    mark = item.get_closest_marker(MARK)
    sentence = " ".join((getattr(item.obj, "__doc__", None) or name).split())  # type: ignore[attr-defined]
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    return {
        "class": item.cls.__name__,  # type: ignore[attr-defined]
        "kind": item.cls.KIND.value,  # type: ignore[attr-defined]
        "backend": spec.name if spec else item.cls.__name__,  # type: ignore[attr-defined]
        "schemes": list(spec.schemes) if spec else [],
        "capabilities": sorted(one.value for one in spec.capabilities) if spec else [],
        "maxEntities": spec.max_entities if spec else None,
        "test": name,
        "promise": sentence,
        "needs": sorted(need.value for need in mark.kwargs["needs"]) if mark else [],
        "verdict": verdict,
        "why": f"{gap.reason} ({gap.issue})" if gap and verdict == GAP else why.removeprefix("Skipped: "),
        "seconds": round(report.duration, 3),
    }


class Report:
    """Collects what the kit's tests said, over all workers of pytest-xdist, and prints and writes it at the end.

    Args:
        config: Of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._entries: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what one test said."""
        self._entries += [json.loads(str(value)) for name, value in report.user_properties if name == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print known gaps and new promises that are not kept, and where the matrix is."""
        noted = [entry for entry in self._entries if entry["verdict"] in (GAP, NEW)]
        if noted:
            terminalreporter.section("conformance: not kept")
            for entry in noted:
                terminalreporter.line(
                    f"{entry['backend']}: {entry['test']}: {entry['verdict']} {entry['why']}".rstrip()
                )
        if (file := self._file()) is not None and self._entries:
            form = self._config.getoption("--ticketkit-report")
            text = as_markdown(self._entries) if form == "md" else as_json(self._entries)
            file.write_text(text, encoding="utf-8")
            terminalreporter.line(f"The capability matrix is in {file}.")

    def _file(self) -> Path | None:
        form: str | None = self._config.getoption("--ticketkit-report")
        given: Path | None = self._config.getoption("--ticketkit-report-file")
        return (given or self._config.rootpath / f"ticketkit-report.{form}") if form else None


def as_json(entries: Iterable[dict[str, Any]]) -> str:
    """The matrix for programs: a list of backends, each with its tests."""
    return json.dumps([_summary(tests) | {"tests": tests} for tests in _by_backend(entries).values()], indent=2) + "\n"


def as_markdown(entries: Iterable[dict[str, Any]]) -> str:
    """The matrix for a README: for each backend what it declares, and every promise with its verdict."""
    return "\n".join(_chapter(tests) for tests in _by_backend(entries).values())


def _by_backend(entries: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for entry in entries:
        tests = found[f"{entry['kind']} {entry['backend']} {entry['class']}"]
        before = tests.get(entry["test"], entry)
        # One row a promise: of its parameters, and of call and teardown, the worst tells.
        tests[entry["test"]] = min(before, entry, key=lambda one: _WORST_FIRST.index(one["verdict"]))
    return {name: list(tests.values()) for name, tests in sorted(found.items())}


def _summary(tests: list[dict[str, Any]]) -> dict[str, Any]:
    first = tests[0]
    return {
        **{name: first[name] for name in ("class", "kind", "backend", "schemes", "capabilities", "maxEntities")},
        "kit": metadata.version("ticketkit"),
        "passed": all(entry["verdict"] != BROKEN for entry in tests),
        "seconds": round(sum(entry["seconds"] for entry in tests), 1),
    }


def _chapter(tests: list[dict[str, Any]]) -> str:
    whole = _summary(tests)
    declared = ", ".join(f"`{name}`" for name in whole["capabilities"]) or "none"
    most = "" if whole["maxEntities"] is None else f"; at most {whole['maxEntities']:,} keys a decision"
    schemes = ", ".join(f"`{scheme}:`" for scheme in whole["schemes"])
    lines = [
        f"### {whole['backend']} ({schemes})",
        "",
        f"Capabilities: {declared}{most}. Kit of ticketkit {whole['kit']}.",
        "",
        "| promise | needs | |",
        "|---|---|---|",
    ]
    for entry in tests:
        needs = ", ".join(f"`{name}`" for name in entry["needs"])
        why = f": {entry['why']}" if entry["why"] else ""
        cells = (entry["promise"], needs, f"{entry['verdict']}{why}")
        lines.append(f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |")
    return "\n".join([*lines, ""])
