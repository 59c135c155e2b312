"""A child process that opens the backend under test and runs one function on it, until it ends or is killed.

The function is named as `module:function`; it is async, and called with the open backend, a `say` that tells the parent
a JSON value, and the arguments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Self

import anyio
from anyio.to_thread import run_sync

from ticketkit.backends.spec import BackendKind, Context, no_checkpoint
from ticketkit.testing.conformance.opening import KitClock, loaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

    from ticketkit.testing.conformance.target import Target


class Worker:
    """A child process on the backend under test. As an async context manager it is started, and killed at the end.

    Args:
        kind: Of the backend.
        target: The backend.
        function: What it runs, as `module:function`.
        arguments: JSON values.
        die_at: Name of the checkpoint at which it kills itself with SIGKILL.
        times: At which reaching of that checkpoint.

    Attributes:
        told: What it said so far, oldest first.
    """

    def __init__(
        self,
        kind: BackendKind,
        target: Target,
        function: str,
        *arguments: Any,
        die_at: str | None = None,
        times: int = 1,
    ) -> None:
        self._order = json.dumps(
            {
                "kind": kind.value,
                "url": target.url,
                "plugins": target.plugins,
                "function": function,
                "arguments": arguments,
                "die_at": die_at,
                "times": times,
            }
        )
        self._child: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._reading: Future[str] | None = None
        self.told: list[Any] = []

    async def __aenter__(self) -> Self:
        """Start it."""
        self._child = self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it, if it still lives."""
        self.kill()
        with anyio.CancelScope(shield=True):
            await run_sync(self._end)

    @property
    def child(self) -> subprocess.Popen[str]:
        """The process."""
        assert self._child is not None, "enter it first"
        return self._child

    async def hear(self) -> Any:
        """The next thing that it says.

        Raises:
            AssertionError: It ended without saying more; with what it printed.
        """
        line = await self._line()
        if not line:
            status = await run_sync(self.child.wait, abandon_on_cancel=True)
            msg = f"the child process ended with status {status}:\n{self.errors()}"
            raise AssertionError(msg)
        self.told.append(json.loads(line))
        return self.told[-1]

    async def ended(self) -> int:
        """Wait for its end, keeping what it says; returns its exit status (-9 when it was killed)."""
        while line := await self._line():
            with suppress(ValueError):  # a line that the kill cut off
                self.told.append(json.loads(line))
        return await run_sync(self.child.wait, abandon_on_cancel=True)

    def errors(self) -> str:
        """What it printed on standard error so far."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it keeps what it holds, and does nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def _line(self) -> str:
        assert self.child.stdout is not None
        # Whoever gives up waiting leaves the read to the next one: no word is lost.
        self._reading = self._reading or self._reader.submit(self.child.stdout.readline)
        line = await run_sync(self._reading.result, abandon_on_cancel=True)
        self._reading = None
        return line

    def _start(self) -> subprocess.Popen[str]:
        # A file, for nobody reads a pipe while the child runs, and a full one would stop it.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed at the end
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        child = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert child.stdin is not None
        child.stdin.write(self._order + "\n")
        child.stdin.flush()
        return child

    def _send(self, number: signal.Signals) -> None:
        if self.child.poll() is None:
            self.child.send_signal(number)

    def _end(self) -> None:
        self.child.wait(10)
        self._reader.shutdown()
        for pipe in (self.child.stdin, self.child.stdout, self._errors):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def main() -> None:
    """What the child process runs."""
    anyio.run(_main, json.loads(sys.stdin.readline()))


async def _main(order: dict[str, Any]) -> None:
    module, _, name = order["function"].partition(":")
    function = getattr(import_module(module), name)
    context = Context(clock=KitClock(), checkpoint=_fatal(order["die_at"], order["times"]))
    async with loaded(order["plugins"]).open(BackendKind(order["kind"]), order["url"], context) as backend:
        await function(backend, _say, *order["arguments"])


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201 - it is a protocol


def _fatal(die_at: str | None, times: int) -> Callable[[str], None]:
    if die_at is None:
        return no_checkpoint
    left = times

    def reached(name: str) -> None:
        nonlocal left
        if name == die_at:
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached
