"""The simulator as a process of its own, for tests and demonstrations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ticketkit.testing.servers.server import HOST, Server
from ticketkit_stripe.simulator.control import Control


class Simulator(Server):
    """A Stripe of one's own; as a context manager it is started, and gone at the end.

    Its books are in memory: started again, it has none of them.

    Args:
        port: To listen on; a free one when left out.
        webhooks: URLs that events are sent to.
        key: The secret key it accepts, and `secret` signs webhooks; the usual ones of `simulation` when left out.
        rate: Calls a second.

    Attributes:
        control: Plays the buyer, the bank and bad luck.
    """

    NAME: ClassVar[str] = "Stripe"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        webhooks: Sequence[str] = (),
        key: str | None = None,
        secret: str | None = None,
        rate: int | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self.control = Control(self.url)
        self._webhooks = tuple(webhooks)
        self._options = {"key": key, "secret": secret, "rate": rate}

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{HOST}:{self.port}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.control.close()
        super().__exit__(kind, error, trace)

    def command(self) -> Sequence[str | Path]:
        given = [f"--{name}={value}" for name, value in self._options.items() if value is not None]
        hooks = [f"--webhook={url}" for url in self._webhooks]
        return [sys.executable, "-m", "ticketkit_stripe.simulator", f"--port={self.port}", *given, *hooks]
