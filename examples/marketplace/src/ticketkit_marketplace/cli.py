"""The program `ticketkit-marketplace`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SecretStr

    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.broadway import Show


LASTING: Final = ("sqlite", "nats", "redis", "nats-redis")
"""Names of the combinations whose data are there again at the next start."""
BACKENDS: Final = (*LASTING, "stripe", "nats-stripe", "redis-stripe", "nats-redis-stripe")
"""Names of `combinations.COMBINATIONS`, which is too heavy for --help."""
PROCESSES: Final = ("one", "five")
"""Values of `demo.system.Shape`."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ticketkit-marketplace")
def main() -> None:
    """The example marketplace of ticketkit: a Broadway week on sale."""


_SHOWS = click.option("--show", "names", multiple=True, help="Only this show, by a part of its name; may be repeated.")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Default: TICKETKIT_DATA_DIR, or .data.")
@click.option("--backends", type=click.Choice(LASTING), help="Start these, kept in the data folder; default: settings.")
@_SHOWS
@click.option("--ops-host", default="127.0.0.1", show_default=True, help="Address of the operations page.")
@click.option("--ops-port", type=click.IntRange(0, 65535), help="Its port; 0 takes a free one. Default: the next one.")
@click.option("--no-ops", is_flag=True, help="No operations page.")
@click.option("--reload", is_flag=True, help="Start anew whenever a source file is saved.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
@click.option("--access-log", is_flag=True, help="Log every request too.")
@click.option("--echo", is_flag=True, hidden=True, help="Add a JSON echo, to measure beside.")
@click.option("--own-group", is_flag=True, hidden=True, help="Leave Ctrl-C at the terminal to who started this.")
def run(
    host: str,
    port: int,
    data: Path | None,
    backends: str | None,
    names: tuple[str, ...],
    *,
    ops_host: str,
    ops_port: int | None,
    no_ops: bool,
    reload: bool,
    log_level: str,
    access_log: bool,
    echo: bool,
    own_group: bool,
) -> None:
    """Run all five services in one process.

    On the first start the Broadway week is listed. Settings come from the environment (TICKETKIT_*); with --backends,
    the servers that they don't name are started, and ended at the end.
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
            *(("--backends", backends) if backends else ()),
            *(("--no-ops",) if no_ops else ("--ops-host", ops_host)),
            *(("--ops-port", str(ops_port)) if ops_port is not None else ()),
        ]
        reloaded(["run", *where, *(word for name in names for word in ("--show", name))])
        return
    if own_group:
        os.setpgrp()
    from ticketkit_marketplace import running
    from ticketkit_marketplace.echo import Echo

    logs.configure(as_json=not sys.stderr.isatty(), level=log_level.upper())
    for chatty in ("alembic", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("ticketkit.access").disabled = not access_log
    with told(), _provided(backends, data) as settings:
        plugins = [Echo()] if echo else []
        ops = None if no_ops else running.OpsAddress(host=ops_host, port=ops_port)
        running.run(settings, host=host, port=port, say=_say, shows=_shows(names), plugins=plugins, ops=ops)


@main.command()
@click.option("--api", metavar="URL", help="Where the services answer; default: TICKETKIT_WEB_API_URL.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--log", type=click.Choice(["text", "json"]), help="Default: text on a terminal, else json.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
def web(api: str | None, host: str, port: int, log: str | None, log_level: str) -> None:
    """Run the web client alone, over services that run elsewhere.

    Settings come from the environment (TICKETKIT_WEB_*, and TICKETKIT_* where they are shared with the services).
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime import logs
    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.web import process
    from ticketkit_marketplace.web.settings import WebSettings

    logs.configure(as_json=log == "json" or (log is None and not sys.stderr.isatty()), level=log_level.upper())
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with told():
        given = WebSettings.read(**({} if api is None else {"api_url": api}))
        process.run(Settings(), given, host=host, port=port, say=_say)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Default: TICKETKIT_DATA_DIR, or .data.")
@click.option("--backends", default=LASTING[-1], show_default=True, type=click.Choice(LASTING), help="What it runs on.")
@click.option("--orders", default=1, show_default=True, type=click.IntRange(1, 16), help="Processes that run orders.")
@click.option("--ops-port", type=click.IntRange(0, 65535), help="Of the operations page; default: the next one.")
@click.option("--no-ops", is_flag=True, help="No operations page.")
@_SHOWS
@click.option("--log", type=click.Choice(["text", "json"]), help="Default: text on a terminal, else json.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
def services(
    *, data: Path | None, names: tuple[str, ...], no_ops: bool, log: str | None, log_level: str, **wish: Any
) -> None:
    """Run each service and the web client as a process of its own, behind one address.

    PostgreSQL, NATS and Redis are started for them on durable settings, with a database for each of accounts, inventory
    and payments, unless the environment (TICKETKIT_*) names some. On the first start the Broadway week is listed. A
    process that dies is started again; Ctrl-C ends all of them, a second one kills.
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.deployment import running

    as_json = log == "json" or (log is None and not sys.stderr.isatty())
    with told():
        _shows(names)
        settings = Settings() if data is None else Settings(data_dir=data)
        asked = running.Wish(ops=not no_ops, shows=names, as_json=as_json, log_level=log_level, **wish)
        running.run(settings, asked, say=_say)


@main.command()
@click.option("--api", metavar="URL", help="Where the services answer; default: TICKETKIT_OPS_API_URL.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--log", type=click.Choice(["text", "json"]), help="Default: text on a terminal, else json.")
@click.option("--log-level", default="INFO", show_default=True, help="Least level that is logged.")
def ops(api: str | None, host: str, port: int, log: str | None, log_level: str) -> None:
    """Run the operations page alone, beside services that run elsewhere.

    It opens their storages and their bus by the same settings (TICKETKIT_*), and publishes and consumes nothing. Where
    operators sign in, and whose numbers are shown, come from TICKETKIT_OPS_API_URL and TICKETKIT_OPS_METRICS_URLS.
    """
    from ticketkit.cli.failing import told
    from ticketkit.runtime import logs
    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.ops import process
    from ticketkit_marketplace.ops.settings import OpsSettings

    logs.configure(as_json=log == "json" or (log is None and not sys.stderr.isatty()), level=log_level.upper())
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    with told():
        given = OpsSettings.read(**({} if api is None else {"api_url": api}))
        process.run(Settings(), given, host=host, port=port, say=_say)


@main.command("list")
@_SHOWS
def list_(names: tuple[str, ...]) -> None:
    """List the Broadway week on the backends of the settings, for services that run elsewhere.

    Does nothing when it was listed before.
    """
    import anyio

    from ticketkit.cli.failing import told
    from ticketkit.marketplace import Marketplace
    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace import running

    async def work() -> None:
        settings = Settings()
        running.prepare(settings.data_dir)
        async with Marketplace.of(settings, services=["auth", "tickets"]) as market:
            await running.open_accounts(market, settings.data_dir, say=_say)
            await running.list_the_week(market, settings.data_dir, shows=_shows(names), say=_say)

    with told():
        anyio.run(work)


def _shows(names: tuple[str, ...]) -> list[Show]:
    from ticketkit_marketplace import broadway

    shows = [show for show in broadway.week() if not names or any(name in show.name for name in names)]
    if not shows:
        raise click.BadParameter("No show is called that.", param_hint="--show")
    return shows


@contextmanager
def _provided(backends: str | None, data: Path | None) -> Iterator[Settings]:
    """Settings; those of the combination come on top, with its servers running."""
    from ticketkit.runtime.settings import Settings

    settings = Settings() if data is None else Settings(data_dir=data)
    if backends is None:
        yield settings
        return
    from ticketkit_marketplace.combinations import given, provided
    from ticketkit_marketplace.running import prepare

    prepare(settings.data_dir)
    with provided(backends, settings.data_dir.absolute(), named=given()) as ground:
        yield settings.model_copy(update=_fields(ground.urls))


def _fields(urls: Mapping[str, str]) -> dict[str, SecretStr]:
    from pydantic import SecretStr

    return {name.removeprefix("TICKETKIT_").lower(): SecretStr(url) for name, url in urls.items()}


_say = partial(print, flush=True)


@main.command()
@click.option("--buyers", default=1_000, show_default=True, type=click.IntRange(1), help="How many go for the tickets.")
@click.option("--tickets", default=200, show_default=True, type=click.IntRange(1, 1_324), help="The cheapest so many.")
@click.option("--listed", default=34_662, show_default=True, help="Tickets that are listed through the API first.")
@click.option("--connections", default=32, show_default=True, help="Of all buyers together.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Keep the data here; default: nowhere.")
@click.option(
    "--backends", default=BACKENDS[0], show_default=True, type=click.Choice(BACKENDS), help="What it runs on."
)
@click.option(
    "--processes",
    default=PROCESSES[0],
    show_default=True,
    type=click.Choice(PROCESSES),
    help="One for all, or one each.",
)
@click.option("--kill", is_flag=True, help="Kill processes with SIGKILL in the middle, and start them again.")
@click.option("--kill-server", is_flag=True, help="The same with databases and buses.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same buyers.")
@click.option("--json", "as_json", is_flag=True, help="Figures for programs.")
def demo(*, data: Path | None, as_json: bool, backends: str, processes: str, **plan: Any) -> None:
    """Let buyers go for the cheapest Hamilton seats all at once, and check the books afterwards.

    The marketplace runs in processes of its own on free ports, with data of its own; so do PostgreSQL, NATS and Redis,
    unless TICKETKIT_STORAGE_URL, TICKETKIT_BUS_URL or TICKETKIT_TIMERS_URL name some. Exits 1 if an invariant is broken
    or a limit is missed.
    """
    import json

    from rich.console import Console

    from ticketkit.cli.failing import told
    from ticketkit_marketplace.combinations import given
    from ticketkit_marketplace.demo import report
    from ticketkit_marketplace.demo.stage import play
    from ticketkit_marketplace.demo.system import Shape

    with told():
        named = {} if backends == BACKENDS[0] else given()
        outcome = play(data, backends=backends, processes=Shape(processes), named=named, **plan)
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
