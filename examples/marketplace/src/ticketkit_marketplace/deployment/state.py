"""Who runs, written down in the data folder: for whoever wants to end one, and for the start after a crash."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "processes.json"


def write(data: Path, processes: Mapping[str, tuple[int, int]], servers: Mapping[str, tuple[int, int]]) -> None:
    """Write it down, all at once.

    Args:
        data: Data folder.
        processes: Process id and port by name.
        servers: The same of databases and buses.
    """

    def told(found: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
        return {name: {"pid": pid, "port": port} for name, (pid, port) in found.items()}

    state = {"supervisor": os.getpid(), "processes": told(processes), "servers": told(servers)}
    partial = (data / FILE).with_suffix(".partial")
    partial.write_text(json.dumps(state, indent=2), encoding="utf-8")
    partial.rename(data / FILE)


def remove(data: Path) -> None:
    """Nobody runs any more."""
    (data / FILE).unlink(missing_ok=True)


def check_nobody_left(data: Path) -> None:
    """See that nothing runs of an earlier start that was killed: two servers on the same data would ruin them.

    Raises:
        Misconfigured: Something does; the message has the line that ends it.
    """
    left = {}
    for name, one in _noted(data).items():
        command = _command(one["pid"])
        # An id is used again some day, so it also has to look like the process.
        if str(one["port"]) in command or str(data) in command:
            left[name] = one["pid"]
    if left:
        names = ", ".join(left)
        pids = " ".join(map(str, left.values()))
        msg = f"An earlier start was killed, and these processes of it still run: {names}."
        raise Misconfigured(msg, mend=f"End them with `kill {pids}`, and start again.")


def _noted(data: Path) -> dict[str, dict[str, int]]:
    try:
        state: dict[str, Any] = json.loads((data / FILE).read_text(encoding="utf-8"))
        return {**state["processes"], **state["servers"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _command(pid: int) -> str:
    """The command line of a process; nothing when there is none."""
    done = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], check=False, capture_output=True, text=True)  # noqa: S607
    return str(done.stdout)
