"""The program `ticketkit-marketplace`."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ticketkit.runtime.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ticketkit-marketplace")
def main() -> None:
    """The example marketplace of ticketkit: a Broadway week on sale."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Default: TICKETKIT_DATA_DIR, or .data.")
@click.option("--show", "names", multiple=True, help="Only this show, by a part of its name; may be repeated.")
@click.option("--reload", is_flag=True, help="Start anew whenever a source file is saved.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
@click.option("--access-log", is_flag=True, help="Log every request too.")
@click.option("--echo", is_flag=True, hidden=True, help="Add a JSON echo, to measure beside.")
@click.option("--own-group", is_flag=True, hidden=True, help="Leave Ctrl-C at the terminal to who started this.")
def run(
    host: str,
    port: int,
    data: Path | None,
    names: tuple[str, ...],
    *,
    reload: bool,
    log_level: str,
    access_log: bool,
    echo: bool,
    own_group: bool,
) -> None:
    """Run all five services in one process.

    Everything is kept in the data folder. On the first start the Broadway week is listed there. Settings come from the
    environment (TICKETKIT_*).
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime import logs

    if reload:
        from ticketkit_marketplace.reloading import reloaded

        where = [
            "--own-group",
            "--host",
            host,
            "--port",
            str(port),
            "--log-level",
            log_level,
            *(("--data", str(data)) if data else ()),
        ]
        reloaded(["run", *where, *(word for name in names for word in ("--show", name))])
        return
    if own_group:
        os.setpgrp()
    from ticketkit_marketplace import broadway, running
    from ticketkit_marketplace.echo import Echo

    logs.configure(as_json=not sys.stderr.isatty(), level=log_level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("ticketkit.access").disabled = not access_log
    with told():
        shows = [show for show in broadway.week() if not names or any(name in show.name for name in names)]
        if not shows:
            raise click.BadParameter("No show is called that.", param_hint="--show")
        running.run(_settings(data), host=host, port=port, say=_say, shows=shows, plugins=[Echo()] if echo else [])


def _settings(data: Path | None) -> Settings:
    from ticketkit.runtime.settings import Settings

    return Settings() if data is None else Settings(data_dir=data)


_say = partial(print, flush=True)


@main.command()
@click.option("--buyers", default=1_000, show_default=True, type=click.IntRange(1), help="How many go for the tickets.")
@click.option("--tickets", default=200, show_default=True, type=click.IntRange(1, 1_324), help="The cheapest so many.")
@click.option("--listed", default=34_662, show_default=True, help="Tickets that are listed through the API first.")
@click.option("--connections", default=32, show_default=True, help="Of all buyers together.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the data here; default: nowhere.")
@click.option("--kill", is_flag=True, help="Kill the server with SIGKILL in the middle, and start it again.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same buyers.")
@click.option("--json", "as_json", is_flag=True, help="Figures for programs.")
def demo(*, data: Path | None, as_json: bool, **plan: Any) -> None:
    """Let buyers go for the cheapest Hamilton seats all at once, and check the books afterwards.

    The marketplace runs as its own process on a free port, with data of its own. Exits 1 if an invariant is broken or
    a limit is missed.
    """
    import json

    from rich.console import Console

    from ticketkit.cli.failing import told
    from ticketkit_marketplace.demo import report
    from ticketkit_marketplace.demo.stage import play

    with told():
        outcome = play(data, **plan)
    if as_json:
        click.echo(json.dumps(report.as_json(outcome), indent=2))
    else:
        report.show(outcome, Console())
    sys.exit(0 if report.passed(outcome) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Figures for programs.")
def bench(*, as_json: bool) -> None:
    """Measure locks and requests a second, import and memory, beside their limits; exit 1 if one is missed."""
    import json

    from rich.console import Console

    from ticketkit.cli.failing import told
    from ticketkit_marketplace import bench as benches

    with told():
        found = benches.measure(say=lambda what: click.echo(f"Measuring {what} ...", err=True))
    if as_json:
        click.echo(json.dumps(found | {"passed": benches.passed(found)}, indent=2))
    else:
        benches.show(found, Console())
    sys.exit(0 if benches.passed(found) else 1)
