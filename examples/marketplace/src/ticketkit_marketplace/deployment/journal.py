"""What the processes say, line by line, each with the name of who said it."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

LAST: Final = 12
"""Lines that are kept of each."""
WIDTH: Final = 12
COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
OWN: Final = "services"
"""Name of what is said here, and by no process."""


class Journal:
    """Writes lines to a console; may be told from any thread.

    Args:
        console: Standard error. Colours are its business: there are none in a file, or with NO_COLOR.
        as_json: One JSON object a line, with the name as `process`.
    """

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self.console, self.as_json = console, as_json
        self._last: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST))
        self._colours: dict[str, str] = {}
        self._lock = threading.Lock()

    def hear(self, name: str, line: str) -> None:
        """A process said a line."""
        with self._lock:
            self._last[name].append(line)
            if self.as_json:
                self._write(_as_json(name, line))
            else:
                self._show(name, line)

    def say(self, sentence: str, *, level: str = "info") -> None:
        """Say something about the processes."""
        with self._lock:
            if self.as_json:
                told = {"time": datetime.now(UTC).isoformat(), "level": level, "message": sentence}
                self._write(json.dumps({**told, "process": OWN}, ensure_ascii=False))
            else:
                self._show(OWN, sentence, style="bold red" if level == "error" else "bold")

    def last(self, name: str) -> list[str]:
        """The newest lines of a process."""
        with self._lock:
            return list(self._last[name])

    def forget(self, name: str) -> None:
        """It starts anew: what it said before is not about this start."""
        with self._lock:
            self._last.pop(name, None)

    def _show(self, name: str, line: str, *, style: str = "") -> None:
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        text = Text.assemble((f"{name:<{WIDTH}} ", colour), (line, style))
        self.console.print(text, soft_wrap=True)

    def _write(self, line: str) -> None:
        self.console.file.write(f"{line}\n")
        self.console.file.flush()


def _as_json(name: str, line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):  # a library that prints, or a traceback of the interpreter
        told = {"time": datetime.now(UTC).isoformat(), "level": "info", "message": line}
    return json.dumps({**told, "process": name}, ensure_ascii=False)
