"""`ticketkit import`: list a file of tickets."""

from __future__ import annotations

import json
import secrets
import sys
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, Protocol

import click

from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ticketkit.domain.entities import User
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.importing import Imported
    from ticketkit.services.listings_csv import BadListings, Catalogue

PASSWORD_BYTES: Final = 15
INTERRUPTED: Final = "Interrupted: all of the file is listed, or nothing. Import it again: nothing is listed twice."


class Bar(Protocol):
    """Shows how far it is: with the lines read, and without a number while the database works."""

    def __call__(self, what: str, done: int | None = None) -> None:
        """Say what is being done."""
        ...


@click.command(
    "import",
    epilog="Columns: event, venue, starts_at, price; and if wanted zone, on_sale_at, title, seat, currency, quantity, "
    "price_to. --columns says what each is for.",
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--seller", metavar="EMAIL", help="Account that sells the tickets.")
@click.option("--create-seller", is_flag=True, help="Make the account if there is none; its password is printed.")
@click.option("--storage", metavar="URL", help="Instead of TICKETKIT_STORAGE_URL.")
@click.option("--json", "as_json", is_flag=True, help="A summary for programs.")
@click.option("--dry-run", is_flag=True, help="Only check the file; no database is touched.")
@click.option("--columns", is_flag=True, help="Say what the columns are for, and stop.")
@click.pass_context
def import_(
    context: click.Context,
    file: IO[bytes] | None,
    seller: str | None,
    storage: str | None,
    *,
    create_seller: bool,
    as_json: bool,
    dry_run: bool,
    columns: bool,
) -> None:
    """List the tickets of a CSV file: all of them, or none.

    A row is a ticket, or with `quantity` a block of numbered seats. Every bad row is named with its line, column and
    reason before anything is written. A live event of the same name, venue and start is taken as it is, and announced
    otherwise. A file that was imported before adds nothing. Servers may run on the same database meanwhile.
    """
    from ticketkit.cli.failing import told
    from ticketkit.services.listings_csv import COLUMNS, BadListings

    if columns:
        for name, sentence in COLUMNS.items():
            click.echo(f"{name:<11} {sentence}")
        return
    if file is None:
        raise click.UsageError("Say which FILE to import ('-' for standard input).")
    if not dry_run and not seller:
        raise click.UsageError("Say who sells the tickets: --seller EMAIL.")
    with told():
        try:
            with _progress(shown=not as_json and sys.stderr.isatty()) as bar:
                settings = _settings(storage)
                catalogue = _parsed(file, settings, bar)
                if dry_run or seller is None:
                    summary = _checked(catalogue)
                else:
                    plugins = loaded(context)
                    summary = _run(
                        partial(_import, settings, plugins, catalogue, seller, create=create_seller, bar=bar)
                    )
        except BadListings as error:
            _refuse(getattr(file, "name", "-"), error, as_json=as_json)
        except KeyboardInterrupt:
            click.echo(INTERRUPTED, err=True)
            sys.exit(130)
        _say_json(summary) if as_json else _say(summary)


def _settings(storage: str | None) -> Settings:
    from pydantic import SecretStr

    from ticketkit.runtime.settings import Settings

    return Settings() if storage is None else Settings(storage_url=SecretStr(storage))


def _parsed(file: IO[bytes], settings: Settings, bar: Bar) -> Catalogue:
    from datetime import UTC, datetime

    from ticketkit.services.listings_csv import parse

    content = file.read()
    lines = max(1, content.count(b"\n"))
    return parse(
        content,
        currency=settings.currency,
        now=datetime.now(UTC),
        on_line=lambda line: bar("Checking", line * 100 // lines),
    )


def _run(work: Callable[[], Any]) -> dict[str, Any]:
    import anyio

    found: dict[str, Any] = anyio.run(work)
    return found


async def _import(
    settings: Settings, plugins: Plugins, catalogue: Catalogue, email: str, *, create: bool, bar: Bar
) -> dict[str, Any]:
    """Import into the storage that servers use, beside them."""
    from contextlib import AsyncExitStack

    from ticketkit.backends.errors import Misconfigured
    from ticketkit.backends.spec import BackendKind, Capability, Context
    from ticketkit.ids import new_id
    from ticketkit.services.commands import Commands
    from ticketkit.services.tickets import Tickets

    if Capability.MULTI_PROCESS not in plugins.backend(BackendKind.STORAGE, settings.storage()).capabilities:
        msg = "This storage lives inside one process, so nobody would see the tickets: set TICKETKIT_STORAGE_URL."
        raise Misconfigured(msg)
    context, commands = Context(), Commands(new_id)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, settings.storage(), context))
        accounts = storage
        if settings.accounts() != settings.storage():
            accounts = await stack.enter_async_context(plugins.open(BackendKind.STORAGE, settings.accounts(), context))
        user, password = await _seller(accounts, commands, email, create=create)
        bar(f"Listing {len(catalogue.offers):,} tickets")
        imported = await Tickets(storage, commands).import_catalogue(user.id, catalogue)
        return _summary(imported, user, password)


async def _seller(storage: Any, commands: Any, email: str, *, create: bool) -> tuple[User, str | None]:
    from ticketkit.cli.boundaries import accounts
    from ticketkit.domain.errors import NotFound

    auth = accounts(storage, commands)
    if (user := await auth.find(email)) is not None:
        return user, None
    if not create:
        msg = f"There is no account {email}. Sign it up first, or add --create-seller."
        raise NotFound(msg)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    return (await auth.sign_up(_address(email), password)).user, password


def _address(email: str) -> str:
    import email_validator

    from ticketkit.domain.errors import InvalidInput

    try:
        return email_validator.validate_email(email.strip(), check_deliverability=False).normalized
    except email_validator.EmailNotValidError:
        raise InvalidInput(f"{email!r} is no e-mail address.", field="email") from None


def _summary(imported: Imported, user: User, password: str | None) -> dict[str, Any]:
    summary = {
        "tickets": imported.tickets,
        "announced": imported.announced,
        "already": imported.already,
        "seller": {"id": user.id, "email": user.email},
        "liveEvents": [{"id": event.id, "name": event.name} for event in imported.live_events],
    }
    if password is not None:
        summary["password"] = password
    return summary


def _checked(catalogue: Catalogue) -> dict[str, Any]:
    return {"tickets": len(catalogue.offers), "liveEvents": len(catalogue.announcements), "dryRun": True}


def _say_json(summary: dict[str, Any]) -> None:
    click.echo(json.dumps(summary, ensure_ascii=False))


def _say(summary: dict[str, Any]) -> None:
    if summary.get("dryRun"):
        click.echo(f"The file is good: {summary['tickets']:,} tickets of {summary['liveEvents']:,} live events.")
        return
    if password := summary.get("password"):
        click.echo(f"Made the account {summary['seller']['email']} with the password {password}")
    events = len(summary["liveEvents"])
    if summary["already"]:
        click.echo(f"Already imported: its tickets of {events:,} live events are listed. Nothing was added.")
    else:
        click.echo(
            f"Listed {summary['tickets']:,} tickets of {events:,} live events, {summary['announced']:,} of them new."
        )


def _refuse(name: str, error: BadListings, *, as_json: bool) -> NoReturn:
    if as_json:
        problems = [{"line": at.line, "column": at.column, "reason": at.reason} for at in error.problems]
        click.echo(json.dumps({"problems": problems, "total": error.total}, ensure_ascii=False))
    else:
        click.echo(f"{name} can't be imported, so nothing was listed:", err=True)
        click.echo(str(error), err=True)
    sys.exit(1)


def _no_bar(what: str, done: int | None = None) -> None:
    """Nobody watches."""


@contextmanager
def _progress(*, shown: bool) -> Iterator[Bar]:
    if not shown:
        yield _no_bar
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Checking", total=100)

        def bar(what: str, done: int | None = None) -> None:
            progress.update(task, description=what, completed=done or 0, total=None if done is None else 100)

        yield bar
