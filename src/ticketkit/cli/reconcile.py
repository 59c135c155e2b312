"""`ticketkit reconcile`: holds all payments against the provider's books, and finishes what can be finished."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ticketkit.plugins import Plugins
    from ticketkit.services.comparison import Finding
    from ticketkit.services.payments import Payments
    from ticketkit.services.walking import Report

    Look = Callable[[int, int], None]

PACE: Final = 20.0
"""Charges a second: a provider's limits are for its buyers."""
INTERRUPTED: Final = "Interrupted: nothing is half done. Reconcile again to go on."


@click.command()
@click.option("--dry-run", is_flag=True, help="Only look; change nothing.")
@click.option("--all", "every", is_flag=True, help="Look at charges that are over, too.")
@click.option("--adopt", is_flag=True, help="With --all: put refunds on record that were made at the provider.")
@click.option(
    "--pace", default=PACE, show_default=True, type=click.FloatRange(0), help="Charges a second; 0 for no limit."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def reconcile(context: click.Context, pace: float, *, dry_run: bool, every: bool, adopt: bool, as_json: bool) -> None:
    """Hold payments against the provider's books, finish what can be finished, and list what needs people.

    Looks at every charge that is not over, owes a void or has an open refund, whatever its deadline; with --all at
    every charge, which also finds what was done at the provider by hand. The payments service does the same by itself
    for what is due; it may run meanwhile. Each thing that is left is listed with the repair that it needs.

    Exits with 0 when all agrees, or ends by itself; with 1 when something needs people; with 2 when settings are wrong.
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime import logs

    if adopt and (dry_run or not every):
        raise click.UsageError("--adopt goes with --all, and not with --dry-run.")
    logs.configure(as_json=False, level="ERROR")
    with told():
        options = {"dry_run": dry_run, "every": every, "adopt": adopt, "pace": pace or None}
        report, interrupted = _run(loaded(context), options, shown=not as_json and sys.stderr.isatty())
    if interrupted:
        click.echo(INTERRUPTED, err=True)
    if as_json:
        click.echo(json.dumps(_json(report, dry_run=dry_run, interrupted=interrupted), indent=2, ensure_ascii=False))
    else:
        _say(report, dry_run=dry_run)
    sys.exit(130 if interrupted else 0 if report.well else 1)


def _run(plugins: Plugins, options: dict[str, Any], *, shown: bool) -> tuple[Report, bool]:
    """The report of a walk, and whether it was interrupted."""
    import anyio

    from ticketkit.services.walking import Report

    reports: list[Report] = []
    try:
        with _progress(shown=shown) as on_look:
            anyio.run(partial(_walk, plugins, options, on_look, reports))
    except KeyboardInterrupt:
        return reports[0] if reports else Report(), True
    return reports[0], False


async def _walk(plugins: Plugins, options: dict[str, Any], on_look: Look, reports: list[Report]) -> None:
    from ticketkit.backends.errors import Misconfigured
    from ticketkit.backends.spec import Capability
    from ticketkit.domain.errors import TicketkitError
    from ticketkit.runtime.opening import FORGETFUL

    errors: list[TicketkitError] = []
    async with _opened(plugins) as payments:
        try:
            if Capability.DURABLE not in payments.provider.capabilities:
                raise Misconfigured(FORGETFUL)
            walk = payments.walk(**options, on_look=on_look)
            reports.append(walk.report)
            await walk.run()
        except TicketkitError as error:  # raised below: a backend with tasks of its own would wrap it
            errors.append(error)
    if errors:
        raise errors[0]


@asynccontextmanager
async def _opened(plugins: Plugins) -> AsyncIterator[Payments]:
    """The payments service on the storage and the provider that the settings name, without its jobs."""
    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.runtime.opening import BOUNDARY_SETTINGS, check_shared
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.commands import Commands
    from ticketkit.services.driver import Driver
    from ticketkit.services.payments import Payments
    from ticketkit.services.progress import Progress
    from ticketkit.services.till import Till

    settings, context = Settings(), Context()
    url = settings.payment_storage()
    check_shared(plugins, BackendKind.STORAGE, url, setting=BOUNDARY_SETTINGS[Boundary.PAYMENTS])
    async with (
        plugins.open(BackendKind.STORAGE, url, context) as storage,
        plugins.open(BackendKind.PAYMENTS, settings.provider(), context) as provider,
    ):
        commands, progress = Commands(context.new_id), Progress(context.clock)
        driver = Driver(storage, commands, till=Till(provider, context.clock), progress=progress)
        payments = Payments(storage, commands, provider=provider, driver=driver, progress=progress)
        try:
            yield payments
        finally:
            payments.close()


def _json(report: Report, *, dry_run: bool, interrupted: bool) -> dict[str, Any]:
    return {
        "well": report.well,
        "dryRun": dry_run,
        "interrupted": interrupted,
        "charges": report.charges,
        "webhooks": report.webhooks,
        "finished": [
            {
                "chargeId": done.charge_id,
                "orderId": done.order_id,
                "status": done.status,
                "troubles": [trouble.value for trouble in done.troubles],
            }
            for done in report.finished
        ],
        "findings": [_shown(finding) for finding in report.findings],
    }


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "trouble": finding.trouble.value,
        "needs": finding.needs.value,
        "chargeId": finding.charge_id,
        "orderId": finding.order_id,
        "refundId": finding.refund_id,
        "webhookId": finding.webhook_id,
        "reference": finding.reference,
        "what": finding.what,
        "repair": finding.repair,
    }


def _say(report: Report, *, dry_run: bool) -> None:
    from collections import Counter

    for done in report.finished:
        click.echo(f"finished: charge {done.charge_id} is {done.status}")
    colours = {"people": "red", "ticketkit": "yellow"}
    for finding in sorted(report.findings, key=lambda one: one.needs):
        head = click.style(finding.trouble.value, fg=colours.get(finding.needs.value, "cyan"), bold=True)
        reference = f" ({finding.reference})" if finding.reference else ""
        click.echo(f"{head}: {finding.about}{reference}\n  {finding.what}\n  → {finding.repair}\n")
    left = Counter(finding.needs.value for finding in report.findings)
    applied = "wait to be applied" if dry_run else "were applied"
    click.echo(
        f"{report.charges:,} charges were looked at, {len(report.finished):,} finished; {report.webhooks:,} webhooks "
        f"{applied}. {left['people']:,} need people, {left['ticketkit']:,} can be finished, {left['time']:,} end by "
        "themselves."
    )


@contextmanager
def _progress(*, shown: bool) -> Iterator[Look]:
    if not shown:
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Charges and webhooks", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=max(done, of))
