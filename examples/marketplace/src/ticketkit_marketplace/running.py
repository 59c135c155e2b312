"""The marketplace as one process: all five services, a database file, and the Broadway week on sale."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.storage import TicketQuery
from ticketkit.marketplace import Marketplace
from ticketkit.runtime import server
from ticketkit.runtime.exporting import exporting
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.listings_csv import parse
from ticketkit.services.principal import OPERATOR
from ticketkit_marketplace import accounts, broadway
from ticketkit_marketplace.ops.app import Ops
from ticketkit_marketplace.ops.desk import Desk
from ticketkit_marketplace.ops.visit import HOME
from ticketkit_marketplace.web.api import Api
from ticketkit_marketplace.web.app import Web
from ticketkit_marketplace.web.live import beside
from ticketkit_marketplace.web.mounting import OneAddress
from ticketkit_marketplace.web.settings import Options, WebSettings

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ticketkit.runtime.settings import Settings
    from ticketkit.services.importing import Imported


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsAddress:
    """Where the operations page is.

    Attributes:
        host: To listen on, wherever the marketplace does.
        port: The same; 0 takes a free one, None the one after the marketplace's, or a free one if that is taken.
    """

    host: str = "127.0.0.1"
    port: int | None = None


def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    say: Callable[[str], None],
    shows: list[broadway.Show] | None = None,
    plugins: Iterable[object] = (),
    ops: OpsAddress | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; lists the Broadway week if that was never done.

    Args:
        settings: Of the marketplace.
        host: To listen on.
        port: The same; 0 takes a free one.
        say: Told what people at the terminal should know, the address once it answers.
        shows: Instead of the whole week.
        plugins: Of the marketplace.
        ops: Where the operations page is; None for none.

    Raises:
        Misconfigured: An address can't be had, or the data folder can't be written.
        Unavailable: The database is busy for too long.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(server.bound_socket(host, port))
        more = [] if ops is None else [stack.enter_context(_ops_socket(ops, after=_port(listener)))]
        prepare(settings.data_dir)
        market = Marketplace.of(settings, plugins=plugins)
        options = Options.of(settings, WebSettings.read())
        site = Together(market, options, ops_port=_port(more[0]) if more else None)

        def announce() -> None:
            for one in more:
                file = settings.data_dir / accounts.OPERATIONS.file
                say(f"The operations page is on {server.address(one)}{HOME}; its account is in {file}")
            say(f"The marketplace is on {server.address(listener)}")

        stack.enter_context(exporting(settings, "ticketkit"))
        server.serve(
            site,
            _open(site, settings.data_dir, shows, say),
            listener,
            announce=announce,
            drain=settings.drain,
            stopping=site.end_streams,
            trusted_proxies=settings.trusted_proxies,
            more=more,
        )


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _ops_socket(ops: OpsAddress, *, after: int) -> socket.socket:
    """Raises `Misconfigured` where the port that was asked for can't be had."""
    if ops.port is not None:
        return server.bound_socket(ops.host, ops.port)
    try:
        return server.bound_socket(ops.host, after + 1)
    except Misconfigured:
        return server.bound_socket(ops.host, 0)


def prepare(folder: Path) -> None:
    """Make the data folder.

    Raises:
        Misconfigured: It can't be made, or not written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The data folder {folder} can't be made: {error.strerror}. Choose another --data."
        raise Misconfigured(msg) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"The data folder {folder} can't be written to. Choose another --data."
        raise Misconfigured(msg)


class Together:
    """A marketplace, the web client and the operations page over it, as one ASGI app; it answers while it is entered.

    Args:
        market: With all five services.
        options: Of the web client.
        ops_port: The port on which it is the operations page; None for none.
    """

    def __init__(self, market: Marketplace, options: Options, *, ops_port: int | None = None) -> None:
        self.market, self.options, self.ops_port = market, options, ops_port
        self._ops: Ops | None = None
        self._web: Web | None = None
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if self._app is None:
            raise NotRunning
        port = (scope.get("server") or (None, None))[1]
        app = self._ops if self._ops is not None and port == self.ops_port else self._app
        await app(scope, receive, send)

    @property
    def web(self) -> Web:
        """The web client.

        Raises:
            NotRunning: It is not running.
        """
        if self._web is None:
            raise NotRunning
        return self._web

    def end_streams(self) -> None:
        """End the answers that would go on by themselves: the process stops."""
        if self._web is not None:
            self._web.end_streams()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Together]:
        """Run all."""
        api = self.market.asgi()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.market)
            client = await stack.enter_async_context(Api.within(api))
            pages = Web(client, self.options, clock=self.market.clock, source=beside(self.market))
            web = await stack.enter_async_context(pages.running())
            if self.ops_port is not None:
                desk = Desk.within(self.market, client)
                self._ops = await stack.enter_async_context(Ops(desk).running())
            self._web, self._app = web, OneAddress(api, web)
            stack.callback(self._forget)
            yield self

    def _forget(self) -> None:
        self._web = self._app = self._ops = None


@asynccontextmanager
async def _open(
    site: Together, folder: Path, shows: list[broadway.Show] | None, say: Callable[[str], None]
) -> AsyncIterator[None]:
    async with site.running():
        await open_accounts(site.market, folder, say=say)
        await list_the_week(site.market, folder, shows=shows, say=say)
        await site.web.site.warm_up()
        yield


async def open_accounts(market: Marketplace, folder: Path, *, say: Callable[[str], None]) -> None:
    """Make the operators' account, if there is none.

    Args:
        market: Running, with auth.
        folder: Of the data; gets its password.
        say: Told when somebody else has its address.
    """
    operator = await accounts.OPERATIONS.opened(market.auth, folder)
    if OPERATOR not in operator.roles:
        say(f"{operator.email} has signed up without the role of operators: nobody can use the operations page.")


async def list_the_week(
    market: Marketplace, folder: Path, *, say: Callable[[str], None], shows: list[broadway.Show] | None = None
) -> Imported | None:
    """Import the Broadway week as the box office, unless the box office sells anything yet.

    Args:
        market: Running.
        folder: Of the data; gets the password of the box office.
        say: Told when it begins, and what became of it.
        shows: Instead of the whole week.

    Returns:
        None when the box office had listed something before.
    """
    office = await market.auth.find(accounts.BOX_OFFICE.email)
    if office is not None and (await market.tickets.find(TicketQuery(seller_id=office.id, limit=1))).items:
        return None
    say("First start: the Broadway week is being listed ...")
    office = await accounts.BOX_OFFICE.opened(market.auth, folder)
    file = broadway.listings(broadway.performance(market.clock.now()), shows=shows)
    imported = await market.tickets.import_catalogue(office.id, parse(file))
    say(
        f"Listed {imported.tickets:,} tickets of {len(imported.live_events)} live events. "
        f"Their seller is {office.email}; the password is in {folder / accounts.BOX_OFFICE.file}."
    )
    return imported
