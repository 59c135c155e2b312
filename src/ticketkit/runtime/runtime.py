"""A running marketplace: services over opened backends, their events carried, their jobs done."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.bus import HandsOver, Measured
from ticketkit.backends.errors import Unavailable
from ticketkit.backends.payments import InProcessWebhooks
from ticketkit.domain.errors import TicketkitError
from ticketkit.runtime.consumers import Consumer, ConsumerRunner, listen
from ticketkit.runtime.handover import Handover
from ticketkit.runtime.jobs import repeat
from ticketkit.runtime.listening import Listening, listening
from ticketkit.runtime.opening import Backends, opened
from ticketkit.runtime.relay import Relay
from ticketkit.runtime.republish import republish_revocations
from ticketkit.runtime.traced import traced
from ticketkit.services.auth import Auth
from ticketkit.services.catalogue import CHARGE_EVENTS, ORDER_EVENTS, SERVICES, Boundary, ServiceName
from ticketkit.services.commands import Commands
from ticketkit.services.driver import Driver
from ticketkit.services.expiration import Expiration
from ticketkit.services.operations import Operations
from ticketkit.services.orders import Orders
from ticketkit.services.passes import Passes
from ticketkit.services.passwords import Passwords
from ticketkit.services.payments import Payments
from ticketkit.services.progress import Progress
from ticketkit.services.tickets import Tickets
from ticketkit.services.till import Till
from ticketkit.services.tokens import Minter, Revocations, Verified, Verifier
from ticketkit.services.tracing import Tracing
from ticketkit.services.waiting import first_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

    from starlette.requests import HTTPConnection

    from ticketkit.backends.storage import Storage, Totals
    from ticketkit.events.catalogue import SessionRevoked
    from ticketkit.events.envelope import Event
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.config import Config
    from ticketkit.runtime.consumers import Handle
    from ticketkit.services.principal import Principal

log = logging.getLogger(__name__)

COOKIE: Final = "session"
SWEEP_EVERY: Final = 5.0
CANCELLATIONS_EVERY: Final = 60.0
LOOK_EVERY: Final = 5.0
LAG_PATIENCE: Final = 1.0
"""Seconds that numbers wait for the bus to say how far its groups are."""
REVOCATIONS_EVERY: Final = 60.0
PURGE_EVERY: Final = 600.0
KEEP_EVENTS: Final = timedelta(days=2)
KEEP_COMMANDS: Final = timedelta(hours=24)
KEEP_MARKS: Final = timedelta(days=14)


class NotRunning(TicketkitError):
    """The marketplace is not running, or this service does not run in this process."""


class Runtime:
    """The services of one process. Use `running` to start and stop it.

    Args:
        config: What it is made of.
        plugins: Loaded.
        handlers: Of the app, by consumer and event name.
    """

    def __init__(self, config: Config, plugins: Plugins, handlers: Mapping[str, Mapping[str, Handle]]) -> None:
        self.config, self.plugins = config, plugins
        self.clock = config.clock
        self.registry = plugins.registry()
        self.tracing = Tracing(config.tracer_provider)
        self.revocations = Revocations(config.clock)
        self._verifier = Verifier(config.keys, config.clock, self.revocations)
        self._handlers = handlers
        self._services: dict[ServiceName, Any] = {}
        self._operations: Operations | None = None
        self._backends: Backends | None = None
        self._runners: list[ConsumerRunner] = []
        self._listeners: set[Listening[Any]] = set()
        self._stopping = False

    @property
    def services(self) -> frozenset[ServiceName]:
        """The services that run here."""
        return self.config.services

    @property
    def auth(self) -> Auth:
        """Users and sessions."""
        return self._service(ServiceName.AUTH)  # type: ignore[no-any-return]

    @property
    def tickets(self) -> Tickets:
        """Live events and tickets."""
        return self._service(ServiceName.TICKETS)  # type: ignore[no-any-return]

    @property
    def orders(self) -> Orders:
        """Orders."""
        return self._service(ServiceName.ORDERS)  # type: ignore[no-any-return]

    @property
    def payments(self) -> Payments:
        """Charges and refunds."""
        return self._service(ServiceName.PAYMENTS)  # type: ignore[no-any-return]

    @property
    def operations(self) -> Operations:
        """What the people who run it do to its inventory."""
        if self._operations is None:
            where = "the marketplace is not running" if self._backends is None else "the inventory is elsewhere"
            msg = f"operations can't be used: {where}."
            raise NotRunning(msg)
        return self._operations

    @property
    def backends(self) -> Backends:
        """What was opened.

        Raises:
            NotRunning: It is not running.
        """
        if self._backends is None:
            raise NotRunning
        return self._backends

    def storage(self, boundary: Boundary) -> Storage:
        """The storage of a boundary.

        Raises:
            NotRunning: It is not running, or no service of the boundary runs here.
        """
        try:
            return self.backends.storages[boundary]
        except KeyError:
            msg = f"No service of the boundary {boundary.value} runs in this process."
            raise NotRunning(msg) from None

    @property
    def _own(self) -> dict[str, Storage]:
        """The storages of services that run here, whose events are published here; others are only looked at."""
        served = {SERVICES[name].boundary for name in self.services}
        mine = {id(storage) for boundary, storage in self.backends.storages.items() if boundary in served}
        return {name: storage for name, storage in self.backends.distinct.items() if id(storage) in mine}

    async def identify(self, request: HTTPConnection) -> Principal | None:
        """Who is asking: by the app's own identity, or by ticketkit's session."""
        if self.config.identity is not None:
            found = self.config.identity(request)
            return await found if isawaitable(found) else found
        verified = self.verify(request)
        return verified.principal if verified else None

    def verify(self, request: HTTPConnection) -> Verified | None:
        """What the request's session token says: of the cookie, or of `Authorization: Bearer`."""
        token = request.cookies.get(COOKIE)
        if token is None:
            scheme, _, rest = request.headers.get("authorization", "").partition(" ")
            token = rest.strip() if scheme.lower() == "bearer" else None
        return self._verifier.verify(token) if token else None

    async def ready(self) -> dict[str, str]:
        """What keeps it from serving, by name; empty when it is ready."""
        if self._stopping or self._backends is None:
            return {"runtime": "stopping" if self._stopping else "starting"}
        missing = {f"consumer {r.name}": "not subscribed" for r in self._runners if not r.ready.is_set()}
        for name, storage in self._backends.distinct.items():
            try:
                await storage.now()
            except Unavailable as error:
                missing[f"storage {name}"] = str(error)
        return missing

    async def totals(self) -> dict[str, Totals]:
        """Counts of each storage in use here, by its name.

        Raises:
            NotRunning: It is not running.
        """
        return {name: await storage.totals() for name, storage in self.backends.distinct.items()}

    async def lag(self) -> dict[str, int]:
        """How many events each consumer that the bus knows has still to handle; empty when it does not say in time.

        Raises:
            NotRunning: It is not running.
        """
        bus = self.backends.bus
        if isinstance(bus, Measured):
            with anyio.move_on_after(LAG_PATIENCE), suppress(Unavailable):
                return dict(await bus.lag())
        return {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Runtime]:
        """Open the backends, start relays, consumers and jobs; at the end finish what is under way, then close.

        Raises:
            Misconfigured: See `ticketkit.runtime.opening.opened`.
            Unavailable: A backend can't be reached.
        """
        async with AsyncExitStack() as stack:
            self._backends = await stack.enter_async_context(opened(self.config, self.plugins))
            stack.callback(self._forget)
            self._make_services(self._backends)
            async with anyio.create_task_group() as group:
                await self._start(group)
                try:
                    yield self
                finally:
                    self._stopping = True
                    with anyio.CancelScope(shield=True):
                        await self.drain(self.config.drain)
                    for listener in self._listeners:
                        listener.end()
                    group.cancel_scope.cancel()

    @asynccontextmanager
    async def listening(self, names: Collection[str]) -> AsyncIterator[Listening[Any]]:
        """Hear every event of these names; over when the runtime stops. See `Marketplace.listen`.

        Raises:
            NotRunning: It is not running.
        """
        bus = self.backends.bus
        async with listening(bus, names, registry=self.registry, clock=self.clock) as events:
            self._listeners.add(events)
            try:
                yield events
            finally:
                self._listeners.discard(events)

    async def drain(self, seconds: float) -> bool:
        """Wait until every event is published and handled; False when the time is over."""
        with anyio.move_on_after(seconds):
            quiet = 0
            while quiet < 2:  # noqa: PLR2004 - twice in a row: what a handler caused is seen the second time
                quiet = quiet + 1 if await self._quiet() else 0
                await anyio.sleep(0.01)
            return True
        log.warning("stopped while events were under way; they go on at the next start")
        return False

    async def _quiet(self) -> bool:
        if any(runner.busy for runner in self._runners):
            return False
        if ServiceName.PAYMENTS in self.services and self.payments.busy:
            return False
        try:
            for storage in self._own.values():
                if (await storage.totals()).unpublished:
                    return False
        except Unavailable:
            return False
        return True

    def _service(self, name: ServiceName) -> Any:
        if name not in self._services:
            where = "the marketplace is not running" if self._backends is None else "it does not run in this process"
            msg = f"{name.value} can't be used: {where}."
            raise NotRunning(msg)
        return self._services[name]

    def _forget(self) -> None:
        if ServiceName.PAYMENTS in self._services:
            self.payments.close()
        self._services.clear()
        self._operations = None
        self._runners.clear()
        self._backends = None
        self._stopping = False

    def _make_services(self, backends: Backends) -> None:
        config = self.config
        commands = Commands(config.new_id)
        names = config.services
        storages = {boundary: traced(storage, self.tracing) for boundary, storage in backends.storages.items()}
        if ServiceName.AUTH in names:
            minter = Minter(config.keys, config.clock, lifetime=config.token_lifetime)
            self._services[ServiceName.AUTH] = Auth(
                storages[Boundary.ACCOUNTS],
                commands,
                passwords=Passwords(),
                minter=minter,
                lifetime=config.session_lifetime,
            )
        if Boundary.INVENTORY in storages:
            self._operations = Operations(
                storages[Boundary.INVENTORY],
                commands,
                payments=storages.get(Boundary.PAYMENTS),
                bus=backends.bus,
            )
        if ServiceName.TICKETS in names:
            self._services[ServiceName.TICKETS] = Tickets(storages[Boundary.INVENTORY], commands)
        if ServiceName.ORDERS in names:
            self._services[ServiceName.ORDERS] = Orders(
                storages[Boundary.INVENTORY],
                commands,
                plugins=self.plugins,
                policy=config.policy,
                passes=Passes(config.pass_keys),
            )
        if backends.timers is not None:
            self._services[ServiceName.EXPIRATION] = Expiration(
                backends.timers, backends.bus, clock=config.clock, new_id=config.new_id
            )
        if backends.provider is not None:
            progress = Progress(config.clock)
            storage = storages[Boundary.PAYMENTS]
            till = Till(backends.provider, config.clock, tracing=self.tracing)
            driver = Driver(storage, commands, till=till, progress=progress)
            self._services[ServiceName.PAYMENTS] = Payments(
                storage, commands, provider=backends.provider, driver=driver, progress=progress
            )
            if isinstance(backends.provider, InProcessWebhooks):
                backends.provider.deliver_to(self.payments.receive_webhook)

    async def _start(self, group: anyio.abc.TaskGroup) -> None:
        bus, clock = self.backends.bus, self.clock
        for consumer in self._consumers():
            runner = ConsumerRunner(consumer, bus, registry=self.registry, clock=clock, tracing=self.tracing)
            self._runners.append(runner)
            group.start_soon(runner.run, name=f"consumer {consumer.name}")
        heard = anyio.Event()
        group.start_soon(
            partial(listen, bus, ["session.revoked"], self._revoked, registry=self.registry, clock=clock, ready=heard),
            name="broadcast",
        )
        for runner in self._runners:
            await runner.ready.wait()
        await heard.wait()
        if ServiceName.AUTH in self.services:
            for session in await self.storage(Boundary.ACCOUNTS).revoked_sessions(100_000):
                self.revocations.add(session.id, session.expires_at)
        for name, storage in self._own.items():
            relay = (
                Handover(storage, bus, clock=clock, name=name)
                if isinstance(bus, HandsOver)
                else Relay(storage, bus, clock=clock, name=name, tracing=self.tracing)
            )
            group.start_soon(relay.run, name=f"relay {name}")
        if ServiceName.PAYMENTS in self.services:
            group.start_soon(self.payments.run, name="payments")
        for name, work, wait in self._jobs():
            group.start_soon(partial(repeat, name, work, wait, clock=clock), name=name)

    def _consumers(self) -> list[Consumer]:
        found: dict[str, dict[str, Handle]] = {name: dict(handlers) for name, handlers in self._handlers.items()}
        if ServiceName.ORDERS in self.services:
            found["orders"] = {
                **dict.fromkeys(CHARGE_EVENTS, self.orders.handle_charge),
                "order.expiration_due": self.orders.handle_expiration,
                "live_event.cancelled": self.operations.handle_live_event,
            }
        if ServiceName.PAYMENTS in self.services:
            found["payments"] = dict.fromkeys(ORDER_EVENTS, self.payments.handle_order)
        if ServiceName.EXPIRATION in self.services:
            expiration: Expiration = self._service(ServiceName.EXPIRATION)
            found["expiration"] = dict.fromkeys(ORDER_EVENTS, expiration.handle_order)
        return [Consumer(name, handlers) for name, handlers in found.items()]

    def _jobs(self) -> list[tuple[str, Callable[[], Awaitable[int]], Callable[[], Awaitable[None]]]]:
        clock = self.clock
        jobs: list[tuple[str, Callable[[], Awaitable[int]], Callable[[], Awaitable[None]]]] = [
            ("purge", self._purge, partial(clock.sleep, PURGE_EVERY))
        ]
        if ServiceName.ORDERS in self.services:
            jobs.append(("sweep", self.orders.sweep, partial(clock.sleep, SWEEP_EVERY)))
            jobs.append(("cancellations", self.operations.finish, self._wait_for_cancellations))
        if ServiceName.EXPIRATION in self.services:
            expiration: Expiration = self._service(ServiceName.EXPIRATION)
            jobs.append(("expiration", expiration.fire, partial(expiration.wait, LOOK_EVERY)))
        if ServiceName.PAYMENTS in self.services:
            jobs.append(("reconcile", self.payments.reconcile, self._wait_for_payments))
        if ServiceName.AUTH in self.services:
            jobs.append(("revocations", self._republish_revocations, partial(clock.sleep, REVOCATIONS_EVERY)))
        return jobs

    async def _wait_for_cancellations(self) -> None:
        await first_of(self.operations.nudged, partial(self.clock.sleep, CANCELLATIONS_EVERY))

    async def _wait_for_payments(self) -> None:
        await first_of(self.payments.nudged, partial(self.clock.sleep, LOOK_EVERY))

    async def _purge(self) -> int:
        for storage in self._own.values():
            now = await storage.now()
            await storage.purge(
                events_before=now - KEEP_EVENTS, commands_before=now - KEEP_COMMANDS, marks_before=now - KEEP_MARKS
            )
        return 0

    async def _republish_revocations(self) -> int:
        """Tell processes that started since which sessions are revoked."""
        await republish_revocations(
            self.storage(Boundary.ACCOUNTS),
            self.backends.bus,
            young=self.config.token_lifetime,
            new_id=self.config.new_id,
        )
        return 0

    async def _revoked(self, event: Event[SessionRevoked]) -> None:
        self.revocations.add(event.data.id, event.data.expires_at)
