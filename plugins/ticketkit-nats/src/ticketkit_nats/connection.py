"""The connection to the servers: made when it is needed, and made anew when it was lost.

nats-py's own reconnecting is not used: it would send late what was given up, and it gives up for good when a server
says so. Here each connection is a new client, so whoever keeps something of one (a subscription) sees that it is gone.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from ticketkit.backends.errors import BackendError, Misconfigured, Unavailable
from ticketkit_nats import access, faults

if TYPE_CHECKING:
    from nats.js import JetStreamContext

    from ticketkit_nats.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

OLDEST: Final = (2, 10)
"""Oldest server: consumers with several filters and metadata."""
_PING: Final = 5
"""Seconds between two pings; after two without an answer the connection counts as lost."""
_NOTED: Final = 1.0
_CLOSE: Final = 1.0


class _Client(Client):
    """nats-py's client, which reads no more when a PONG comes after its PING was given up or cancelled (2.16)."""

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            self._pongs.pop(0)
            self._pings_outstanding = 0
            return
        await super()._process_pong()


class Connection:
    """One process's way to the servers.

    Args:
        settings: Where they are, and who we are.
        name: Of the connection, for people who look at the server.
    """

    def __init__(self, settings: Settings, *, name: str = "ticketkit") -> None:
        self.settings = settings
        self._name = name
        self._client: Client | None = None
        self._connecting = anyio.Lock()
        self._waiting: dict[anyio.CancelScope, Client] = {}
        self._denied: dict[anyio.CancelScope, str] = {}
        self._discovered: tuple[str, ...] = ()
        self._closed = False

    async def client(self) -> Client:
        """A client that is connected.

        Raises:
            Unavailable: No server answers.
            Misconfigured: A server refuses us, and will do so again.
        """
        if self._client is not None and self._client.is_connected:
            return self._client
        async with self._connecting:
            if self._client is not None and self._client.is_connected:
                return self._client
            if self._closed:
                raise Unavailable("The bus is closed.")
            await self._drop()
            self._client = await self._connect()
            return self._client

    async def run(self, client: Client, work: Callable[[], Awaitable[T]], *, within: float | None = None) -> T:
        """Do something with a client, and stop when its connection is lost.

        Args:
            within: Seconds; None for no limit.

        Raises:
            Unavailable: The connection was lost, or it took too long.
            Misconfigured: The server does not allow it.
        """
        scope = anyio.CancelScope(deadline=anyio.current_time() + (float("inf") if within is None else within))
        self._waiting[scope] = client
        try:
            if not client.is_connected:
                raise Unavailable(f"The connection to NATS ({self.settings.where}) is lost.")
            with scope:
                return await work()
            raise self._stopped(scope, client)
        except nats.js.errors.APIError:
            raise
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise faults.unavailable(error, self.settings.where) from error
        finally:
            self._waiting.pop(scope, None)
            self._denied.pop(scope, None)

    async def call(
        self, work: Callable[[JetStreamContext], Awaitable[T]], *, passing: frozenset[int] = frozenset()
    ) -> T:
        """Ask JetStream.

        Args:
            passing: Numbers of the server's errors that are raised as nats-py's `APIError`.

        Raises:
            Unavailable: It did not answer, or can't do it now.
            Misconfigured: It never will.
        """
        client = await self.client()
        jetstream = client.jetstream(timeout=self.settings.timeout)
        try:
            # A little longer than nats-py's own, whose error says more.
            return await self.run(client, lambda: work(jetstream), within=self.settings.timeout + 1)
        except nats.js.errors.APIError as error:
            if error.err_code in passing:
                raise
            raise faults.translated(error, self.settings) from error

    async def tell(self, subject: str, payload: bytes) -> None:
        """Say how a delivery ended, and wait until the server has taken note.

        It gives no answer for what it does not count as begun any more: because it was killed and forgot, or because
        the first of two tries had arrived. Then it is enough that it is there.

        Raises:
            Unavailable: It is not.
        """
        client = await self.client()
        patience = min(_NOTED, self.settings.timeout)
        try:
            await self.run(client, lambda: client.request(subject, payload, patience), within=patience + 1)
        except Unavailable as error:
            if not isinstance(error.__cause__, nats.errors.TimeoutError | nats.errors.NoRespondersError):
                raise
            await self.send([])

    async def send(self, messages: list[tuple[str, bytes]]) -> None:
        """Send messages that nobody answers, and wait until the server has them.

        Raises:
            Unavailable: It does not say that it has.
        """
        client = await self.client()

        async def work() -> None:
            for subject, payload in messages:
                await client.publish(subject, payload)
            await client.flush(self.settings.timeout)  # type: ignore[arg-type] # any number will do

        await self.run(client, work, within=self.settings.timeout + 1)

    async def close(self) -> None:
        """Close it; nobody may use it any more."""
        self._closed = True
        await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        self._discovered = tuple(server.geturl() for server in client.discovered_servers)
        await _close(client)

    async def _connect(self) -> Client:
        servers = list(dict.fromkeys((*self.settings.servers, *self._discovered)))
        random.shuffle(servers)
        failure: BackendError | None = None
        for server in servers:
            try:
                return await self._connect_to(server)
            except Unavailable as error:
                failure = error
        raise failure or Unavailable(f"NATS ({self.settings.where}) can't be reached.")

    async def _connect_to(self, server: str) -> Client:
        client = _Client()
        credentials = access.credentials(self.settings, client)
        connecting = True

        async def failed(error: Exception) -> None:
            # While it connects, nats-py would try again and again; what is raised here ends that.
            if connecting:
                raise error
            self._fault(client, error)

        async def gone() -> None:
            for scope, user in list(self._waiting.items()):
                if user is client:
                    scope.cancel()

        try:
            with anyio.fail_after(self.settings.timeout):
                await client.connect(
                    server,
                    name=self._name,
                    allow_reconnect=False,
                    connect_timeout=self.settings.timeout,  # type: ignore[arg-type] # any number will do
                    max_reconnect_attempts=1,
                    ping_interval=_PING,
                    max_outstanding_pings=1,
                    error_cb=failed,
                    closed_cb=gone,
                    **credentials,
                )
            connecting = False
            access.check_server(client, self.settings, oldest=OLDEST)
        except BaseException as error:
            connecting = False
            await _close(client)
            if isinstance(error, BackendError):
                raise
            if isinstance(error, nats.errors.Error | OSError | TimeoutError):
                raise faults.of_connecting(error, client, self.settings) from error
            raise
        return client

    def _fault(self, client: Client, error: Exception) -> None:
        denied = faults.denied(error)
        if denied is None:
            log.info("NATS (%s): %r", self.settings.where, error)
            return
        for scope, user in list(self._waiting.items()):
            if user is client:
                self._denied[scope] = denied
                scope.cancel()

    def _stopped(self, scope: anyio.CancelScope, client: Client) -> BackendError:
        if scope in self._denied:
            return Misconfigured(
                f"NATS ({self.settings.where}) does not allow this user what is needed: {self._denied[scope]}.",
                mend="Give it the permissions that the README of ticketkit-nats lists.",
            )
        if not client.is_connected:
            return Unavailable(f"The connection to NATS ({self.settings.where}) was lost.")
        return Unavailable(f"NATS ({self.settings.where}) did not answer in time.")


async def _close(client: Client) -> None:
    with anyio.move_on_after(_CLOSE, shield=True):
        try:
            await client.close()
        except (nats.errors.Error, OSError, ssl.SSLError) as error:
            log.debug("closing a connection to NATS: %r", error)
