"""A marketplace on a thread of its own, and a bridge to one that runs in somebody's event loop."""

from __future__ import annotations

import atexit
import concurrent.futures.thread
import inspect
import logging
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack
from weakref import WeakMethod

import anyio
from anyio import CapacityLimiter, to_thread

from ticketkit import marketplace
from ticketkit.blocking._wire import Wire, check_thread
from ticketkit.blocking.services import Auth, Operations, Orders, Payments, Tickets
from ticketkit.runtime.runtime import NotRunning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable
    from types import TracebackType

    from opentelemetry.trace import TracerProvider

    from ticketkit.backends.clock import Clock
    from ticketkit.domain.policy import Policy
    from ticketkit.events.contract import Contract
    from ticketkit.events.envelope import Event
    from ticketkit.runtime.config import Config
    from ticketkit.services.principal import Identity
    from ticketkit.services.tokens import Keys

log = logging.getLogger(__name__)

C = TypeVar("C", bound="Contract")

HANDLERS: Final = 32
"""Handlers of events that run at once, each on a thread."""


class Options(TypedDict, total=False):
    """What a marketplace may be given besides its storage; see `ticketkit.Marketplace`."""

    bus: str
    timers: str | None
    payments: str
    accounts: str | None
    payment_storage: str | None
    services: Collection[str] | None
    identity: Identity | None
    policy: Policy | None
    plugins: Iterable[object]
    keys: Keys | None
    clock: Clock | None
    drain: float
    tracer_provider: TracerProvider | None
    config: Config | None


class _Shop:
    """The calls of a marketplace, over a wire."""

    def __init__(self, market: marketplace.Marketplace) -> None:
        self._market, self._wire = market, Wire()
        self._limiter: CapacityLimiter | None = None

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """Run the marketplace, and take calls until all that is under way has been handled: handlers may call, too."""
        self._limiter = CapacityLimiter(HANDLERS)
        async with self._wire.connected(), self._market:
            yield
            await self._market.runtime.drain(self._market.config.drain)
            await self._wire.close()

    @property
    def auth(self) -> Auth:
        """Users and sessions."""
        return Auth(self._wire, lambda: self._market.auth)

    @property
    def tickets(self) -> Tickets:
        """Live events and tickets."""
        return Tickets(self._wire, lambda: self._market.tickets)

    @property
    def orders(self) -> Orders:
        """Orders."""
        return Orders(self._wire, lambda: self._market.orders)

    @property
    def operations(self) -> Operations:
        """Locks, and what else operators do."""
        return Operations(self._wire, lambda: self._market.operations)

    @property
    def payments(self) -> Payments:
        """Charges and refunds."""
        return Payments(self._wire, lambda: self._market.payments)

    def ready(self) -> dict[str, str]:
        """What keeps it from serving, by name; empty when it is ready."""
        return self._wire.run(self._market.runtime.ready)

    def drain(self, seconds: float) -> bool:
        """Wait until every event is published and handled; False when the time is over."""
        return self._wire.run(lambda: self._market.runtime.drain(seconds))

    def on(
        self, *contracts: type[C], consumer: str
    ) -> Callable[[Callable[[Event[C]], None]], Callable[[Event[C]], None]]:
        """As `ticketkit.Marketplace.on`, for handlers that block: each call has a thread, up to 32 at once.

        Raises:
            TypeError: The handler is asynchronous.
        """
        add = self._market.on(*contracts, consumer=consumer)

        def decorate(handler: Callable[[Event[C]], None]) -> Callable[[Event[C]], None]:
            if inspect.iscoroutinefunction(handler):
                msg = "A handler for threads is no coroutine function; give that to ticketkit.Marketplace.on."
                raise TypeError(msg)

            async def on_a_thread(event: Event[C]) -> None:
                # A limit of its own: handlers that wait for calls must not take the threads that those calls need.
                await to_thread.run_sync(handler, event, limiter=self._limiter)

            add(on_a_thread)
            return handler

        return decorate


class Marketplace(_Shop):
    """A marketplace that runs on a thread of its own, for code that does not `await`.

        with Marketplace("sqlite:///shop.db") as market:
            market.tickets.list("sam", listings)

    Any thread may call, also several at once. An error comes out as the asynchronous call raises it. Ctrl-C cancels
    the call that its thread waits for, which then has left no trace, or been committed.

    Args:
        storage: As of `ticketkit.Marketplace`.
        **options: The others, too.
    """

    def __init__(self, storage: str = "memory:", **options: Unpack[Options]) -> None:
        super().__init__(marketplace.Marketplace(storage, **options))
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._halt: anyio.Event | None = None
        self._stopping = self._watched = False

    @classmethod
    def around(cls, market: marketplace.Marketplace) -> Self:
        """One that runs a marketplace which is made, but not started."""
        made = cls()
        _Shop.__init__(made, market)
        return made

    def start(self) -> None:
        """Start it, and wait until it is ready to be called; `with` does it, too.

        It is stopped by `stop`, and at the latest when the interpreter ends.

        Raises:
            NotRunning: It runs already.
            InEventLoop: This thread runs an event loop.
            Misconfigured, Unavailable: As of `ticketkit.Marketplace`.
        """
        check_thread()
        with self._lock:
            if self._thread is not None:
                msg = "The marketplace runs already."
                raise NotRunning(msg)
            started: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._stopping = False
            self._thread = threading.Thread(target=self._run, args=(started,), name="ticketkit", daemon=True)
            self._thread.start()
        try:
            started.result()
        except BaseException:
            self.stop()
            raise
        if not self._watched:
            self._watched = True
            _at_exit(WeakMethod(self.stop))

    def stop(self) -> None:
        """Finish what is under way, then close; when it does not run, nothing. Not from a handler of its events."""
        if (thread := self._thread) is None or self._wire.elsewhere:
            return
        self._stopping = True
        self._wire.tell(self._asked)
        thread.join()
        with self._lock:
            if self._thread is thread:
                self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _run(self, started: concurrent.futures.Future[None]) -> None:
        try:
            anyio.run(self._serve, started)
        except BaseException as error:
            if started.done():
                log.exception("the marketplace has stopped")
            else:
                started.set_exception(error)

    def _asked(self) -> None:
        if self._halt is not None:
            self._halt.set()

    async def _serve(self, started: concurrent.futures.Future[None]) -> None:
        self._halt = anyio.Event()
        async with self._running():
            started.set_result(None)
            if not self._stopping:  # while it started
                await self._halt.wait()


class Bridge(_Shop):
    """Runs a marketplace in the event loop of an ASGI app, and takes the calls of the threads beside it.

        bridge = Bridge(market)
        app = Starlette(routes=[Mount("/shop", market.asgi()), …], lifespan=bridge.lifespan)

    Args:
        market: Not started: `lifespan` does that. What awaits calls it as ever.
    """

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run the marketplace while an ASGI app runs; calls are taken as long."""
        async with self._running():
            yield


def _at_exit(stop: WeakMethod[Callable[[], None]]) -> None:
    """Have it stopped when the interpreter begins to end."""

    def call() -> None:
        if (method := stop()) is not None:
            method()

    # Handlers of `atexit` come too late: pools of threads take no work then, and a clean stop needs them. These are
    # called last in, first out, so that of the pools must be there already: the import of `concurrent.futures.thread`.
    register: Any = getattr(threading, "_register_atexit", atexit.register)
    register(call)
