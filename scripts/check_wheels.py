"""Builds every wheel of the workspace and tries each one alone: in an empty environment, from a local index.

One lock file for all hides a dependency that is missing in one; a test run from the source folder hides a file that
is missing in the wheel. Here neither can hide. Third-party distributions come from the usual index.

A wheel with backends also passes the short form of its conformance tests there, beside nothing but its own test
dependencies.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from threading import Semaphore
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UV = shutil.which("uv") or Path(sys.executable).with_name("uv")
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
# What would make an environment less empty than it looks.
OURS = ("COVERAGE_", "PYTEST_", "PYTHON", "TICKETKIT_", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


LONGEST = 600
"""Seconds for the conformance tests of one distribution."""
AT_ONCE = 2
"""Runs of conformance tests: their races want a processor."""
# Of the plugins that a distribution has itself: what the kit has to have tested. One that declares nothing is refused.
LIST = """
import json
from importlib import metadata

found = metadata.distribution({name!r}).entry_points.select(group="ticketkit")
modules = [entry.load() for entry in found]
specs = [spec for module in modules if hasattr(module, "ticketkit_backends") for spec in module.ticketkit_backends()]
print(json.dumps([[spec.kind, spec.name] for spec in specs if spec.capabilities]))
"""


class CheckError(Exception):
    """A wheel is not what it should be."""


@dataclass(frozen=True)
class Distribution:
    """One member of the workspace.

    Args:
        name: As in its `pyproject.toml`.
        folder: Where that stands.
        extras: The names of its extras.
        scripts: The names of its console scripts.
        plugins: The names of its ticketkit plugins.
    """

    name: str
    folder: Path
    extras: tuple[str, ...]
    scripts: tuple[str, ...]
    plugins: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> "Distribution":
        """Read a distribution from the folder of its `pyproject.toml`."""
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return cls(
            name=project["name"],
            folder=folder,
            extras=tuple(project.get("optional-dependencies", {})),
            scripts=tuple(project.get("scripts", {})),
            plugins=tuple(project.get("entry-points", {}).get("ticketkit", {})),
        )

    @property
    def package(self) -> str:
        """The name that it is imported by."""
        return self.name.replace("-", "_")


def workspace() -> list[Distribution]:
    """The root distribution and the members that it lists."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    members: list[str] = settings["tool"]["uv"]["workspace"]["members"]
    return [Distribution.read(folder) for folder in (ROOT, *(ROOT / member for member in members))]


def run(*command: str | Path, cwd: Path, longest: float = 300) -> str:
    """Run a command and return what it printed.

    Raises:
        CheckError: It failed, or took longer than so many seconds; the message is its output.
    """
    line = f"$ {' '.join(str(word) for word in command)}"
    try:
        done = subprocess.run(
            command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=longest
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode(errors="replace")
        raise CheckError(f"{line}\n{printed}\nIt took longer than {longest} s.") from error
    if done.returncode:
        raise CheckError(f"{line}\n{done.stdout}{done.stderr}")
    return done.stdout


def require(*, holds: bool, message: str) -> None:
    """Raise a CheckError with the message unless something holds."""
    if not holds:
        raise CheckError(message)


def build(distribution: Distribution, index: Path) -> Path:
    """Build a wheel into its folder of the index (a folder a distribution, as a simple index has them)."""
    folder = index / distribution.name
    run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, distribution.folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    (folder / ".gitignore").unlink(missing_ok=True)
    (folder / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>', encoding="utf-8")
    return wheel


def check_contents(distribution: Distribution, wheel: Path) -> None:
    """Check that a wheel is typed, licensed, and holds its package and nothing beside it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata_name = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(metadata_name).decode())
    info = metadata_name.partition("/")[0]
    for name in (f"{distribution.package}/py.typed", f"{info}/licenses/LICENSE"):
        require(holds=name in names, message=f"{wheel.name} has no {name}")
    strangers = {name.partition("/")[0] for name in names} - {distribution.package, info}
    require(holds=not strangers, message=f"{wheel.name} also holds {sorted(strangers)}")
    require(holds=metadata["License-Expression"] == "Apache-2.0", message=f"{wheel.name} does not name its license")


def install(distribution: Distribution, index: Path, environment: Path) -> None:
    """Install a distribution, by name, into an environment that has nothing else; see that its extras resolve."""
    python = environment / SCRIPTS / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment, cwd=index)
    pip = (UV, "pip", "install", "--quiet", "--python", python, "--index", index.as_uri())
    run(*pip, distribution.name, cwd=index)
    if distribution.extras:
        run(*pip, "--dry-run", f"{distribution.name}[{','.join(distribution.extras)}]", cwd=index)


def check_use(distribution: Distribution, environment: Path) -> None:
    """Use what was installed as its users first do: import it, ask its commands who they are."""
    scripts = environment / SCRIPTS
    where = run(
        scripts / "python", "-I", "-c", f"import {distribution.package} as p; print(p.__file__)", cwd=environment
    )
    require(
        holds=Path(where).is_relative_to(environment.resolve()), message=f"{distribution.name} is not from its wheel"
    )
    for script in distribution.scripts:
        run(scripts / script, "--help", cwd=environment)
    run(scripts / "ticketkit", "--version", cwd=environment)
    listed = run(scripts / "ticketkit", "plugins", cwd=environment)
    for plugin in distribution.plugins:
        require(holds=plugin in listed, message=f"`ticketkit plugins` does not name {plugin}:\n{listed}")


def check_conformance(distribution: Distribution, index: Path, environment: Path) -> int:
    """Run the short form of a distribution's conformance tests where it is installed alone.

    Returns:
        How many promises were kept; 0 for a distribution without backends.
    """
    python = environment / SCRIPTS / "python"
    backends = json.loads(run(python, "-I", "-c", LIST.format(name=distribution.name), cwd=environment))
    if not backends:
        return 0
    tests = environment / "conformance"
    tests.mkdir()
    for pattern in ("conftest.py", "test_conformance*.py"):
        for file in (distribution.folder / "tests").glob(pattern):
            shutil.copy(file, tests)
    require(holds=any(tests.glob("test_*.py")), message="it has backends, and no tests/test_conformance*.py")
    wanted = f"{distribution.name}[{','.join(distribution.extras)}]" if distribution.extras else distribution.name
    group = f"{distribution.folder / 'pyproject.toml'}:test"
    pip = (UV, "pip", "install", "--quiet", "--python", python, "--index", index.as_uri())
    run(*pip, wanted, "--group", group, cwd=index)
    return kept(conformance(python, tests), backends)


def conformance(python: Path, tests: Path) -> list[dict[str, Any]]:
    """Run the conformance tests of a folder, as their author would; returns their report."""
    report = tests / "report.json"
    settings = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull, f"--rootdir={tests}")
    kit = ("--ticketkit-short", "--ticketkit-report=json", f"--ticketkit-report-file={report}")
    run(python, "-m", "pytest", *settings, *kit, tests, cwd=tests, longest=LONGEST)
    require(holds=report.exists(), message="no test of the conformance kit was run")
    chapters: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))
    return chapters


def kept(chapters: list[dict[str, Any]], backends: list[list[str]]) -> int:
    """Count the promises that were kept; each backend, a kind and a name, has to have been tested."""
    tested = [[chapter["kind"], chapter["backend"]] for chapter in chapters]
    missing = [f"{name} ({kind})" for kind, name in backends if [kind, name] not in tested]
    require(holds=not missing, message=f"no conformance test is about {', '.join(missing)}")
    number: int = sum(test["verdict"] == "kept" for chapter in chapters for test in chapter["tests"])
    require(holds=number > 0, message="no promise was tested")
    return number


def check(distribution: Distribution, index: Path, environment: Path, turn: Semaphore) -> tuple[str, int]:
    """Try one distribution.

    Returns:
        Nothing where all is well, else what is not; and the number of promises that it keeps.
    """
    try:
        (wheel,) = (index / distribution.name).glob("*.whl")
        check_contents(distribution, wheel)
        install(distribution, index, environment)
        check_use(distribution, environment)
        with turn:
            return "", check_conformance(distribution, index, environment)
    except CheckError as error:
        return f"{distribution.name}: {error}", 0


def main() -> int:
    """Check them all; exit status 1 if one fails."""
    distributions = workspace()
    with tempfile.TemporaryDirectory(prefix="wheels-") as name, ThreadPoolExecutor() as pool:
        folder = Path(name).resolve()
        index = folder / "index"
        try:
            list(pool.map(lambda distribution: build(distribution, index), distributions))
        except CheckError as error:
            print(error, file=sys.stderr)
            return 1
        turn = Semaphore(AT_ONCE)
        found = list(pool.map(lambda d: check(d, index, folder / f"environment-{d.name}", turn), distributions))
    for distribution, (problem, promises) in zip(distributions, found, strict=True):
        fine = f"{distribution.name}: fine" + (f", {promises} promises kept" if promises else "")
        print(problem or fine, file=sys.stderr if problem else sys.stdout)
    return 1 if any(problem for problem, _ in found) else 0


if __name__ == "__main__":
    sys.exit(main())
