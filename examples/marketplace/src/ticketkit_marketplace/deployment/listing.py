"""Lists the Broadway week in a process of its own, so that the supervisor stays small."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
from anyio.streams.text import TextReceiveStream

from ticketkit_marketplace.demo.process import DidNotStart, environment_of
from ticketkit_marketplace.web.api import Api, Away, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import ByteReceiveStream


async def anything_on_sale(api: str) -> bool:
    """Whether there are live events.

    Args:
        api: Where the services answer.

    Raises:
        DidNotStart: They don't.
    """
    try:
        async with Api.at(api, patience=30.0) as services:
            return bool((await services.nobody.part("/api/events", limit=1)).items)
    except (Away, Refused) as error:
        msg = f"What is on sale can't be seen: {error}"
        raise DidNotStart(msg) from None


async def listed(data: Path, settings: Mapping[str, str], shows: Sequence[str], *, hear: Callable[[str], None]) -> None:
    """List it, if that was never done.

    Args:
        data: Data folder.
        settings: `TICKETKIT_*`.
        shows: By a part of their names; all when empty.
        hear: Told what the command says.

    Raises:
        DidNotStart: It could not be listed.
    """
    chosen = [word for name in shows for word in ("--show", name)]
    command = [sys.executable, "-m", "ticketkit_marketplace", "list", *chosen]
    said: list[str] = []

    async def listen(stream: ByteReceiveStream) -> None:
        rest = ""
        async for text in TextReceiveStream(stream, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                said.append(line)
                hear(line)

    async with await anyio.open_process(
        command,
        env=environment_of(data, settings),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        if process.stdout is not None:
            await listen(process.stdout)
        status = await process.wait()
    if status:
        msg = f"The Broadway week was not listed: {said[-1] if said else f'status {status}'}"
        raise DidNotStart(msg)
