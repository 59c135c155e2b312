"""`ticketkit operators`: who runs the marketplace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import click

from ticketkit.cli.failing import told
from ticketkit.cli.loaded import loaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.storage import Storage
    from ticketkit.services.auth import Auth
    from ticketkit.services.commands import Commands

T = TypeVar("T")


@click.group()
def operators() -> None:
    """Accounts with the role `operator`: they may refund, pause and cancel sales, admit, and look at everything.

    These are accounts of ticketkit's own auth service; an app with its own identity says itself who is an operator.
    """


@operators.command()
@click.argument("email")
@click.pass_context
def add(context: click.Context, email: str) -> None:
    """Make the account of EMAIL an operator, from its next sign-in on; else when its token is renewed."""
    from ticketkit.services.principal import OPERATOR

    user = _run(context, lambda auth: auth.give_role(email, OPERATOR))
    click.echo(
        f"{user.email} is an operator: after the next sign-in, or when the token is renewed (TICKETKIT_TOKEN_LIFETIME, "
        "an hour by default)."
    )


@operators.command()
@click.argument("email")
@click.pass_context
def remove(context: click.Context, email: str) -> None:
    """Take the role from the account of EMAIL, and sign it out everywhere, within 5 seconds."""
    from ticketkit.services.principal import OPERATOR

    user = _run(context, lambda auth: auth.take_role(email, OPERATOR))
    click.echo(f"{user.email} is no operator any more, and is signed out everywhere within 5 seconds.")


@operators.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """List all operators, oldest account first."""
    from ticketkit.services.principal import OPERATOR

    found = _run(context, lambda auth: auth.with_role(OPERATOR))
    if as_json:
        click.echo(json.dumps([{"id": user.id, "email": user.email} for user in found], indent=2))
        return
    for user in found:
        click.echo(f"{user.id}  {user.email}")
    if not found:
        click.echo("There are no operators. `ticketkit operators add EMAIL` makes one.")


def _run(context: click.Context, call: Callable[[Auth], Awaitable[T]]) -> T:
    from ticketkit.cli.boundaries import accounts, on
    from ticketkit.services.catalogue import Boundary

    async def work(storage: Storage, commands: Commands) -> T:
        return await call(accounts(storage, commands))

    with told():
        return on(loaded(context), Boundary.ACCOUNTS, work)
