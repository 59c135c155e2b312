"""What the child processes of the tests of `Worker` run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anyio

Say = Callable[[object], None]


async def count(backend: Any, say: Say, to: int) -> None:
    """Say the backend's name, and count."""
    say(backend.name)
    for number in range(1, to + 1):
        say(number)


async def count_for_ever(backend: Any, say: Say) -> None:
    number = 0
    while True:
        number += 1
        say(number)
        await anyio.sleep(0.01)


async def fail(backend: Any, say: Say) -> None:
    say("before")
    msg = "the child is unhappy"
    raise ValueError(msg)


async def print_much(backend: Any, say: Say) -> None:
    """Print more on standard error than a pipe holds, and then say so."""
    sys.stderr.write("x" * 1_000_000)
    say("printed")
