"""One server as a child process: started, killed, frozen and started again by tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 30.0
LOOK: Final = 0.02
"""Seconds between two looks whether it answers."""


class ServerMissing(TicketkitError):
    """The program of a server is not installed; the message has the line that installs it."""


class ServerFailed(TicketkitError):
    """A server did not start; the message has the end of its log."""


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str, *, distribution: str, folder: str | None = None, oldest: str = "") -> Path:
    """Where a program is: in an installed wheel, else on PATH.

    Args:
        name: Of the file.
        distribution: The wheel that brings it.
        folder: End of the path of its folder, where a wheel has several of that name.
        oldest: Oldest version that will do, for the message.

    Raises:
        ServerMissing: Nowhere.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name and (folder is None or file.parent.as_posix().endswith(folder)):
            found = Path(str(file.locate())).resolve()
            if os.access(found, os.X_OK):
                return found
    if (on_path := shutil.which(name)) is not None:
        return Path(on_path)
    wanted = f"{name} {oldest}".strip()
    raise ServerMissing(f"{wanted} is not installed: pip install {distribution}")


class Server(ABC):
    """A server with its data in a folder of its own; as a context manager it is started, and gone at the end.

    Args:
        folder: For its data and log; one of its own, removed at the end, when left out.
        port: To listen on; a free one when left out. It stays the same over restarts.

    Attributes:
        NAME: What it is called.
        folder: Of its data.
        port: On the loopback.
    """

    NAME: ClassVar[str]
    STOP: ClassVar[signal.Signals] = signal.SIGTERM
    """How it is asked to end in order."""
    ABANDON: ClassVar[signal.Signals] = signal.SIGKILL
    """How it is ended when its data is not wanted any more: nothing is written through for it."""

    def __init__(self, folder: Path | None = None, *, port: int | None = None) -> None:
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix=f"ticketkit-{self.NAME.lower()}-")) if folder is None else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, for a backend that is to use it."""

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id; None when it was not started, or was ended."""
        return None if self._child is None else self._child.pid

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "server.log"

    def start(self) -> Self:
        """Start it on its data, and return when it answers.

        Raises:
            ServerMissing: Its program is not installed.
            ServerFailed: It ended, or did not answer within 30 s.
        """
        if not self.running:
            self.prepare()
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    self.command(),
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    cwd=self.folder,
                    start_new_session=True,  # Ctrl-C at the terminal is for who started it, and needs it still
                    **self.options(),
                )
            self._wait()
        return self

    def stop(self) -> None:
        """End it in order; its data stays."""
        self._end(self.STOP)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to write anything down."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it in order, and start it again on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)
        if self._child is not None and self._child.poll() is None:
            # A signal takes a moment, in which it would answer once more.
            os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT: it goes on after `pause`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            return self.start()
        except BaseException:
            self._end(self.ABANDON if self._own else self.STOP)  # Ctrl-C while it starts: nobody would end it later
            self._clean()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: at once, and with its data, if the folder was its own."""
        self._end(self.ABANDON if self._own else self.STOP)
        self._clean()

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what the first start needs."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The command line."""

    def options(self) -> dict[str, Any]:
        """More arguments of `Popen`."""
        return {}

    def answers(self) -> bool:
        """Whether it serves now."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, self.port)) == 0

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < end:
            if self.answers():
                return
            time.sleep(LOOK)
        self._end(signal.SIGKILL)
        raise ServerFailed(f"{self.NAME} did not start:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(number)
        try:
            self._child.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def _clean(self) -> None:
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
