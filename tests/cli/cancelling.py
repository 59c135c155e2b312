"""A cancellation that is killed in the middle: `python cancelling.py STORAGE_URL EVENT STEPS`."""

from __future__ import annotations

import os
import signal
import sys

import anyio

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.ids import new_id
from ticketkit.plugins import Plugins
from ticketkit.services.commands import Commands
from ticketkit.services.operations import Operations


async def main(url: str, event_id: str, steps: int) -> None:
    def on_step(done: int, _of: int) -> None:
        if done == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Plugins.load().open(BackendKind.STORAGE, url, Context()) as storage:
        await Operations(storage, Commands(new_id)).cancel(event_id, actor="olga", on_step=on_step)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
