"""What the operations page works on: the storages and the bus of a marketplace, its API, its numbers."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import httpx2

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.services.catalogue import Boundary
from ticketkit.services.commands import Commands
from ticketkit.services.tickets import Tickets
from ticketkit_marketplace.web.api import Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.clock import Clock
    from ticketkit.backends.storage import Storage
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.operations import Operations
    from ticketkit_marketplace.ops.settings import OpsSettings

Exposition: TypeAlias = "Callable[[], Awaitable[str]]"
"""Answers what a process has counted, in Prometheus' text format; raises `Unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A marketplace as its operators have it.

    Attributes:
        market: Running; with the storages of all boundaries.
        api: Its HTTP API: operators sign in there.
        expositions: Of its processes, by a name for people.
        tickets: Live events, to pause and resume their sales.
        secure: Pages are only served over HTTPS.
    """

    market: Marketplace
    api: Api
    expositions: Mapping[str, Exposition]
    tickets: Tickets
    secure: bool = False

    @classmethod
    def within(cls, market: Marketplace, api: Api) -> Desk:
        """Of a marketplace that runs in this process, with all its services."""
        return cls(
            market=market,
            api=api,
            expositions={"this process": partial(_exposition, api.client, "/metrics")},
            tickets=market.tickets,
            secure=market.config.secure_cookies,
        )

    @classmethod
    @asynccontextmanager
    async def beside(cls, settings: Settings, ops: OpsSettings) -> AsyncIterator[Desk]:
        """Of a marketplace that runs in other processes, over the same storages and bus.

        It publishes and consumes nothing.

        Raises:
            Misconfigured: The URL of the API is not set, or a backend can't be shared by processes.
            Unavailable: A backend can't be reached.
        """
        if ops.api_url is None:
            msg = "Where are the services? Say --api URL, or set TICKETKIT_OPS_API_URL."
            raise Misconfigured(msg)
        url = str(ops.api_url).rstrip("/")
        async with AsyncExitStack() as stack:
            market = Marketplace.of(settings, services=[], looks=list(Boundary))
            await stack.enter_async_context(market)
            api = await stack.enter_async_context(Api.at(url, patience=ops.api_timeout))
            client = await stack.enter_async_context(httpx2.AsyncClient(timeout=ops.api_timeout, trust_env=False))
            urls = [str(one) for one in ops.metrics_urls] or [f"{url}/metrics"]
            yield cls(
                market=market,
                api=api,
                expositions={url: partial(_exposition, client, url) for url in urls},
                tickets=Tickets(market.runtime.storage(Boundary.INVENTORY), Commands(new_id)),
                secure=settings.production,
            )

    @property
    def clock(self) -> Clock:
        """The time."""
        clock: Clock = self.market.clock
        return clock

    @property
    def operations(self) -> Operations:
        """What operators do to the inventory."""
        return self.market.operations

    @property
    def storages(self) -> Mapping[str, Storage]:
        """Each storage once, by the names of its boundaries."""
        return self.market.runtime.backends.distinct

    @property
    def inventory(self) -> Storage:
        """The storage of tickets, live events and orders."""
        return self.market.runtime.storage(Boundary.INVENTORY)

    @property
    def accounts(self) -> Storage:
        """The storage of users and sessions."""
        return self.market.runtime.storage(Boundary.ACCOUNTS)

    @property
    def bus(self) -> Bus:
        """The bus."""
        return self.market.runtime.backends.bus


async def _exposition(client: httpx2.AsyncClient, url: str) -> str:
    try:
        response = await client.get(url)
    except httpx2.TransportError as error:
        msg = f"It does not answer ({type(error).__name__})."
        raise Unavailable(msg) from None
    if not response.is_success:
        msg = f"It answers {response.status_code}."
        raise Unavailable(msg)
    return response.text
