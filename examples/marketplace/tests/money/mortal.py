"""The payments service as a process that kills itself with SIGKILL at a commit: `python -m money.mortal`."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ticketkit.backends.spec import CHECKPOINTS, Backend, BackendKind, Capability, Context
from ticketkit.marketplace import Marketplace
from ticketkit.runtime import server
from ticketkit.runtime.settings import Settings

SCHEME: Final = "mortal"
"""Of a URL that is otherwise one of an SQLite file."""


class Mortal:
    """A plugin: storage on an SQLite file that ends its process at a checkpoint.

    Args:
        die_at: One of `CHECKPOINTS`.
        times: At which reaching of it.
        armed: Reachings count from when this file is there.
    """

    def __init__(self, die_at: str, times: int, armed: Path) -> None:
        self._die_at, self._left, self._armed = die_at, times, armed

    def ticketkit_backends(self) -> list[Backend]:
        """The storage."""
        shared = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})
        return [
            Backend(
                kind=BackendKind.STORAGE, name="mortal storage", schemes=(SCHEME,), capabilities=shared, open=self._open
            )
        ]

    @asynccontextmanager
    async def _open(self, url: str, context: Context) -> AsyncIterator[Any]:
        from ticketkit_sql.storage import open_storage

        async with open_storage(url.replace(SCHEME, "sqlite", 1), replace(context, checkpoint=self._reached)) as opened:
            yield opened

    def _reached(self, name: str) -> None:
        if name != self._die_at or not self._armed.exists():
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Serve payments, until the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--log-level")
    parser.add_argument("die_at", choices=CHECKPOINTS)
    parser.add_argument("times", type=int)
    parser.add_argument("armed", type=Path)
    given = parser.parse_args()
    market = Marketplace.of(Settings(), services=["payments"], plugins=[Mortal(given.die_at, given.times, given.armed)])
    listener = server.bound_socket("127.0.0.1", given.port)
    announce: Callable[[], None] = lambda: print(f"payments on {server.address(listener)}", flush=True)  # noqa: E731, T201
    server.serve(market.asgi(), market, listener, announce=announce, drain=1.0)


if __name__ == "__main__":
    main()
