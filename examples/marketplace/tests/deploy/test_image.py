"""The Dockerfile: linted, pinned, and its steps run here without a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest
from deploy.files import DEPLOY, ROOT, stages
from deploy.stack import program
from packaging.specifiers import SpecifierSet

STAGES = stages()


def test_hadolint_has_nothing_to_say() -> None:
    command = [program("hadolint"), "--no-color", str(DEPLOY / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_stages_begin_with_an_image_of_a_full_version_or_with_another_stage() -> None:
    assert list(STAGES) == ["python", "build", "development", "runtime"]
    for stage in STAGES.values():
        assert stage.base in STAGES or re.fullmatch(r"[\w/-]+:\d+\.\d+\.\d+-[\w-]+", stage.base), stage.base


@pytest.mark.parametrize("name", ["development", "runtime"])
def test_what_runs_is_nobody_in_particular(name: str) -> None:
    assert STAGES[name].all("USER") == ["10001:10001"]
    assert STAGES[name].instructions[-1].word == "CMD"


def test_the_last_stage_has_wheels_alone() -> None:
    runtime = STAGES["runtime"]
    assert list(STAGES)[-1] == runtime.name
    assert runtime.all("COPY") == ["--from=build /app/.venv /app/.venv"]
    assert runtime.all("RUN") == []
    assert len(runtime.all("HEALTHCHECK")) == 1
    assert "TICKETKIT_ENVIRONMENT=production" in " ".join(runtime.all("ENV"))


def test_what_is_installed_is_what_the_lock_says() -> None:
    syncs = [line for line in STAGES["build"].all("RUN") if line.startswith("uv sync")]
    for line in syncs:
        assert {"--locked", "--no-dev", "--package", "ticketkit-marketplace"} <= set(line.split())
    assert "--no-editable" in syncs[-1]


def test_uv_is_one_that_the_project_takes() -> None:
    [version] = re.findall(r"uv==([\d.]+)", " ".join(STAGES["build"].all("RUN")))
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert SpecifierSet(tomllib.load(file)["tool"]["uv"]["required-version"]).contains(version)


def test_its_python_is_one_that_the_packages_take() -> None:
    version = re.findall(r":(\d+\.\d+\.\d+)", STAGES["python"].base)[0]
    for name in ("ticketkit", "ticketkit-marketplace"):
        assert SpecifierSet(metadata.metadata(name)["requires-python"]).contains(version)


def _ignored(path: str) -> bool:
    """Whether .dockerignore leaves it out: the last line about it, or about a folder of it, decides."""
    parts = path.split("/")
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        for end in range(1, len(parts) + 1):
            beginning = "/".join(parts[:end])
            plain = pattern.removeprefix("**/")
            if fnmatch(beginning, pattern) or (pattern.startswith("**/") and fnmatch(parts[end - 1], plain)):
                out = not line.startswith("!")
                break
    return out


def _copied() -> list[tuple[list[str], str]]:
    """Sources and targets of the build stage, from the repository."""
    lines = [line.split() for line in STAGES["build"].all("COPY")]
    return [(words[:-1], words[-1]) for words in lines]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    for sources, _ in _copied():
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not _ignored(source), source


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        ".data/ticketkit.db",
        "docs/index.md",
        "examples/marketplace/.env",
        "examples/marketplace/deploy/.env",
        "examples/marketplace/tests/conftest.py",
        "src/ticketkit/__pycache__/x.pyc",
        "tests/test_docs.py",
    ],
)
def test_what_an_image_has_no_use_for_stays_out(path: str) -> None:
    assert _ignored(path)


@pytest.mark.proof
def test_the_build_makes_programs_that_run(tmp_path: Path) -> None:
    """Its steps in a folder: what is copied is enough, and what is installed runs without the sources."""
    work, app = tmp_path / "work", tmp_path / "app"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "VIRTUAL_ENV"))},
        "UV_PROJECT_ENVIRONMENT": str(app / ".venv"),
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{app / '.venv' / 'bin'}:{os.environ['PATH']}",
    }
    work.mkdir()
    for one in STAGES["build"].instructions:
        if one.word == "COPY":
            *sources, target = one.rest.split()
            for source in sources:
                _copy(source, work, target)
        elif one.word == "RUN" and one.rest.startswith("uv "):
            words = [program("uv"), *(word for word in one.rest.split()[1:] if word != "--no-cache")]
            subprocess.run(words, cwd=work, env=environment, check=True, timeout=300)
    shutil.rmtree(work)
    for command in (["ticketkit", "--help"], ["ticketkit", "db", "--help"], ["ticketkit-marketplace", "web", "--help"]):
        subprocess.run([app / ".venv" / "bin" / command[0], *command[1:]], env=environment, check=True, timeout=60)
    plugins = subprocess.run(
        [app / ".venv" / "bin" / "ticketkit", "plugins", "--json"], env=environment, check=True, capture_output=True
    )
    assert {"nats", "redis", "postgresql", "stripe"} <= _schemes(json.loads(plugins.stdout))


def _schemes(plugins: object) -> set[str]:
    return set(re.findall(r"[a-z]+", json.dumps(plugins)))


def _copy(source: str, work: Path, target: str) -> None:
    found = ROOT / source
    if found.is_file():
        place = work / target / found.name if target.endswith("/") else work / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, place)
        return
    for file in found.rglob("*"):
        path = file.relative_to(ROOT).as_posix()
        if file.is_file() and not _ignored(path):
            place = work / target / file.relative_to(found)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
