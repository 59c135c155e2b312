"""`python -m ticketkit_stripe.simulator`: a simulator until Ctrl-C or SIGTERM."""

from __future__ import annotations

import json
import signal
from typing import Any

import click
import uvicorn

from ticketkit_stripe.simulator.serving import listening, serve, url_of
from ticketkit_stripe.simulator.simulation import KEY, SECRET, VERSION, Settings


@click.command()
@click.option("--port", default=0, show_default=True, help="Of the loopback; 0 is a free one.")
@click.option("--webhook", "webhooks", multiple=True, metavar="URL", help="Events are sent there; any number.")
@click.option("--secret", default=SECRET, show_default=True, help="Signs webhooks.")
@click.option("--key", default=KEY, show_default=True, help="The secret key that calls carry.")
@click.option("--rate", type=click.IntRange(min=1), help="Calls a second; any number when left out.")
@click.option("--version", "version", default=VERSION, show_default=True, help="Stripe-Version that calls carry.")
@click.option("--seed", type=int, help="Makes the same ids each time.")
def main(*, port: int, **given: Any) -> None:
    """A Stripe of one's own on the loopback. Prints one line of JSON when it answers."""
    settings = Settings(**given)
    with listening(port) as listener:
        said = {"url": url_of(listener), "key": settings.key, "secret": settings.secret, "version": settings.version}
        # uvicorn raises the signal that ended it once more when it has ended: that is to be no error here.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)

        def ready(_: uvicorn.Server) -> None:
            click.echo(json.dumps(said))

        serve(settings, listener, ready=ready)


if __name__ == "__main__":
    main()
