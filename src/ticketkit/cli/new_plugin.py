"""`ticketkit new-plugin`: the distribution of a backend, with its conformance test."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ticketkit.cli.loaded import loaded

KINDS = ("storage", "bus", "timers", "payments")


@click.command("new-plugin")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--from",
    "begin",
    type=click.Choice(["memory"]),
    help="Begin with the code of the backend in memory, which keeps every promise; else every method is to be written.",
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder in which the folder NAME is made; default: this one.",
)
@click.pass_context
def new_plugin(context: click.Context, kind: str, name: str, begin: str | None, into: Path) -> None:
    """Write the distribution of a backend NAME: package, entry point, README, and its test, the conformance kit.

    Each failing test says which method is to be written next, and what it must do.
    """
    from ticketkit.backends.spec import BackendKind
    from ticketkit.cli.scaffold import BadName, Naming, Taken, generate

    try:
        naming = Naming(BackendKind(kind), name)
        claimed = {
            scheme: plugin.name for plugin in loaded(context).listing() for at, scheme in plugin.claimed if at == kind
        }
        if naming.stem in claimed:
            msg = f"Plugin {claimed[naming.stem]} has the {kind} scheme {naming.stem!r} already: take another name."
            raise click.BadParameter(msg, param_hint="NAME")
        folder = generate(naming, from_memory=begin == "memory", into=into)
    except BadName as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    except (Taken, OSError) as error:
        click.echo(f"ticketkit: {error}", err=True)
        sys.exit(1)
    click.echo(f"Wrote {folder}. Go on with:\n")
    for line in (
        f"cd {folder}",
        "python3 -m venv .venv && . .venv/bin/activate",
        "pip install -e . --group test",
        "pytest --ticketkit-short",
    ):
        click.echo(f"  {line}")
    click.echo(f"\nThe how-to: docs/howto/{'payment' if kind == 'payments' else kind}-backend.md")
