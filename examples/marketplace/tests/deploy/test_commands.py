"""Start commands: each is one that the programs know, and that of development starts anew when a file changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from deploy.cluster import base, pods
from deploy.files import read, stages
from deploy.stack import program

from ticketkit.cli import main as ticketkit
from ticketkit_marketplace.cli import main as marketplace

PROGRAMS = {"ticketkit": ticketkit, "ticketkit-marketplace": marketplace}
RELOADING = "kubernetes/overlays/development/reloading.yaml"


def commands() -> list[str]:
    """Of our own programs, wherever one is named."""
    found = [json.loads(stages()[stage].all("CMD")[0]) for stage in ("runtime", "development")]
    found = [words if words[0] in PROGRAMS else words[1].split() for words in found]
    found += [told.get("command", [""]) for told in read("compose.yaml")["services"].values()]
    found += [container.get("args", [""]) for _, pod in pods(base()) for container in pod["containers"]]
    return sorted({" ".join(words) for words in found if words[0] in PROGRAMS})


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_that_the_program_knows(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed as it would be, to the last option; nothing is run."""
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", "postgresql://shop@db/shop")
    name, *rest = line.split()
    command: click.Command = PROGRAMS[name]
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=name, parent=context)
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    command.make_context(name, list(rest), parent=context)


def _until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_for_developing_starts_anew_when_a_source_is_replaced(tmp_path: Path) -> None:
    (sources := tmp_path / "src").mkdir()
    (file := sources / "orders.py").write_text("first", encoding="utf-8")
    log = tmp_path / "log"
    (script := tmp_path / "process").write_text(f'echo "$@" >> {log}\nexec sleep 60\n', encoding="utf-8")
    [command] = [one["value"] for one in read(RELOADING) if one["path"].endswith("command")]
    words = [re.sub(r"(/app/\w+ ?)+", str(sources), word) for word in command]
    environment = {"PATH": f"{Path(program('watchfiles')).parent}:{os.environ['PATH']}"}
    child = subprocess.Popen([*words, "sh", script, "serve", "orders"], env=environment, start_new_session=True)

    def starts() -> int:
        return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0

    try:
        _until(lambda: starts() > 0)

        def replaced() -> bool:  # again and again: it may not be looking yet
            file.write_text(str(time.monotonic()), encoding="utf-8")
            return starts() > 1

        _until(replaced)
        assert set(log.read_text(encoding="utf-8").splitlines()) == {"serve orders"}
    finally:
        child.terminate()
        child.wait(30)
