"""The marketplace as a process of its own, as an operator runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Final

from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READY: Final = "The marketplace is on "
LOG: Final = "server.log"


class DidNotStart(TicketkitError):
    """The marketplace did not start."""


class Process:
    """`ticketkit-marketplace run` on one port and one data folder; may be started again after it ended.

    Args:
        data: Data folder; also gets the log.
        environment: Settings (`TICKETKIT_*`); those of this process are not passed on.
        arguments: Further ones of `run`.
        command: Instead of `run`.
        port: Default: a free one.
    """

    def __init__(
        self,
        data: Path,
        *,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
        command: str = "run",
        port: int | None = None,
    ) -> None:
        self.data = data
        self.host = "127.0.0.1"
        self.port = free_port() if port is None else port
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKETKIT_")}
        self._environment = inherited | dict(environment)
        where = ["--port", str(self.port), "--data", str(data), "--log-level", "warning"]
        self._command = [sys.executable, "-m", "ticketkit_marketplace", command, *where, *arguments]
        self._running: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._alive().pid

    def start(self, *, seconds: float = 120.0) -> None:
        """Start it, and wait until it answers.

        Raises:
            DidNotStart: It ended, or took too long.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / LOG).open("ab") as log:
            self._running = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal is for the demo, which then stops it
            )
        lines: Queue[str] = Queue()
        threading.Thread(target=self._read, args=(self._running, lines), daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=seconds)
            except Empty:
                self.kill()
                msg = f"The marketplace did not answer within {seconds:.0f} s."
                raise DidNotStart(msg) from None
            if line.startswith(READY):
                return
            if not line:
                self._running.wait()
                msg = f"The marketplace did not start: {self._end_of_log()}"
                raise DidNotStart(msg)

    def stop(self, *, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Ask it to stop, and wait; its exit status."""
        process = self._alive()
        process.send_signal(number)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        self._running = None
        return status

    def kill(self) -> None:
        """SIGKILL, as a power cut does it, if it runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def rss(self) -> int:
        """Resident memory, bytes."""
        kilobytes = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.pid)],  # noqa: S607 - in every Unix
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return int(kilobytes) * 1024

    def _alive(self) -> subprocess.Popen[str]:
        if self._running is None:
            msg = "The marketplace does not run."
            raise DidNotStart(msg)
        return self._running

    def _read(self, process: subprocess.Popen[str], lines: Queue[str]) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with process.stdout:
            for line in process.stdout:
                self.said.append(line.rstrip())
                lines.put(line)
        lines.put("")

    def _end_of_log(self) -> str:
        lines = (self.data / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing."


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
