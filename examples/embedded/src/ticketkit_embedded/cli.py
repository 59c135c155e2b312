"""The command that serves the app."""

from __future__ import annotations

from contextlib import ExitStack

import click
import uvicorn

from ticketkit_embedded.app import create_app


@click.command
@click.option(
    "--database",
    metavar="URL",
    envvar="LANTERN_DATABASE_URL",
    help="postgresql://…; without it a server is started from a wheel, and its data is gone at the end.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8200, show_default=True)
@click.option("--payments", default="fake", show_default=True, help="ticketkit's payment provider.")
def main(database: str | None, host: str, port: int, payments: str) -> None:
    """Serve The Lantern: /docs has its own routes, /shop/docs those of ticketkit."""
    with ExitStack() as stack:
        if database is None:
            from ticketkit.testing.servers import PostgreSQL

            click.echo("Starting a PostgreSQL of its own ...")
            database = stack.enter_context(PostgreSQL()).url
        click.echo(f"The Lantern is on http://{host}:{port}/docs and /shop/docs")
        uvicorn.run(create_app(database, payments=payments), host=host, port=port, log_level="warning")
