"""The simulator as a server: on a socket of the loopback, in this thread or in one of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Final

import uvicorn
from starlette.applications import Starlette

from ticketkit_stripe.simulator.api import Api
from ticketkit_stripe.simulator.connections import Connections
from ticketkit_stripe.simulator.control import Control
from ticketkit_stripe.simulator.desk import Desk
from ticketkit_stripe.simulator.simulation import Settings, Simulation

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024
_GRACE: Final = 1
"""Seconds that calls under way have when it ends."""


def listening(port: int = 0) -> socket.socket:
    """A socket of the loopback that listens; port 0 is a free one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(_BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL of what listens there."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(settings: Settings, listener: socket.socket, *, ready: Callable[[uvicorn.Server], object]) -> None:
    """Serve until it is told to end.

    Args:
        ready: Called with the server when it answers; its `should_exit` ends it.
    """
    connections = Connections()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        simulation = Simulation(replace(settings, site=url_of(listener)))
        app.router.routes += [*Desk(simulation).routes(), *Api(simulation, connections).routes()]
        yield
        await simulation.sender.close()

    class Announced(uvicorn.Server):
        """Says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(self)

    config = uvicorn.Config(
        Starlette(lifespan=lifespan),
        http=connections.protocol(),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE,
    )
    Announced(config).run(sockets=[listener])


@contextlib.contextmanager
def in_thread(settings: Settings | None = None) -> Iterator[Control]:
    """A simulator in a thread of this process, with a loop of its own; ends with the block.

    Yields:
        Its control; `url` is where it is.
    """
    listener, started = listening(), threading.Event()
    servers: list[uvicorn.Server] = []

    def ready(server: uvicorn.Server) -> None:
        servers.append(server)
        started.set()

    thread = threading.Thread(target=serve, args=(settings or Settings(), listener), kwargs={"ready": ready})
    thread.start()
    started.wait()
    try:
        with Control(url_of(listener)) as control:
            yield control
    finally:
        servers[0].should_exit = True
        thread.join()
        listener.close()
