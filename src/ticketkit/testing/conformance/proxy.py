"""A TCP proxy that cuts connections, swallows answers and refuses, at the right moment."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Self

import anyio

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK: Final = 65536


class Proxy:
    """Between a backend and its server, on a free port of the loopback. Methods may be called from any thread.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        port: Where it listens.
        swallowed: Bytes of answers that never arrived.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._away = self._deaf = False
        self.port = 0
        self.swallowed = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with all connections."""
        if self._server is not None:
            self._server.close()
        self._cut()
        for task in self._tasks:
            task.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._server is not None:
                await self._server.wait_closed()

    def cut(self) -> None:
        """End all connections, at both ends; new ones are taken again."""
        self._call(self._cut)

    def leave(self) -> None:
        """End all connections and refuse new ones, until `mend`."""
        self._away = True
        self._call(self._cut)

    def swallow(self) -> None:
        """From now on what the server answers does not arrive; what it is told still does. Until `cut` or `mend`."""
        self._deaf = True

    def mend(self) -> None:
        """Be an honest proxy again; connections that lost something are ended."""
        if self._deaf:
            self._call(self._cut)
        self._away = self._deaf = False

    def _here(self) -> bool:
        return not self._away

    def _call(self, what: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(what)  # type: ignore[arg-type]

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._here():
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        if not self._here():  # it left while this connected
            for side in (writer, back):
                side.transport.abort()
            return
        self._writers |= {writer, back}
        for source, sink, answers in ((reader, back, False), (there, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, answers=answers))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if answers and self._deaf:
                    self.swallowed += len(data)
                    continue
                sink.write(data)
                await sink.drain()
        self._writers.discard(sink)
        sink.transport.abort()
