"""Serves a marketplace over HTTP with uvicorn; SIGINT and SIGTERM drain it."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import uvicorn

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.errors import TicketkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Receive, Scope, Send

SWITCH_INTERVAL: Final = 0.0005
"""Seconds that a busy event loop may keep a storage's thread from the interpreter; Python's default is ten times that,
and a commit waits for it at each statement."""


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket, before anything slow is started.

    Raises:
        Misconfigured: The address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        msg = f"Can't listen on {host}:{port}: {getattr(error, 'strerror', None) or error}. Choose another --port."
        raise Misconfigured(msg) from None
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, *, announce: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce, self._stopping = announce, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then stop."""
        self._stopping()
        await super().shutdown(sockets)


def serve(
    app: ASGIApp,
    lifespan: AbstractAsyncContextManager[object],
    listener: socket.socket,
    *,
    announce: Callable[[], None],
    drain: float,
    stopping: Callable[[], None] = lambda: None,
    trusted_proxies: str = "127.0.0.1,::1",
    more: Sequence[socket.socket] = (),
) -> None:
    """Serve an ASGI app until SIGINT or SIGTERM; then finish what is under way.

    Args:
        app: Without a lifespan of its own.
        lifespan: Entered before the first request and left after the last: the marketplace.
        listener: From `bound_socket`.
        announce: Called once it answers.
        drain: Seconds that open requests have to finish.
        stopping: Called once it stops, before open requests are waited for: ends answers that go on by themselves.
        trusted_proxies: Addresses and networks, with commas, whose `X-Forwarded-For` and `-Proto` are believed.
        more: Sockets besides `listener`, from `bound_socket` too. An app tells them apart by the port in
            `scope["server"]`.

    Raises:
        TicketkitError: As `lifespan` raised it when it was entered.
    """
    guarded = _Guarded(app, lifespan)
    sys.setswitchinterval(SWITCH_INTERVAL)
    config = uvicorn.Config(
        guarded,
        log_config=None,
        access_log=False,
        log_level="warning",
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain)),
        forwarded_allow_ips=trusted_proxies,
        backlog=2048,
    )
    # Once it has stopped, uvicorn raises the signal again, for the handler of before: the stop was clean.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    logging.getLogger("uvicorn.error").addFilter(_not_twice)
    try:
        _Server(config, announce=announce, stopping=stopping).run(sockets=[listener, *more])
    except SystemExit:  # uvicorn's way to say that the lifespan could not be entered
        if guarded.failure is None:
            raise
    finally:
        for one in (listener, *more):
            one.close()
    if guarded.failure is not None:
        raise guarded.failure


def _not_twice(record: logging.LogRecord) -> bool:
    """Leaves out that the start failed: why it did is raised, and told by the program."""
    return not record.getMessage().startswith("Application startup failed")


class _Guarded:
    """Runs a lifespan around an app, and remembers why it could not be entered."""

    def __init__(self, app: ASGIApp, lifespan: AbstractAsyncContextManager[object]) -> None:
        self._app, self._lifespan = app, lifespan
        self.failure: TicketkitError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        started = False
        try:
            async with self._lifespan:
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except TicketkitError as error:
            if started:
                raise
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": ""})
        else:
            await send({"type": "lifespan.shutdown.complete"})
