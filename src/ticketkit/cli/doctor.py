"""`ticketkit doctor`: finds what is wrong with a deployment, and says the line that mends it."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ticketkit.cli.loaded import loaded
from ticketkit.services.catalogue import ServiceName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ticketkit.plugins import Plugins
    from ticketkit.runtime.doctor import Diagnosis, Process


@click.command()
@click.argument("services", nargs=-1, metavar="[SERVICE[,SERVICE][=FILE[,FILE]]]...")
@click.option(
    "--env-file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings of services without a FILE, instead of the environment; of several, later ones win.",
)
@click.option(
    "--limit", default=10.0, show_default=True, type=click.FloatRange(0.1, 600), help="Seconds a backend has."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def doctor(
    context: click.Context, services: tuple[str, ...], files: tuple[Path, ...], limit: float, *, as_json: bool
) -> None:
    """Look for what is wrong with the settings and with every backend that they name; change nothing.

    Without arguments it looks at what `ticketkit serve` would start; with services, at what it would start for those.
    With files (as for systemd or Docker: one NAME=value a line) it looks at several processes together, and finds what
    no process could see by itself:

        ticketkit doctor tickets=tickets.env orders=orders.env auth,payments,expiration=rest.env

    Exits with 0 when all is well (notes are no faults), with 1 when something was found.
    """
    processes, diagnoses = _processes(services, files)
    if not diagnoses:
        with _progress(shown=not as_json and sys.stderr.isatty()) as on_look:
            diagnoses = _examined(processes, loaded(context), limit, on_look)
    if as_json:
        click.echo(json.dumps(_json(diagnoses), indent=2))
    else:
        _say(diagnoses)
    sys.exit(0 if all(diagnosis.sound for diagnosis in diagnoses) else 1)


def _examined(
    processes: Sequence[Process], plugins: Plugins, limit: float, on_look: Callable[[int, int], None]
) -> list[Diagnosis]:
    from functools import partial

    import anyio

    from ticketkit.runtime.doctor import examine

    return anyio.run(partial(examine, processes, plugins, limit=limit, on_look=on_look))


def _processes(words: Sequence[str], files: Sequence[Path]) -> tuple[list[Process], list[Diagnosis]]:
    """The processes that the command line names, or what is wrong with settings that can't be read at all."""
    from pydantic import ValidationError

    from ticketkit.runtime.doctor import Process
    from ticketkit.runtime.doctor.process import unreadable
    from ticketkit.runtime.settings import FileSettings, Settings

    plain = [name for word in words if "=" not in word for name in word.split(",")]
    wanted = [(_names(word.partition("=")[0]), _files(word)) for word in words if "=" in word]
    if plain or not wanted:
        wanted.insert(0, (_names(",".join(plain)), list(files)))
    processes, diagnoses = [], []
    for names, paths in wanted:
        try:
            settings = FileSettings(_env_file=paths) if paths else Settings()
        except ValidationError as error:
            diagnoses += unreadable(error, where=", ".join(map(str, paths)))
            continue
        processes.append(Process(services=names, settings=settings))
    return processes, diagnoses


def _names(text: str) -> frozenset[ServiceName]:
    known = {name.value: name for name in ServiceName}
    words = [word for word in text.split(",") if word]
    if unknown := [word for word in words if word not in known]:
        msg = f"{unknown[0]!r} is no service; there are {', '.join(known)}."
        raise click.BadParameter(msg)
    return frozenset(known[word] for word in words) or frozenset(ServiceName)


def _files(word: str) -> list[Path]:
    paths = [Path(name) for name in word.partition("=")[2].split(",")]
    for path in paths:
        if not path.is_file():
            msg = f"{path}: there is no such file."
            raise click.BadParameter(msg)
    return paths


def _json(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    return {
        "well": all(diagnosis.sound for diagnosis in diagnoses),
        "findings": [
            {
                "severity": diagnosis.finding.severity.value,
                "about": diagnosis.about,
                "what": diagnosis.finding.what,
                "mend": diagnosis.finding.mend,
            }
            for diagnosis in diagnoses
        ],
    }


def _say(diagnoses: Sequence[Diagnosis]) -> None:
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for diagnosis in diagnoses:
        severity = diagnosis.finding.severity.value
        head = click.style(f"{severity}: {diagnosis.about}", fg=colours[severity], bold=True)
        click.echo(f"{head}\n  {diagnosis.finding.what}\n  → {diagnosis.finding.mend}\n")
    wrong = sum(not diagnosis.sound for diagnosis in diagnoses)
    if not wrong:
        click.echo("Nothing is wrong.")
    else:
        click.echo(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong.")


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    if not shown:
        yield lambda _done, _of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Looking at backends", total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
