"""Connections that can be dropped: to its client, an answer or a call is lost on the way."""

from __future__ import annotations

import asyncio
from typing import TypeAlias, cast

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_Address: TypeAlias = "tuple[str, int]"


class Connections:
    """The open connections of a server, by the address of their clients."""

    def __init__(self) -> None:
        self._open: dict[_Address, asyncio.Transport] = {}

    async def drop(self, request: Request) -> None:
        """Drop the connection of a request; returns when it is gone."""
        client = request.client
        if client is not None and (transport := self._open.get((client.host, client.port))) is not None:
            transport.abort()
        while (await request.receive())["type"] != "http.disconnect":
            pass

    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol that a uvicorn server is to use, for its connections to be known here."""
        opened = self._open

        class Tracked(HttpToolsProtocol):
            """Enters its connection while it is open."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                self._address = cast("_Address", tuple(transport.get_extra_info("peername")[:2]))
                opened[self._address] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                opened.pop(self._address, None)
                super().connection_lost(exc)

        return Tracked
