"""`ticketkit new-plugin`: what an author of a backend gets."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.spec import BackendKind
from ticketkit.cli import main
from ticketkit.cli.scaffold import Naming
from ticketkit.cli.scaffold.copying import ORIGINALS
from ticketkit.cli.scaffold.distribution import contents
from ticketkit.cli.scaffold.ports import PORTS

KINDS = tuple(BackendKind)
UV = Path(sys.executable).with_name("uv")
LEAST = {BackendKind.STORAGE: 40, BackendKind.BUS: 40, BackendKind.TIMERS: 15, BackendKind.PAYMENTS: 25}
"""Tests of the short form that apply to a backend with no capabilities, at least."""


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, ["new-plugin", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def made(into: Path, kind: BackendKind, name: str, *more: str) -> Path:
    result = run(kind.value, name, "--into", str(into), *more)
    assert result.exit_code == 0, result.output
    return into / name


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> dict[BackendKind, Path]:
    """A distribution of each kind in which every method is to be written."""
    into = tmp_path_factory.mktemp("empty")
    return {kind: made(into, kind, f"bare-{kind.value}") for kind in KINDS}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[BackendKind, Path]:
    """A distribution of each kind that begins with the backend in memory."""
    into = tmp_path_factory.mktemp("copies")
    return {kind: made(into, kind, f"acme-{kind.value}", "--from", "memory") for kind in KINDS}


def tool(*words: str, folders: dict[BackendKind, Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    paths = os.pathsep.join(str(folder / "src") for folder in folders.values())
    return subprocess.run(
        [sys.executable, "-m", *words],
        env={**environment, "PYTHONPATH": paths, "COLUMNS": "300"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def kit_says(folders: dict[BackendKind, Path]) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """What the kit's short form says of several distributions: by kind; and all that was printed."""
    cwd = next(iter(folders.values())).parent
    files = [str(folder / "tests") for folder in folders.values()]
    words = ["pytest", "-q", "-n", "4", "-p", "no:cacheprovider", "--import-mode=importlib", "-W", "error", "-rf"]
    report = cwd / "report.json"
    done = tool(
        *words,
        "--ticketkit-short",
        "--ticketkit-report=json",
        f"--ticketkit-report-file={report}",
        *files,
        folders=folders,
        cwd=cwd,
    )
    assert report.exists(), done.stdout + done.stderr
    return {found["kind"]: found["tests"] for found in json.loads(report.read_text())}, done.stdout


def test_each_test_of_an_empty_backend_fails_with_what_to_write_next(empty: dict[BackendKind, Path]) -> None:
    found, printed = kit_says(empty)
    for kind in KINDS:
        broken = [test for test in found[kind.value] if test["verdict"] == "BROKEN"]
        kept = [test["test"] for test in found[kind.value] if test["verdict"] == "kept"]
        assert len(broken) >= LEAST[kind], kind
        assert len(kept) <= 2, kept  # what holds of opening and closing alone
    lines = printed.splitlines()
    headers = [number for number, line in enumerate(lines) if line.startswith("_____")]
    told = [lines[number + (2 if "[gw" in lines[number + 1] else 1)] for number in headers]
    assert len(told) >= sum(LEAST.values())
    assert [line for line in told if " is to be written: " not in line] == []
    assert "BareTimers.schedule is to be written: Set a timer; one of the same key is replaced" in printed
    assert "Traceback" not in printed


def test_a_copy_of_the_backend_in_memory_passes_from_the_start(copies: dict[BackendKind, Path]) -> None:
    found, printed = kit_says(copies)
    for kind in KINDS:
        assert [test["test"] for test in found[kind.value] if test["verdict"] == "BROKEN"] == [], printed
        assert sum(test["verdict"] == "kept" for test in found[kind.value]) >= LEAST[kind], kind


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_backend_has_each_method_of_its_port_with_the_port_s_words(
    kind: BackendKind, empty: dict[BackendKind, Path]
) -> None:
    port, tree = PORTS[kind], _module(empty[kind], kind)
    for protocol, name in ((port.protocol, _main(kind)), *((part, f"Bare{part}") for part in port.parts)):
        written = _methods(tree, name)
        wanted = port.methods(protocol)
        assert list(written) == list(wanted)
        for method, node in written.items():
            assert ast.unparse(node.args) == ast.unparse(wanted[method].args)
            assert ast.unparse(node.returns or node) == ast.unparse(wanted[method].returns or node)
            assert ast.get_docstring(node) == ast.get_docstring(wanted[method])
            assert ast.unparse(node.body[-1]) == f"raise Unimplemented(self.{method})"


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_each_method_of_its_port_documented_and_nothing_of_memory(
    kind: BackendKind, copies: dict[BackendKind, Path]
) -> None:
    tree = _module(copies[kind], kind)
    for method, node in PORTS[kind].methods().items():
        assert ast.get_docstring(_methods(tree, f"Acme{Naming(kind, 'x1').suffix}")[method]) == ast.get_docstring(node)
    sources = {file.name: file.read_text(encoding="utf-8") for file in copies[kind].rglob("*.py")}
    imports = "\n".join(line for text in sources.values() for line in text.splitlines() if "import" in line)
    assert "ticketkit.memory" not in imports
    assert not [line for line in imports.splitlines() if line.startswith("from ticketkit") and "._" in line]
    assert all(ORIGINALS[kind].cls not in text for text in sources.values())


def _module(folder: Path, kind: BackendKind) -> ast.Module:
    [package] = (folder / "src").iterdir()
    return ast.parse((package / f"{kind.value}.py").read_text(encoding="utf-8"))


def _main(kind: BackendKind) -> str:
    return f"Bare{Naming(kind, 'x1').suffix}"


def _methods(tree: ast.Module, name: str) -> dict[str, Any]:
    [node] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    functions = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {item.name: item for item in functions if not item.name.startswith("_")}


@pytest.mark.parametrize("form", ["empty", "copies"])
def test_what_is_written_is_clean(form: str, request: pytest.FixtureRequest) -> None:
    folders: dict[BackendKind, Path] = request.getfixturevalue(form)
    for folder in folders.values():
        for words in (("ruff", "check", "--no-cache", "."), ("ruff", "format", "--no-cache", "--check", ".")):
            done = tool(*words, folders=folders, cwd=folder)
            assert done.returncode == 0, done.stdout
    cwd = next(iter(folders.values())).parent
    packages = [str(package) for folder in folders.values() for package in (folder / "src").iterdir()]
    done = tool("mypy", "--strict", "--cache-dir", str(cwd / "mypy"), *packages, folders=folders, cwd=cwd)
    assert done.returncode == 0, done.stdout


def test_the_next_commands_are_printed(tmp_path: Path) -> None:
    printed = run("timers", "acme-timers", "--into", str(tmp_path)).stdout
    assert f"cd {tmp_path / 'acme-timers'}" in printed
    assert "pip install -e . --group test" in printed
    assert "docs/howto/timers-backend.md" in printed


def test_the_entry_point_and_all_files_are_there(copies: dict[BackendKind, Path]) -> None:
    folder = copies[BackendKind.BUS]
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["ticketkit"] == {"acme": "acme_bus.plugin"}
    assert "pytest" in str(project["dependency-groups"]["test"])
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [f"## {title}" in readme for title in ("Capabilities", "Settings", "What it promises")] == [True] * 3
    for name in ("LICENSE", ".gitignore", "src/acme_bus/py.typed"):
        assert (folder / name).exists(), name


def test_an_existing_folder_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "acme-bus").mkdir()
    (tmp_path / "acme-bus" / "mine.py").write_text("# mine")
    result = run("bus", "acme-bus", "--into", str(tmp_path))
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    assert [file.name for file in tmp_path.rglob("*")] == ["acme-bus", "mine.py"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme", "is no name for a distribution"),
        ("acme--bus", "is no name for a distribution"),
        ("../acme", "is no name for a distribution"),
        ("1-bus", "is no name for a distribution"),
        ("json", "There is a module json already"),
        ("import", "There is a module import already"),
        ("ticketkit-nats", "There is a module ticketkit_nats already"),
        ("ticketkit-memory", "has the bus scheme 'memory' already"),
    ],
)
def test_names_that_can_not_be_are_refused(name: str, words: str, tmp_path: Path) -> None:
    result = run("bus", name, "--into", str(tmp_path))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "stem", "backend"),
    [
        (BackendKind.BUS, "ticketkit-acme", "acme", "AcmeBus"),
        (BackendKind.BUS, "acme-bus", "acme", "AcmeBus"),
        (BackendKind.STORAGE, "red-brick", "red-brick", "RedBrickStorage"),
        (BackendKind.TIMERS, "timers", "timers", "TimersTimers"),
        (BackendKind.PAYMENTS, "acme", "acme", "AcmePayments"),
    ],
)
def test_names_follow_from_the_distribution(kind: BackendKind, name: str, stem: str, backend: str) -> None:
    naming = Naming(kind, name)
    assert (naming.stem, naming.backend) == (stem, backend)


def test_a_long_name_is_written_clean_too(tmp_path: Path) -> None:
    naming = Naming(BackendKind.PAYMENTS, "the-quite-extraordinarily-long-name-of-a-bank")
    for form in (False, True):
        for text in contents(naming, from_memory=form).values():
            assert "$" not in text.replace("${", "$"), text


@pytest.mark.proof
@pytest.mark.parametrize("form", ["empty", "copies"])
def test_a_wheel_of_it_has_the_entry_point(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folders: dict[BackendKind, Path] = request.getfixturevalue(form)
    for kind, folder in folders.items():
        subprocess.run([UV, "build", "--wheel", "--out-dir", str(tmp_path), str(folder)], check=True, timeout=120)
        [wheel] = tmp_path.glob(f"{folder.name.replace('-', '_')}-*.whl")
        listed = subprocess.run(
            [sys.executable, "-c", _LIST],
            env={**os.environ, "WHEEL": str(wheel)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert (kind.value, f"{folder.name.replace('-', '_')}.plugin") == tuple(listed.stdout.split())


_LIST = """
import os, sys
from importlib import metadata
wheel = os.environ["WHEEL"]
sys.path.insert(0, wheel)
from ticketkit.plugins import Plugins
package = os.path.basename(wheel).partition("-")[0]
points = [at for at in metadata.entry_points(group="ticketkit") if at.module.startswith(package + ".")]
[plugin] = [plugin for plugin in Plugins.load(entry_points=points).listing() if plugin.name != "memory"]
assert plugin.broken is None, plugin.broken
print(plugin.backends[0].kind.value, points[0].value)
"""
