"""`ticketkit events`: schemas of the contracts, the check that they stay compatible, and documents made of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import anyio
import click

from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ticketkit.events.compatibility import Finding
    from ticketkit.events.contract import Contract
    from ticketkit.events.flow import Flow
    from ticketkit.plugins import Plugins

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
_OUTPUT = click.option("--output", "-o", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file.")


@click.group
def events() -> None:
    """Work with the contracts of events: ticketkit's own and those of plugins."""


@events.command
@_FOLDER
@click.option("--force", is_flag=True, help="Also what old and new releases would misunderstand.")
@click.pass_context
def export(context: click.Context, folder: Path, *, force: bool) -> None:
    """Write the JSON Schema of each contract to DIR.

    A change that old and new releases would misunderstand is refused: it needs a new version of the contract.
    --force is for types that were never published.
    """
    from ticketkit.events import schemas

    contracts = _contracts(context)
    wrong = [finding for finding in schemas.check(folder, contracts) if not finding.compatible]
    if wrong and not force:
        _refuse(wrong)
    written = schemas.export(folder, contracts)
    click.echo(f"{len(contracts)} contracts, {len(written)} files written.")


@events.command
@_FOLDER
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Compare the contracts with the schemas in DIR; exit 1 with the reasons when they differ."""
    from ticketkit.events import schemas

    contracts = _contracts(context)
    if findings := schemas.check(folder, contracts):
        if any(finding.compatible for finding in findings):
            click.echo(f"Some schemas are out of date; write them with: ticketkit events export {folder}", err=True)
        _refuse(findings)
    click.echo(f"{len(contracts)} contracts agree with their schemas.")


@events.command
@_OUTPUT
@click.pass_context
def asyncapi(context: click.Context, output: IO[str]) -> None:
    """Write the AsyncAPI 3.0 document, as JSON."""
    from importlib.metadata import version

    from ticketkit.events.asyncapi import document

    made = document(_contracts(context), _flow(), version=version("ticketkit"))
    click.echo(json.dumps(made, indent=2, ensure_ascii=False), file=output)


@events.command
@_OUTPUT
@click.pass_context
def catalogue(context: click.Context, output: IO[str]) -> None:
    """Write the catalogue of events with a diagram of their flow, as Markdown with Mermaid."""
    from ticketkit.events import diagram

    click.echo(f"```mermaid\n{diagram.flowchart(_flow())}```\n", file=output)
    click.echo(diagram.catalogue(_contracts(context), _flow()), nl=False, file=output)


@events.command
@click.pass_context
def republish(context: click.Context) -> None:
    """Publish the present state of every aggregate again, so that copies can be rebuilt.

    Consumers that have it already ignore it. The bus must be one that processes share.
    """
    from ticketkit.cli.failing import told

    with told():
        click.echo(f"{anyio.run(_republish, loaded(context))} events published.")


async def _republish(plugins: Plugins) -> int:
    from contextlib import AsyncExitStack

    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.runtime.opening import check_shared
    from ticketkit.runtime.republish import republish as publish_again
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.catalogue import Boundary

    settings, lent = Settings(), Context()
    urls = {
        Boundary.ACCOUNTS: settings.accounts(),
        Boundary.INVENTORY: settings.storage(),
        Boundary.PAYMENTS: settings.payment_storage(),
    }
    check_shared(plugins, BackendKind.BUS, settings.bus_url.get_secret_value())
    count = 0
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(plugins.open(BackendKind.BUS, settings.bus_url.get_secret_value(), lent))
        for boundary, url in urls.items():
            storage = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, url, lent))
            count += await publish_again(storage, boundary, bus, new_id=lent.new_id)
    return count


@events.command
@click.option("--consumer", required=True, help="Whose events: `receipts`, or a service.")
@click.option("--since", metavar="TIME", help="What was published from this time on, ISO 8601; UTC without an offset.")
@click.option("--sequence", type=click.IntRange(1), help="What the bus stored from this number on.")
@click.pass_context
def replay(context: click.Context, consumer: str, since: str | None, sequence: int | None) -> None:
    """Deliver to a consumer again what the bus still keeps of its events; others hear nothing of it.

    A handler of an app is called again for each. Services pass over events whose effect is in their storage: after a
    restore from a backup they do just what is missing there.
    """
    from ticketkit.cli.failing import told

    if (since is None) == (sequence is None):
        raise click.UsageError("Give one of --since and --sequence.")
    begin = None if since is None else _time(since)
    with told():
        try:
            anyio.run(partial(_replay, loaded(context), consumer, since=begin, sequence=sequence))
        except LookupError as error:
            click.echo(f"ticketkit: {error} A consumer is known once a process with it has run.", err=True)
            raise click.exceptions.Exit(1) from None
    click.echo(f"{consumer} gets its events again.")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is no time: write it as 2027-01-31T19:00:00Z."
        raise click.BadParameter(msg, param_hint="--since") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


async def _replay(plugins: Plugins, consumer: str, *, since: datetime | None, sequence: int | None) -> None:
    from ticketkit.backends.errors import CapabilityNotSupported
    from ticketkit.backends.spec import BackendKind, Capability, Context
    from ticketkit.runtime.settings import Settings

    url = Settings().bus_url.get_secret_value()
    backend = plugins.backend(BackendKind.BUS, url)
    if Capability.REPLAY not in backend.capabilities:
        msg = (
            f"The bus {backend.name!r} keeps no events to replay. `ticketkit events republish` publishes the present "
            "state of everything; a bus that keeps events has the capability `replay` in `ticketkit plugins`."
        )
        raise CapabilityNotSupported(msg)
    async with plugins.open(BackendKind.BUS, url, Context()) as bus:
        await bus.replay(consumer, since=since, sequence=sequence)


def _contracts(context: click.Context) -> list[type[Contract]]:
    """The catalogue in its own order, then what plugins add."""
    from ticketkit.events.catalogue import CATALOGUE

    return [*CATALOGUE, *(contract for contract, _ in loaded(context).contracts())]


def _flow() -> Flow:
    from ticketkit.events.flow import Flow
    from ticketkit.services.catalogue import SERVICES

    services = SERVICES.values()
    return Flow(
        says={service.name.value: service.says for service in services},
        hears={service.name.value: service.hears for service in services},
        broadcast={service.name.value: service.broadcast for service in services},
    )


def _refuse(findings: Iterable[Finding]) -> NoReturn:
    for finding in findings:
        click.echo(str(finding), err=True)
    raise click.exceptions.Exit(1)
