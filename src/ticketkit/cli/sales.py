"""`ticketkit sales`: pause, resume and cancel the sales of a live event."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from ticketkit.cli.failing import told
from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ticketkit.backends.storage import Storage
    from ticketkit.domain.entities import LiveEvent
    from ticketkit.services.cancellations import Cancellation
    from ticketkit.services.commands import Commands

    Step = Callable[[int, int], None]

ACTOR: Final = "ticketkit sales"
INTERRUPTED: Final = (
    "Interrupted: what is done stays done, and nothing is half done. Cancel it again to go on; where the orders "
    "service runs, it goes on by itself."
)


@click.group()
def sales() -> None:
    """Pause, resume or cancel the sales of a live event, named by its id.

    Servers may run meanwhile; they see it at once.
    """


@sales.command()
@click.argument("event")
@click.pass_context
def pause(context: click.Context, event: str) -> None:
    """Pause: nothing of EVENT can be ordered. What was ordered before can be paid."""
    found = _paused(context, event, paused=True)
    click.echo(f"The sales of {found.name} are paused. `ticketkit sales resume {found.id}` resumes them.")


@sales.command()
@click.argument("event")
@click.pass_context
def resume(context: click.Context, event: str) -> None:
    """Resume: tickets of EVENT can be ordered again."""
    found = _paused(context, event, paused=False)
    click.echo(f"The sales of {found.name} go on.")


@sales.command()
@click.argument("event")
@click.option("--dry-run", is_flag=True, help="Only say what it would do; change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; needs --dry-run or --yes.")
@click.pass_context
def cancel(context: click.Context, event: str, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Cancel EVENT and refund everybody.

    Its open orders are cancelled and its tickets withdrawn; who has paid gets the money back, once, less what was given
    back before. It can't be undone. It can be called again after an interruption, and does the rest.
    """
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nothing: add --dry-run or --yes.")
    with told():
        found = _survey(context, event)
        off = found.live_event.status.value == "cancelled"
        if dry_run or (off and found.over):
            _say(found, dry_run=True, as_json=as_json)
            return
        if not yes:
            _say(found, dry_run=True, as_json=False)
            click.confirm("Refund what is left?" if off else "Cancel it and refund everybody, for good?", abort=True)
        try:
            done = _cancelled(context, event, shown=not as_json and sys.stderr.isatty())
        except KeyboardInterrupt:
            click.echo(INTERRUPTED, err=True)
            sys.exit(130)
        _say(done, dry_run=False, as_json=as_json)


def _paused(context: click.Context, event_id: str, *, paused: bool) -> LiveEvent:
    from ticketkit.cli.boundaries import on
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.tickets import Tickets

    async def work(storage: Storage, commands: Commands) -> LiveEvent:
        return await Tickets(storage, commands).pause(event_id, owner_id=None, paused=paused)

    with told():
        return on(loaded(context), Boundary.INVENTORY, work)


def _survey(context: click.Context, event_id: str) -> Cancellation:
    from ticketkit.cli.boundaries import on
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.operations import Operations

    async def work(storage: Storage, commands: Commands) -> Cancellation:
        return await Operations(storage, commands).cancellation(event_id)

    return on(loaded(context), Boundary.INVENTORY, work)


def _cancelled(context: click.Context, event_id: str, *, shown: bool) -> Cancellation:
    from ticketkit.cli.boundaries import on
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.operations import Operations

    with _progress(shown=shown) as on_step:

        async def work(storage: Storage, commands: Commands) -> Cancellation:
            return await Operations(storage, commands).cancel(event_id, actor=ACTOR, on_step=on_step)

        return on(loaded(context), Boundary.INVENTORY, work)


def _json(found: Cancellation, *, dry_run: bool) -> dict[str, Any]:
    event = found.live_event
    return {
        "dryRun": dry_run,
        "liveEvent": {"id": event.id, "name": event.name, "status": event.status.value},
        "forSale": found.for_sale,
        "openOrders": found.open_orders,
        "beingPaid": found.being_paid,
        "toRefund": found.to_refund,
        "amounts": [{"amount": str(amount.major), "currency": amount.currency} for amount in found.amounts],
    }


def _say(found: Cancellation, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_json(found, dry_run=dry_run), indent=2, ensure_ascii=False))
        return
    event = found.live_event
    state = "is cancelled" if event.status.value == "cancelled" else f"is on {event.starts_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"{event.name}, {event.venue}, {state}.")
    if found.over:
        click.echo("None of its tickets is on the market: there is nothing to do.")
        return
    sums = f": {' and '.join(map(str, found.amounts))}, less what was given back before" if found.amounts else ""
    will = "are to be" if dry_run else "are"
    click.echo(f"  {found.for_sale:>7,} tickets that are for sale {will} withdrawn")
    click.echo(f"  {found.open_orders:>7,} open orders {will} cancelled; nobody is charged for them")
    click.echo(f"  {found.being_paid:>7,} orders are being paid: what is taken for them is given back at once")
    click.echo(f"  {found.to_refund:>7,} paid orders {will} refunded{sums}")
    if not dry_run:
        click.echo("The payments service gives the money back. `ticketkit reconcile --dry-run` lists what is left.")


@contextmanager
def _progress(*, shown: bool) -> Iterator[Step]:
    if not shown:
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Orders and tickets", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=max(done, of))
