"""`ticketkit trace`: the story of an order."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from ticketkit.backends.errors import Unavailable
    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.domain.entities import Charge, Refund
    from ticketkit.plugins import Plugins
    from ticketkit.services.causes import Cause
    from ticketkit.services.story import Entry, Story

_WIDE: Final = 160
"""Columns where it is not a terminal that reads."""
_COLOURS: Final = {"dead": "bold red", "waiting": "yellow", "failed": "red", "unknown charge": "red"}


@click.command()
@click.argument("order_id", metavar="ORDER")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def trace(context: click.Context, order_id: str, *, as_json: bool) -> None:
    """Tell the story of an order: what happened, when, and who caused it.

    Events with their attempts and errors, charges, refunds, webhooks, and dead letters, in order of time; then what is
    still to happen, and what could not be told. Reads the storages and the bus that the settings name; changes nothing.

    Exits with 1 when there is no such order, with 2 when settings are wrong.
    """
    import anyio

    from ticketkit.cli.failing import told

    found: list[Story] = []
    with told():
        anyio.run(partial(_tell, loaded(context), order_id.strip(), found))
    if not found:
        _unknown(order_id)
    elif as_json:
        click.echo(json.dumps(_json(found[0]), indent=2, ensure_ascii=False, default=str))
    else:
        _say(found[0])


def _unknown(order_id: str) -> None:
    click.echo(
        f"ticketkit: there is no order {order_id} in the storage that TICKETKIT_STORAGE_URL names. An order's id is "
        "the last part of its page's address, and `orderId` in events of tickets and charges.",
        err=True,
    )
    sys.exit(1)


class _Away:
    """A backend that can't be opened: whatever is asked of it says why."""

    def __init__(self, error: Unavailable) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: object, **__: object) -> None:
            raise self._error

        return refuse


async def _tell(plugins: Plugins, order_id: str, found: list[Story]) -> None:
    """Append the story of an order; nothing when there is no such order."""
    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.domain.errors import NotFound
    from ticketkit.runtime.opening import BOUNDARY_SETTINGS, check_shared
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.story import Teller

    settings, context = Settings(), Context()
    url, payments_url = settings.storage(), settings.payment_storage()
    check_shared(plugins, BackendKind.STORAGE, url, setting=BOUNDARY_SETTINGS[Boundary.INVENTORY])
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, url, context))
        reach = partial(_reach, stack, plugins, context)
        payments = storage if payments_url == url else await reach(BackendKind.STORAGE, payments_url)
        bus = await reach(BackendKind.BUS, settings.bus_url.get_secret_value())
        with suppress(NotFound):
            found.append(await Teller(storage, payments=payments, bus=bus).tell(order_id))


async def _reach(stack: AsyncExitStack, plugins: Plugins, context: Context, kind: BackendKind, url: str) -> Any:
    from ticketkit.backends.errors import Unavailable

    try:
        return await stack.enter_async_context(plugins.open(kind, url, context))
    except Unavailable as error:
        return _Away(error)


def _json(story: Story) -> dict[str, Any]:
    order = story.order
    return {
        "order": {**_entity(order), "buyerId": order.buyer_id, "total": _money(order.total), "reason": order.reason},
        "tickets": [{**_entity(ticket), "orderId": ticket.order_id, "seat": ticket.seat} for ticket in story.tickets],
        "charges": [
            {
                **_entity(charge),
                "amount": _money(charge.amount),
                "code": charge.code,
                "provider": charge.provider,
                "reference": charge.reference,
                "owesVoid": charge.owes_void,
                "dueAt": charge.due_at and charge.due_at.isoformat(),
            }
            for charge in story.charges
        ],
        "refunds": [
            {**_entity(refund), "chargeId": refund.charge_id, "amount": _money(refund.amount), "code": refund.code}
            for refund in story.refunds
        ],
        "entries": [_entry(entry) for entry in story.entries],
        "open": list(story.open),
        "missing": list(story.missing),
    }


def _entity(entity: Any) -> dict[str, Any]:
    return {"id": entity.id, "status": entity.status.value, "version": entity.version}


def _money(money: Any) -> dict[str, Any]:
    return {"minor": money.minor, "currency": money.currency}


def _entry(entry: Entry) -> dict[str, Any]:
    found = asdict(entry)
    cause = found.pop("cause")
    about = {"kind": entry.about.kind, "id": entry.about.id}
    named = None if cause is None else {_CAMEL.get(name, name): value for name, value in cause.items()}
    return {**found, "at": entry.at.isoformat(), "about": about, "cause": named}


_CAMEL: Final = {"event_id": "eventId"}


def _say(story: Story) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    order = story.order
    why = f", {order.reason.value}" if order.reason else ""
    console.print(f"[bold]Order {escape(order.id)}[/]: {order.status.value}{why}, {order.total}")
    console.print(f"Buyer {escape(order.buyer_id)}, version {order.version}")
    for ticket in story.tickets:
        what = escape(f"{ticket.seat or ticket.title}, {ticket.price}, of {ticket.seller_id}")
        console.print(f"Ticket {ticket.id}: {ticket.status.value}, {what}")
    moved: list[Charge | Refund] = [*story.charges, *story.refunds]
    for one in moved:
        more = "".join(f", {escape(text)}" for text in (one.code, one.reference) if text)
        console.print(f"{one.KIND.capitalize()} {one.id}: {one.status.value}, {one.amount}{more}")
    console.print()
    console.print(_table(story))
    for title, sentences in (("Still to happen", story.open), ("Not told", story.missing)):
        if sentences:
            console.print(f"\n[bold]{title}[/]")
        for sentence in sentences:
            console.print(f"  {escape(sentence)}")


def _table(story: Story) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("time (UTC)", "after", "what", "", "by", "state"):
        table.add_column(name, overflow="fold", no_wrap=name in ("time (UTC)", "after"))
    for entry, after, day in _timed(story.entries):
        state = _state(entry)
        table.add_row(
            f"{day}{entry.at:%H:%M:%S.%f}"[:-3],
            after,
            Text(entry.what, "bold"),
            Text(entry.says),
            Text(_by(entry.cause)),
            Text(state, _COLOURS.get(entry.state or "", "red" if entry.error else "")),
        )
    return table


def _timed(entries: tuple[Entry, ...]) -> Iterator[tuple[Entry, str, str]]:
    """Each entry, how long after the first one it was, and its day where that is another."""
    day: datetime | None = None
    for entry in entries:
        new = day is None or entry.at.date() != day.date()
        day = entry.at
        yield entry, f"+{_long(entry.at - entries[0].at)}", f"{entry.at:%Y-%m-%d} " if new else " " * 11


def _long(time: timedelta) -> str:
    seconds = time.total_seconds()
    hours, rest = divmod(int(seconds), 3600)
    minutes = rest // 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest % 60:02} s" if minutes else f"{seconds:.3f} s"


def _by(cause: Cause | None) -> str:
    if cause is None:
        return ""
    who = f"{cause.role.value} {cause.actor}" if cause.role else "ticketkit"
    if cause.event is not None:
        return f"{cause.event}, for {who}" if cause.role else cause.event
    return who if cause.directly or not cause.role else f"ticketkit, for {who}"


def _state(entry: Entry) -> str:
    tries = f", {entry.attempts} failed" if entry.attempts else ""
    error = f": {entry.error}" if entry.error else ""
    return f"{entry.state or 'not kept'}{tries}{error}"
