"""Plays the demonstration at a terminal: in a folder of its own, with progress bars where somebody watches."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ticketkit.backends.errors import Misconfigured
from ticketkit_marketplace.demo.conductor import Outcome, Plan, Stage, perform


def play(data: Path | None, **plan: Any) -> Outcome:
    """Play it through.

    Args:
        data: Empty or new folder to keep the data in; None for one that is removed afterwards.
        **plan: See `Plan`.

    Raises:
        Misconfigured: The folder is in use.
        DidNotStart: The marketplace did not start.
    """
    with ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ticketkit-demo-")))
        elif data.exists() and any(data.iterdir()):
            msg = f"The folder {data} is not empty, and a demonstration begins with nothing. Choose another --data."
            raise Misconfigured(msg)
        # As Ctrl-C: servers are children, and a plain end would leave them running.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stage = stack.enter_context(_watched()) if sys.stderr.isatty() else Stage()
        return uvloop.run(perform(Plan(data=data, **plan), stage))


class _watched(ExitStack):  # noqa: N801 - used like a function
    """A stage that people see on standard error."""

    def __enter__(self) -> Stage:  # type: ignore[override]
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        progress = self.enter_context(Progress(*columns, console=Console(stderr=True)))

        def begin(what: str, total: int | None) -> None:
            for task in progress.tasks:
                progress.update(task.id, total=task.total or 1, completed=task.total or 1)
                progress.stop_task(task.id)
            progress.add_task(what, total=total)

        def step(done: int) -> None:
            progress.update(progress.tasks[-1].id, completed=done)

        return Stage(begin, step)
