"""Shows what is ready and what is still awaited, while everything starts."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ticketkit_marketplace.deployment.journal import Journal


class Board:
    """A line for each thing that is awaited; on a terminal they move, elsewhere each is told once it is ready.

    Args:
        journal: Where it is told, and above which lines of the processes appear.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        if journal.console.is_terminal and not journal.as_json:
            columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=journal.console)
            self._progress.start()

    def begin(self, what: str) -> None:
        """It is awaited."""
        self._began[what] = perf_counter()
        if self._progress is not None:
            self._tasks[what] = self._progress.add_task(what, total=1)

    def ready(self, what: str) -> None:
        """It is there."""
        if self._progress is not None:
            self._progress.update(self._tasks[what], completed=1)
        else:
            self._journal.say(f"{what}: ready after {perf_counter() - self._began[what]:.1f} s")

    def close(self) -> None:
        """Everything is there, or will not be."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
