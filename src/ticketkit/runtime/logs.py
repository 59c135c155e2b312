"""Structured logs with correlation ids. Only programs call `configure`: a library leaves logging to its app."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ticketkit.services.correlation import current

if TYPE_CHECKING:
    from typing import TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

_TALKATIVE: Final = ("alembic",)
"""Libraries that say at level INFO what only their authors want to know."""


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says besides its message: its `extra`, and the correlation of the running task."""
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    cause = current()
    if cause.correlation_id:
        found.setdefault("correlation_id", cause.correlation_id)
    if cause.causation_id:
        found.setdefault("causation_id", cause.causation_id)
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S")
        rest = " ".join(f"{name}={value}" for name, value in fields(record).items())
        line = f"{time} {record.levelname.lower():<8} {record.getMessage()}" + (f"  {rest}" if rest else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(*, as_json: bool, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the logs of this process to a stream, standard error by default.

    Args:
        as_json: JSON lines for programs, or text for people.
        level: The least level that is written.
        stream: Where to.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
