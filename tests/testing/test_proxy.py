"""The proxy between a backend and its server: cut, leave, swallow, mend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest

from ticketkit.testing.conformance.proxy import Proxy

pytestmark = pytest.mark.anyio
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that answers each line with itself.

    Attributes:
        heard: Lines that arrived.
        connected: How many connections there were.
    """

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.connected = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def echo() -> AsyncIterator[SimpleNamespace]:
    served = Echo()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server, Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield SimpleNamespace(server=served, proxy=proxy)


@asynccontextmanager
async def connection(proxy: Proxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(streams: Streams, line: bytes = b"hello\n") -> bytes:
    """Its answer; empty when the connection has ended."""
    reader, writer = streams
    with anyio.fail_after(5):
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readline()
        except OSError:
            return b""


async def test_what_is_said_passes_both_ways(echo: SimpleNamespace) -> None:
    async with connection(echo.proxy) as one, connection(echo.proxy) as two:
        assert (await ask(one, b"one\n"), await ask(two, b"two\n")) == (b"one\n", b"two\n")
        assert await ask(one, b"x" * 60_000 + b"\n") == b"x" * 60_000 + b"\n"


async def test_a_cut_ends_connections_and_new_ones_are_taken(echo: SimpleNamespace) -> None:
    async with connection(echo.proxy) as one:
        assert await ask(one) == b"hello\n"
        echo.proxy.cut()
        assert await ask(one) == b""
    async with connection(echo.proxy) as two:
        assert await ask(two) == b"hello\n"


async def test_a_proxy_that_left_takes_no_connections_until_it_is_mended(echo: SimpleNamespace) -> None:
    async with connection(echo.proxy) as one:
        assert await ask(one) == b"hello\n"
        echo.proxy.leave()
        assert await ask(one) == b""
    async with connection(echo.proxy) as two:
        assert await ask(two) == b""
    assert echo.server.heard == [b"hello\n"]
    echo.proxy.mend()
    async with connection(echo.proxy) as three:
        assert await ask(three) == b"hello\n"


async def test_a_swallowed_answer_never_arrives_though_the_server_heard(echo: SimpleNamespace) -> None:
    async with connection(echo.proxy) as one:
        assert await ask(one, b"before\n") == b"before\n"
        echo.proxy.swallow()
        one[1].write(b"lost\n")
        for _ in range(500):
            if echo.proxy.swallowed:
                break
            await anyio.sleep(0.01)
        assert echo.server.heard == [b"before\n", b"lost\n"]
        assert echo.proxy.swallowed == len(b"lost\n")
        echo.proxy.mend()
        with anyio.fail_after(5):
            assert await one[0].read() == b"", "a connection that lost something is ended"
    async with connection(echo.proxy) as two:
        assert await ask(two) == b"hello\n"


async def test_a_server_that_is_away_shows_as_an_ended_connection() -> None:
    server = await asyncio.start_server(Echo().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Proxy("127.0.0.1", port) as proxy, connection(proxy) as one:
        assert await ask(one) == b""


async def test_it_can_be_told_from_another_thread(echo: SimpleNamespace) -> None:
    async with connection(echo.proxy) as one:
        assert await ask(one) == b"hello\n"
        await anyio.to_thread.run_sync(echo.proxy.leave)
        assert await ask(one) == b""
