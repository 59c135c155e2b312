"""`ticketkit serve`: run services over HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ticketkit.services.catalogue import ServiceName

if TYPE_CHECKING:
    from collections.abc import Collection

    from ticketkit.runtime.settings import Settings


@click.command()
@click.argument("services", nargs=-1, type=click.Choice([name.value for name in ServiceName]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--log", type=click.Choice(["text", "json"]), help="Default: text on a terminal, else json.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
def serve(services: tuple[str, ...], host: str, port: int, log: str | None, log_level: str) -> None:
    """Run services over HTTP: all five together, or those that are named.

    Settings come from the environment (TICKETKIT_*). A service that starts without the others needs a bus and storages
    that processes can share.
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime import logs
    from ticketkit.runtime.settings import Settings

    logs.configure(as_json=log == "json" or (log is None and not sys.stderr.isatty()), level=log_level.upper())
    with told():
        run(Settings(), services, host=host, port=port)


def run(settings: Settings, services: Collection[str], *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        Misconfigured: The address can't be had, or the settings are wrong.
        Unavailable: A backend can't be reached.
    """
    from ticketkit.marketplace import Marketplace
    from ticketkit.runtime import server
    from ticketkit.runtime.exporting import exporting

    market = Marketplace.of(settings, services=services or None)
    listener = server.bound_socket(host, port)
    names = ", ".join(services) or "all services"
    span_service = "-".join(("ticketkit", *sorted(services)))

    def announce() -> None:
        click.echo(f"ticketkit: {names} on {server.address(listener)}")

    with exporting(settings, span_service):
        server.serve(
            market.asgi(),
            market,
            listener,
            announce=announce,
            drain=settings.drain,
            trusted_proxies=settings.trusted_proxies,
        )
