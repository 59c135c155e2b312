"""Memory of 500 open pages that are told what changes: of the web client alone, and of one mounted with the services.

Each page is loaded, its stream of server-sent events is opened and stays open; then something changes, all are told,
and each page is loaded again. Counted is the resident memory of the whole process, with Python and all that it has
imported. The web client alone is in front of services on NATS and SQLite, which are not counted.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import uvloop

from ticketkit.testing.servers import Nats
from ticketkit_marketplace.demo.buyers import sign_up
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.wire import Wire

if TYPE_CHECKING:
    from ticketkit_marketplace.demo.buyers import Account

STREAMS: Final = 500
LIMIT: Final = 150 * 2**20
"""Most bytes of the web client with so many streams."""
_AT_ONCE: Final = 32
_PATIENCE: Final = 60.0
_OK: Final = 200


def measure(*, streams: int = STREAMS) -> dict[str, Any]:
    """Measure both.

    Args:
        streams: Open at once.

    Returns:
        For `alone` and `mounted`: bytes after the `start`, with all streams `open`, and `after` all pages were loaded
        again; how many were `told`, and the `seconds` until the last one was.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ticketkit-bench-") as folder,
        Nats(sync="2m") as nats,
        ExitStack() as stack,
    ):
        settings = {
            "TICKETKIT_BUS_URL": nats.url,
            "TICKETKIT_WEB_STREAMS": str(streams),
            "TICKETKIT_WEB_STREAMS_PER_ADDRESS": str(streams),
        }
        show = ("--show", "Grand Horizons")
        services = Process(Path(folder) / "services", environment=settings, arguments=show)
        stack.callback(services.kill)
        services.start()
        api = {"TICKETKIT_WEB_API_URL": f"http://{services.host}:{services.port}"}
        web = Process(
            Path(folder) / "web", environment=settings | api, program=("ticketkit_marketplace", "web"), name="web"
        )
        stack.callback(web.kill)
        web.start()
        return {
            "streams": streams,
            "alone": uvloop.run(_measure(services, web, streams)),
            "mounted": uvloop.run(_measure(services, services, streams)),
        }


async def _measure(services: Process, web: Process, streams: int) -> dict[str, Any]:
    api = Wire(services.host, services.port, connections=4)
    pages = Wire(web.host, web.port, connections=_AT_ONCE)
    [owner] = await sign_up(api, 1, prefix=f"streams-{web.name}-", on_step=lambda _: None)
    event = await _announced(api, owner)
    await _load(pages, event, _AT_ONCE)
    start = web.rss()
    await _load(pages, event, streams)
    path = f"/live?event={event}&tickets={event}"
    readers = await asyncio.gather(*(_opened(web, path) for _ in range(streams)))
    opened = web.rss()
    began = perf_counter()
    await api.request("POST", f"/api/events/{event}/pause", {}, cookie=owner.cookie)
    told = await asyncio.gather(*(_told(reader) for reader, _ in readers))
    seconds = perf_counter() - began
    await _load(pages, event, streams)
    after = web.rss()
    for _, writer in readers:
        writer.close()
    return {"start": start, "open": opened, "after": after, "told": sum(told), "seconds": seconds}


async def _announced(api: Wire, owner: Account) -> str:
    body = {
        "name": "The Streams",
        "venue": "Here",
        "zone": "UTC",
        "startsAt": (datetime.now(UTC) + timedelta(days=7)).isoformat(),
    }
    answer = await api.request("POST", "/api/events", body, cookie=owner.cookie)
    return str(answer.json()["id"])


async def _load(pages: Wire, event: str, times: int) -> None:
    left = iter(range(times))

    async def visitor() -> None:
        for _ in left:
            answer = await pages.request("GET", f"/events/{event}")
            if answer.status != _OK:
                msg = f"A page was answered with {answer.status}."
                raise RuntimeError(msg)

    await asyncio.gather(*(visitor() for _ in range(_AT_ONCE)))


async def _opened(web: Process, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(web.host, web.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {web.host}\r\nAccept: text/event-stream\r\n\r\n".encode())
    async with asyncio.timeout(_PATIENCE):
        await reader.readuntil(b"retry: ")
    return reader, writer


async def _told(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            await reader.readuntil(b"event: change")
    except (TimeoutError, asyncio.IncompleteReadError):
        return False
    return True
