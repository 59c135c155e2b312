"""`ticketkit db`: the schema of a database."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = click.option(
    "--url",
    envvar="TICKETKIT_STORAGE_URL",
    required=True,
    help="Such as sqlite:///shop.db; default: TICKETKIT_STORAGE_URL.",
)


@click.group()
def db() -> None:
    """The schema of a database: make it, check it, show its history."""


@db.command()
@_URL
def upgrade(url: str) -> None:
    """Bring the schema up to this release, or make it."""
    from ticketkit_sql import schema

    with _told():
        before = schema.upgrade(url)
    click.echo(f"The schema is {before.head}; it was {before.current or 'not there'}.")


@db.command()
@_URL
def check(url: str) -> None:
    """Say whether the schema is what this release needs; exit 1 when it is not."""
    from ticketkit_sql import schema

    with _told():
        found = schema.check(url)
    if not found.ready:
        what = f"is {found.current}" if found.current else "is not there"
        click.echo(f"The schema {what}; this release needs {found.head}: run `ticketkit db upgrade`.", err=True)
        sys.exit(1)
    click.echo(f"The schema is {found.current}, as this release needs it.")


@db.command()
@_URL
def history(url: str) -> None:
    """List the migrations, oldest first; a star marks where the database is."""
    from ticketkit_sql import schema

    with _told():
        current = schema.check(url).current
    for revision, sentence in schema.history().items():
        click.echo(f"{'*' if revision == current else ' '} {revision}  {sentence}")


@contextmanager
def _told() -> Iterator[None]:
    from ticketkit.backends.errors import BackendError

    try:
        yield
    except BackendError as error:
        click.echo(f"ticketkit: {error}", err=True)
        sys.exit(2)
