"""`ticketkit locks`: which orders hold tickets, and the end of one of these locks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from ticketkit.cli.failing import told
from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from datetime import datetime

    from ticketkit.backends.storage import Storage
    from ticketkit.domain.entities import Order
    from ticketkit.services.commands import Commands

ACTOR: Final = "ticketkit locks"
PAGE: Final = 500


@click.group()
def locks() -> None:
    """Orders that hold tickets. Servers may run meanwhile."""


@locks.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Most locks that are listed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def list_(context: click.Context, limit: int, *, as_json: bool) -> None:
    """List the orders that hold tickets, those first whose time is over first."""
    with told():
        found, now = _listed(context, limit + 1)
    more, found = len(found) > limit, found[:limit]
    if as_json:
        click.echo(json.dumps([_json(order, now) for order in found], indent=2))
    else:
        for order in found:
            click.echo(_line(order, now))
        if not found:
            click.echo("No order holds a ticket.")
    if more:
        click.echo(f"These are the first {limit:,}; there are more (--limit).", err=True)


@locks.command()
@click.argument("order")
@click.pass_context
def release(context: click.Context, order: str) -> None:
    """End the lock of ORDER now: it expires, and its tickets are for sale. What is being paid is left alone."""
    from ticketkit.cli.boundaries import on
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.operations import Operations

    async def work(storage: Storage, commands: Commands) -> Order:
        return await Operations(storage, commands).release(order, actor=ACTOR)

    with told():
        released = on(loaded(context), Boundary.INVENTORY, work)
    click.echo(f"{released.id} is released: its {len(released.ticket_ids):,} tickets are free.")


def _listed(context: click.Context, limit: int) -> tuple[list[Order], datetime]:
    from ticketkit.cli.boundaries import on
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.operations import Operations

    async def work(storage: Storage, commands: Commands) -> tuple[list[Order], datetime]:
        operations, cursor = Operations(storage, commands), None
        found: list[Order] = []
        while len(found) < limit:
            page = await operations.locks(limit=min(PAGE, limit - len(found)), cursor=cursor)
            found += page.items
            if (cursor := page.next) is None:
                break
        return found, await storage.now()

    return on(loaded(context), Boundary.INVENTORY, work)


def _json(order: Order, now: datetime) -> dict[str, Any]:
    return {
        "orderId": order.id,
        "userId": order.buyer_id,
        "status": order.status.value,
        "expiresAt": order.expires_at.isoformat(),
        "secondsLeft": round((order.expires_at - now).total_seconds(), 3),
        "chargeId": order.charge_id,
        "ticketIds": list(order.ticket_ids),
        "total": str(order.total.major),
        "currency": order.total.currency,
    }


def _line(order: Order, now: datetime) -> str:
    left = int((order.expires_at - now).total_seconds())
    time = f"{left // 60}:{left % 60:02} left" if left >= 0 else "its time is over"
    if order.charge_id is not None:
        time = "is being paid"
    return f"{order.id}  {time}  {len(order.ticket_ids)} tickets  {order.total}  buyer {order.buyer_id}"
