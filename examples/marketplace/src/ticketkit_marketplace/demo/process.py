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
from typing import TYPE_CHECKING

from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class DidNotStart(TicketkitError):
    """The marketplace did not start."""


class Process:
    """A program on one port and one data folder; may be started again after it ended.

    Args:
        data: Data folder; also gets the log.
        environment: Settings (`TICKETKIT_*`); those of this process are not passed on.
        arguments: Further ones of the program.
        program: Module and command.
        name: Of its log.
        port: Default: a free one.
        log_level: Least level that it logs.
        hear: Told every line that it logs, from a thread; the log has them too.
    """

    def __init__(
        self,
        data: Path,
        *,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
        program: Sequence[str] = ("ticketkit_marketplace", "run"),
        name: str = "server",
        port: int | None = None,
        log_level: str = "warning",
        hear: Callable[[str], None] | None = None,
    ) -> None:
        self.data, self.name = data, name
        self.host = "127.0.0.1"
        self.port = free_port() if port is None else port
        self._environment = environment_of(data, environment)
        self._command = [sys.executable, "-m", *program, "--port", str(self.port), "--log-level", log_level, *arguments]
        self._running: subprocess.Popen[str] | None = None
        self._lines: Queue[str] = Queue()
        self._hear = hear
        self._listener: threading.Thread | None = None
        self.said: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._alive().pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._running is not None and self._running.poll() is None

    @property
    def status(self) -> int | None:
        """How it ended by itself; None while it lives, and after it was stopped or killed here."""
        return None if self._running is None else self._running.poll()

    @property
    def log(self) -> Path:
        """What it wrote to standard error."""
        return self.data / f"{self.name}.log"

    def start(self, *, seconds: float = 120.0) -> None:
        """Start it, and wait until it answers.

        Raises:
            DidNotStart: It ended, or took too long.
        """
        self.spawn()
        self.wait(seconds=seconds)

    def spawn(self) -> None:
        """Start it."""
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log if self._hear is None else subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C at the terminal is for the demo, which then stops it
            )
        self._lines = Queue()
        threading.Thread(target=self._read, args=(self._running, self._lines), daemon=True).start()
        if self._hear is not None:
            self._listener = threading.Thread(target=self._listen, args=(self._running, self._hear), daemon=True)
            self._listener.start()

    def wait(self, *, seconds: float = 120.0) -> None:
        """Wait until it answers.

        Raises:
            DidNotStart: It ended, or took too long.
        """
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except Empty:
                self.kill()
                msg = f"The marketplace did not answer within {seconds:.0f} s ({self.name})."
                raise DidNotStart(msg) from None
            if f"http://{self.host}:{self.port}/" in f"{line.rstrip()}/":
                return
            if not line:
                self._alive().wait()
                self.heard()
                msg = f"The marketplace did not start: {self._end_of_log()}"
                raise DidNotStart(msg)

    def stop(self, *, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Ask it to stop, and wait; its exit status."""
        process = self._alive()
        self.signal(number)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        self._running = None
        return status

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._alive().send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a power cut does it, if it runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def heard(self, *, seconds: float = 2.0) -> None:
        """Wait until every line of a process that ended was heard, but not longer than that."""
        if self._listener is not None:
            self._listener.join(seconds)

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

    def _listen(self, process: subprocess.Popen[str], hear: Callable[[str], None]) -> None:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        with process.stderr, self.log.open("a", encoding="utf-8") as log:
            for line in process.stderr:
                log.write(line)
                log.flush()
                hear(line.rstrip("\n"))

    def _end_of_log(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing."


def environment_of(data: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that has these settings, and none of this process's.

    Args:
        data: Data folder.
        settings: `TICKETKIT_*`.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKETKIT_")}
    return inherited | {"TICKETKIT_DATA_DIR": str(data.absolute()), **settings}


def own_settings() -> dict[str, str]:
    """`TICKETKIT_*` of this process, to be passed on; what they mean, the programs that get them know."""
    return {name: value for name, value in os.environ.items() if name.startswith("TICKETKIT_")}


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
