"""Runs a command anew whenever a source file of ticketkit, its SQL plugin or this example is saved."""

from __future__ import annotations

import importlib.util
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from watchfiles import run_process

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES: Final = ("ticketkit", "ticketkit_sql", "ticketkit_marketplace")
STOP: Final = 12
"""Seconds that a stop may take: a marketplace drains for 10."""


def folders() -> list[Path]:
    """Where the packages are."""
    found = [importlib.util.find_spec(package) for package in PACKAGES]
    return [Path(spec.origin).parent for spec in found if spec is not None and spec.origin is not None]


def reloaded(arguments: Sequence[str]) -> None:
    """Run `ticketkit-marketplace` with these arguments until Ctrl-C, and start it anew at every change."""
    logging.getLogger("watchfiles").setLevel(logging.ERROR)
    command = shlex.join([sys.executable, "-m", "ticketkit_marketplace", *arguments])
    run_process(*folders(), target=command, target_type="command", sigint_timeout=STOP)
