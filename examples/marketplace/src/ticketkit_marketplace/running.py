"""The marketplace as one process: all five services, a database file, and the Broadway week on sale."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.storage import TicketQuery
from ticketkit.marketplace import Marketplace
from ticketkit.runtime import server
from ticketkit.runtime.exporting import exporting
from ticketkit.runtime.runtime import NotRunning
from ticketkit.services.listings_csv import parse
from ticketkit_marketplace import broadway
from ticketkit_marketplace.web.api import Api
from ticketkit_marketplace.web.app import Web
from ticketkit_marketplace.web.live import beside
from ticketkit_marketplace.web.mounting import OneAddress
from ticketkit_marketplace.web.settings import Options, WebSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ticketkit.runtime.settings import Settings
    from ticketkit.services.importing import Imported

BOX_OFFICE: Final = "box-office@ticketkit.example"
"""The account that sells the Broadway week."""
BOX_OFFICE_FILE: Final = "box-office.json"
"""Its e-mail address and password, in the data folder."""


def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    say: Callable[[str], None],
    shows: list[broadway.Show] | None = None,
    plugins: Iterable[object] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; lists the Broadway week if that was never done.

    Args:
        settings: Of the marketplace.
        host: To listen on.
        port: The same; 0 takes a free one.
        say: Told what people at the terminal should know, the address once it answers.
        shows: Instead of the whole week.
        plugins: Of the marketplace.

    Raises:
        Misconfigured: The address can't be had, or the data folder can't be written.
        Unavailable: The database is busy for too long.
    """
    listener = server.bound_socket(host, port)
    try:
        prepare(settings.data_dir)
        market = Marketplace.of(settings, plugins=plugins)
        options = Options.of(settings, WebSettings.read())
        site = Together(market, options)
        with exporting(settings, "ticketkit"):
            server.serve(
                site,
                _open(site, settings.data_dir, shows, say),
                listener,
                announce=lambda: say(f"The marketplace is on {server.address(listener)}"),
                drain=settings.drain,
                stopping=site.end_streams,
                trusted_proxies=settings.trusted_proxies,
            )
    finally:
        listener.close()


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
    """A marketplace and the web client over it, as one ASGI app; it answers while it is entered.

    Args:
        market: With all five services.
        options: Of the web client.
    """

    def __init__(self, market: Marketplace, options: Options) -> None:
        self.market, self.options = market, options
        self._web: Web | None = None
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if self._app is None:
            raise NotRunning
        await self._app(scope, receive, send)

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
        """Run both."""
        api = self.market.asgi()
        async with self.market, Api.within(api) as client:
            pages = Web(client, self.options, clock=self.market.clock, source=beside(self.market))
            async with pages.running() as web:
                self._web, self._app = web, OneAddress(api, web)
                yield self
            self._web = self._app = None


@asynccontextmanager
async def _open(
    site: Together, folder: Path, shows: list[broadway.Show] | None, say: Callable[[str], None]
) -> AsyncIterator[None]:
    async with site.running():
        await list_the_week(site.market, folder, shows=shows, say=say)
        await site.web.site.warm_up()
        yield


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
    office = await market.auth.find(BOX_OFFICE)
    if office is not None and (await market.tickets.find(TicketQuery(seller_id=office.id, limit=1))).items:
        return None
    say("First start: the Broadway week is being listed ...")
    if office is None:
        office = (await market.auth.sign_up(BOX_OFFICE, _password(folder / BOX_OFFICE_FILE))).user
    file = broadway.listings(broadway.performance(market.clock.now()), shows=shows)
    imported = await market.tickets.import_catalogue(office.id, parse(file))
    say(
        f"Listed {imported.tickets:,} tickets of {len(imported.live_events)} live events. "
        f"Their seller is {BOX_OFFICE}; the password is in {folder / BOX_OFFICE_FILE}."
    )
    return imported


def _password(file: Path) -> str:
    """The box office's password: written down before it is used, so that it can't be lost in between."""
    if file.exists():
        return str(json.loads(file.read_text(encoding="utf-8"))["password"])
    password = secrets.token_urlsafe(15)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump({"email": BOX_OFFICE, "password": password}, out)
        out.flush()
        os.fsync(out.fileno())
    return password
