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
from ticketkit.services.listings_csv import parse
from ticketkit_marketplace import broadway
from ticketkit_marketplace.front import FrontPage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

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
        plugins: Besides the front page.

    Raises:
        Misconfigured: The address can't be had, or the data folder can't be written.
        Unavailable: The database is busy for too long.
    """
    listener = server.bound_socket(host, port)
    try:
        prepare(settings.data_dir)
        front = FrontPage()
        front.market = market = Marketplace.of(settings, plugins=[front, *plugins])
        server.serve(
            market.asgi(),
            _open(market, settings.data_dir, shows, say),
            listener,
            announce=lambda: say(f"The marketplace is on {server.address(listener)}"),
            drain=settings.drain,
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


@asynccontextmanager
async def _open(
    market: Marketplace, folder: Path, shows: list[broadway.Show] | None, say: Callable[[str], None]
) -> AsyncIterator[None]:
    async with market:
        await list_the_week(market, folder, shows=shows, say=say)
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
