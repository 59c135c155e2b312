"""Services as processes of their own, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READY_SECONDS = 30


def _untraced() -> dict[str, str]:
    """The environment, without what makes a process measure its coverage: five of them would take twice as long."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


class Process:
    """One `ticketkit` process; its first line of output says where it answers."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ticketkit", *arguments],
            env={**_untraced(), "PYTHONUNBUFFERED": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        """Where it answers; fails with what it said when it ended instead."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if "http://" not in line:
            _, errors = self.child.communicate(timeout=READY_SECONDS)
            message = f"it did not start: {errors}"
            raise AssertionError(message)
        return line.split()[-1]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, and return the exit status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            self.child.communicate(timeout=READY_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            raise
        return self.child.returncode


@contextmanager
def processes(env: Mapping[str, str], *names: str) -> Iterator[dict[str, Process]]:
    """A process for each service (an empty name is all of them), all ended at the end."""
    running = {name: Process("serve", *filter(None, [name]), "--port", "0", env=env) for name in names}
    try:
        yield running
    finally:
        for process in running.values():
            if process.child.poll() is None:
                process.child.kill()
            process.child.communicate()


def wait_until(what: str, look: object, *, seconds: float = 60) -> None:
    """Look again and again until it is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():  # type: ignore[operator]
            return
        time.sleep(0.05)
    message = f"after {seconds} s: not {what}"
    raise AssertionError(message)
