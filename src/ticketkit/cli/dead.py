"""`ticketkit dead`: dead letters of outboxes and consumers."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import click

from ticketkit.cli.failing import told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.storage import Storage
    from ticketkit.events.envelope import Envelope

MOST: Final = 1_000


class _Letters:
    """Dead letters of every storage and of the bus that the settings name."""

    def __init__(self, storages: list[Storage], bus: Bus) -> None:
        self._storages, self._bus = storages, bus

    async def all(self) -> list[dict[str, Any]]:
        """What there is, oldest first in each place."""
        found = [
            _shown(dead.event.id, "outbox", dead.event, dead.attempts, dead.error)
            for storage in self._storages
            for dead in await storage.dead_events(MOST)
        ]
        letters = await self._bus.dead_letters(MOST)
        return found + [_shown(one.id, one.group, one.event, one.attempts, one.error) for one in letters]

    async def replay(self, id: str) -> bool:
        """Try one again."""
        return any([await storage.replay_event(id) for storage in self._storages]) or (
            await self._bus.replay_dead_letter(id)
        )

    async def drop(self, id: str) -> bool:
        """Delete one."""
        return any([await storage.drop_event(id) for storage in self._storages]) or (
            await self._bus.drop_dead_letter(id)
        )


def _shown(id: str, where: str, event: Envelope, attempts: int, error: str) -> dict[str, Any]:
    body = json.loads(event.data)
    about = {"consumer": where, "attempts": attempts, "error": error, "event": event.attributes(), "data": body}
    return {"id": id, "type": event.type, "subject": event.subject, **about}


@asynccontextmanager
async def _opened() -> AsyncIterator[_Letters]:
    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.settings import Settings

    settings, plugins = Settings(), Plugins.load()
    urls = dict.fromkeys((settings.storage(), settings.accounts(), settings.payment_storage()))
    async with AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(plugins.open(BackendKind.STORAGE, url, Context())) for url in urls]
        bus_url = settings.bus_url.get_secret_value()
        bus = await stack.enter_async_context(plugins.open(BackendKind.BUS, bus_url, Context()))
        yield _Letters(storages, bus)


@click.group()
def dead() -> None:
    """Dead letters: events that could not be published or handled.

    Those of an in-process bus live in the process that runs it and are not seen here.
    """


@dead.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(*, as_json: bool) -> None:
    """List all dead letters."""

    async def work() -> list[dict[str, Any]]:
        async with _opened() as letters:
            return await letters.all()

    with told():
        found = anyio.run(work)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for letter in found:
        click.echo(f"{letter['id']}  {letter['consumer']}  {letter['type']}  {letter['subject']}  {letter['error']}")
    if not found:
        click.echo("There are no dead letters.")


@dead.command()
@click.argument("id")
def show(id: str) -> None:
    """Show one, whole, as JSON."""

    async def work() -> dict[str, Any] | None:
        async with _opened() as letters:
            return next((letter for letter in await letters.all() if letter["id"] == id), None)

    with told():
        found = anyio.run(work)
    if found is None:
        _missing(id)
    click.echo(json.dumps(found, indent=2))


@dead.command()
@click.argument("id")
def replay(id: str) -> None:
    """Publish or handle one again."""
    _change("replay", id)
    click.echo(f"{id} is tried again.")


@dead.command()
@click.argument("id")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(id: str, *, yes: bool) -> None:
    """Delete one, for good."""
    if not yes:
        click.confirm(f"Delete dead letter {id} for good?", abort=True)
    _change("drop", id)
    click.echo(f"{id} is deleted.")


def _change(what: str, id: str) -> None:
    async def work() -> bool:
        async with _opened() as letters:
            return bool(await getattr(letters, what)(id))

    with told():
        if not anyio.run(work):
            _missing(id)


def _missing(id: str) -> None:
    click.echo(f"ticketkit: there is no dead letter {id}; `ticketkit dead list` shows what there is.", err=True)
    raise SystemExit(1)
