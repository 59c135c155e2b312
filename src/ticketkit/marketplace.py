"""`Marketplace`: the way into ticketkit for an app.

market = Marketplace(storage="sqlite:///shop.db", payments="fake", identity=who_is_asking)
app = FastAPI(lifespan=market.lifespan)
app.mount("/shop", market.asgi())
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ticketkit.backends.clock import Clock, SystemClock
from ticketkit.domain.policy import Policy
from ticketkit.plugins import Plugins
from ticketkit.runtime.config import ALL, Config
from ticketkit.runtime.runtime import NotRunning, Runtime
from ticketkit.services.catalogue import Boundary, ServiceName

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from opentelemetry.trace import TracerProvider
    from starlette.applications import Starlette

    from ticketkit.events.contract import Contract
    from ticketkit.events.envelope import Event
    from ticketkit.runtime.consumers import Handle
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.auth import Auth
    from ticketkit.services.operations import Operations
    from ticketkit.services.orders import Orders
    from ticketkit.services.payments import Payments
    from ticketkit.services.principal import Identity
    from ticketkit.services.tickets import Tickets
    from ticketkit.services.tokens import Keys

C = TypeVar("C", bound="Contract")


class Marketplace:
    """A ticket marketplace, or the services of one that run in this process.

    Args:
        storage: URL of the storage: `sqlite:///shop.db`; `memory:` keeps nothing.
        bus: URL of the bus; `memory:` is inside this process.
        timers: URL of the timers; default: the storage.
        payments: Payment provider: `fake`, or the scheme or URL of a plugin's.
        accounts: URL of the storage of users and sessions; default: `storage`.
        payment_storage: URL of the storage of charges; default: `storage`.
        services: Those that run here; all of them, or all but auth when there is an `identity`.
        identity: From a request to a `Principal` or None, sync or async; default: ticketkit's own sessions.
        policy: Default rules of orders; plugins may say otherwise for a live event.
        plugins: Modules or objects with hooks, besides the installed ones.
        keys: Of session tokens; the development keys when left out.
        clock: For tests: a `VirtualClock`.
        drain: Seconds that a stop waits for what is under way.
        tracer_provider: Where OpenTelemetry spans go; default: the global one, set before it starts.
        config: Everything at once, instead of the above.
    """

    def __init__(
        self,
        storage: str = "memory:",
        *,
        bus: str = "memory:",
        timers: str | None = None,
        payments: str = "fake",
        accounts: str | None = None,
        payment_storage: str | None = None,
        services: Collection[str] | None = None,
        identity: Identity | None = None,
        policy: Policy | None = None,
        plugins: Iterable[object] = (),
        keys: Keys | None = None,
        clock: Clock | None = None,
        drain: float = 10.0,
        tracer_provider: TracerProvider | None = None,
        config: Config | None = None,
    ) -> None:
        default = ALL - {ServiceName.AUTH} if identity is not None else ALL
        if config is None:
            config = Config(
                storage=storage,
                accounts=accounts or storage,
                payment_storage=payment_storage or storage,
                bus=bus,
                timers=timers or storage,
                provider=payments,
                services=frozenset(map(ServiceName, services)) if services is not None else default,
                policy=policy or Policy(),
                identity=identity,
                clock=clock or SystemClock(),
                drain=drain,
                tracer_provider=tracer_provider,
            )
            config = config if keys is None else replace(config, keys=keys)
        self.config = config
        self.plugins = Plugins.load(plugins)
        self._handlers: dict[str, dict[str, Handle]] = {}
        self._runtime = Runtime(self.config, self.plugins, self._handlers)
        self._stack: AsyncExitStack | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        services: Collection[str] | None = None,
        looks: Collection[str] = (),
        identity: Identity | None = None,
        plugins: Iterable[object] = (),
    ) -> Marketplace:
        """From settings (`TICKETKIT_*`).

        Args:
            settings: See there.
            services: Those that run here; all of them, or all but auth when there is an `identity`.
            looks: Boundaries whose storage is opened although no service of theirs runs here: `inventory`, `accounts`,
                `payments`. With no services at all this is a process for operators: it publishes and consumes nothing.
            identity: See the class.
            plugins: See the class.

        Raises:
            Misconfigured: See `Config.of`.
        """
        default = ALL - {ServiceName.AUTH} if identity is not None else ALL
        names = frozenset(map(ServiceName, services)) if services is not None else default
        looked_at = frozenset(map(Boundary, looks))
        config = replace(Config.of(settings, services=names, looks=looked_at), identity=identity)
        return cls(config=config, plugins=plugins)

    @property
    def runtime(self) -> Runtime:
        """The runtime: backends, readiness, revocations."""
        return self._runtime

    @property
    def clock(self) -> Any:
        """The clock it runs on; in tests a `VirtualClock` with `advance`."""
        return self.config.clock

    @property
    def auth(self) -> Auth:
        """Users and sessions; see `ticketkit.services.auth.Auth`."""
        return self._runtime.auth

    @property
    def tickets(self) -> Tickets:
        """Live events and tickets; see `ticketkit.services.tickets.Tickets`."""
        return self._runtime.tickets

    @property
    def orders(self) -> Orders:
        """Orders; see `ticketkit.services.orders.Orders`."""
        return self._runtime.orders

    @property
    def operations(self) -> Operations:
        """Locks, and what else operators do; see `ticketkit.services.operations.Operations`."""
        return self._runtime.operations

    @property
    def payments(self) -> Payments:
        """Charges and refunds; see `ticketkit.services.payments.Payments`."""
        return self._runtime.payments

    def on(
        self, *contracts: type[C], consumer: str
    ) -> Callable[[Callable[[Event[C]], Awaitable[None]]], Callable[[Event[C]], Awaitable[None]]]:
        """Handle events of these contracts: at least once, tried again with growing pauses, then dead-lettered.

        Args:
            *contracts: Such as `OrderCompleted`.
            consumer: Name of the group: each event goes to one of its members. It must not change afterwards.

        Raises:
            ValueError: The consumer handles such an event already, or is one of ticketkit's own.
            NotRunning: The marketplace runs already.
        """
        if consumer in set(ServiceName):
            msg = f"{consumer!r} is ticketkit's own consumer; take another name."
            raise ValueError(msg)
        if self._stack is not None:
            msg = "Handlers are added before the marketplace starts."
            raise NotRunning(msg)

        def add(handler: Callable[[Event[C]], Awaitable[None]]) -> Callable[[Event[C]], Awaitable[None]]:
            mine = self._handlers.setdefault(consumer, {})
            for contract in contracts:
                if contract.NAME in mine:
                    msg = f"The consumer {consumer!r} handles {contract.NAME} already."
                    raise ValueError(msg)
                mine[contract.NAME] = handler
            return handler

        return add

    def listen(self, *contracts: type[C]) -> AbstractAsyncContextManager[AsyncIterator[Event[C]]]:
        """Hear events of these contracts as they come, for showing what changes.

            async with market.listen(TicketSold, TicketUpdated) as events:
                async for event in events: ...

        Every listener hears each event that is published from now on, at most once, upcast, in no promised order; one
        that can't be read here is passed over, aloud. Nothing is kept for who does not listen: what must not be missed
        is for `on`. No service has to run here (`services=()`), where processes share a bus. Entering waits until the
        bus is heard; when it can't be reached later, the iteration pauses and goes on. It ends when the marketplace
        stops. Be quick: what was not taken yet waits in memory or on the bus.

        Args:
            *contracts: Such as `TicketSold`.

        Raises:
            ValueError: There are none.
            NotRunning: The marketplace does not run (raised on entering).
        """
        if not contracts:
            msg = "Say what to listen to: one contract or more, such as TicketSold."
            raise ValueError(msg)
        return self._runtime.listening(sorted({contract.NAME for contract in contracts}))

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run it while an ASGI app runs: `FastAPI(lifespan=market.lifespan)`."""
        async with self:
            yield

    def asgi(self) -> Starlette:
        """The HTTP API of its services, to be mounted or served.

        Its routes answer while the marketplace runs: a mounted app's lifespan is not run, so give `lifespan` to the
        outer one.
        """
        from ticketkit.http import build

        return build(self._runtime, self.config.services)

    async def __aenter__(self) -> Self:
        """Start: open the backends, run consumers and jobs."""
        if self._stack is not None:
            msg = "The marketplace runs already."
            raise NotRunning(msg)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._runtime.running())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: finish what is under way, then close. An error of the caller goes on as it is."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()
