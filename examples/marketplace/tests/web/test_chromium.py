"""The browser of the tests is found, or installed where it may be; where not, it is said how."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from web import chromium

Program = Callable[..., Path]
Installing = Callable[..., Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with nothing but what is put into `bin`; its home is empty."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    monkeypatch.setattr(chromium.os, "geteuid", lambda: 0)
    return tmp_path


@pytest.fixture
def program(machine: Path) -> Program:
    """Puts a shell script on the PATH."""

    def put(name: str, text: str = "") -> Path:
        file = machine / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return file

    return put


@pytest.fixture
def installing(machine: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Installing:
    """Sets what `playwright install chromium` does: it works, or there is no network."""

    def does(*, works: bool) -> Path:
        made = machine / "playwright" / "chromium-1" / "chrome-linux" / "chrome"
        well = f'[ "$*" = "-m playwright install chromium" ] && /bin/mkdir -p {made.parent} && : > {made}'
        script = program("python", well if works else "echo no network >&2; exit 1")
        monkeypatch.setattr(sys, "executable", str(script))
        return made

    return does


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"])
def test_one_on_the_path_is_taken_and_nothing_is_installed(
    machine: Path, program: Program, installing: Installing, name: str
) -> None:
    there = program(name)
    made = installing(works=True)
    assert chromium.executable() == str(there)
    assert not made.exists()


def test_else_debians_package_is_installed(program: Program, machine: Path) -> None:
    asked, browser = machine / "asked", machine / "bin" / "chromium"
    install = f'[ "$2" = install ] && : > {browser} && /bin/chmod 755 {browser}'
    program("apt-get", f'echo "$*" >> {asked}\n{install}\ntrue')
    assert chromium.executable() == str(browser)
    assert asked.read_text().splitlines() == [
        "-qq update",
        "-qq install --yes --no-install-recommends chromium",
    ]


def test_who_may_not_install_packages_gets_playwrights(
    program: Program, machine: Path, installing: Installing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = machine / "asked"
    program("apt-get", f"echo asked > {asked}")
    monkeypatch.setattr(chromium.os, "geteuid", lambda: 1000)
    made = installing(works=True)
    assert chromium.executable() == str(made)
    assert chromium.executable() == str(made), "it is found the second time"
    assert not asked.exists()


def test_where_debian_has_none_playwrights_is_installed(program: Program, installing: Installing) -> None:
    program("apt-get", "exit 100")
    made = installing(works=True)
    assert chromium.executable() == str(made)


def test_where_nothing_works_it_is_said_what_was_tried_and_how_to_install_one(
    program: Program, installing: Installing
) -> None:
    program("apt-get", "echo no such package >&2; exit 100")
    installing(works=False)
    with pytest.raises(chromium.NoBrowser) as refused:
        chromium.executable()
    text = str(refused.value)
    assert "`apt-get install chromium`" in text
    assert "playwright install chromium" in text
    assert "no such package" in text
    assert "no network" in text
