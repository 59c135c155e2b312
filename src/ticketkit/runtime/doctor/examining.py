"""Looks at all that a deployment's settings name, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.spec import Context
from ticketkit.runtime.doctor.diagnosis import Diagnosis, merged, warning
from ticketkit.runtime.doctor.looking import Look, look
from ticketkit.runtime.doctor.together import compared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ticketkit.backends.spec import BackendKind
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.doctor.process import Process, Use

LIMIT: Final = 10.0
"""Seconds that a backend may take to answer."""


async def examine(
    processes: Sequence[Process],
    plugins: Plugins,
    *,
    context: Context | None = None,
    limit: float = LIMIT,
    on_look: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Diagnosis]:
    """What is wrong with a deployment. Nothing is changed anywhere.

    Args:
        processes: All processes of it, or those that are to be looked at.
        plugins: Those that it runs with.
        context: Lent to backends; its clock is taken for the process's.
        limit: Seconds that each backend may take to answer; all are asked at once.
        on_look: Called with the number of looks that are done, and of all.

    Returns:
        Each finding once, errors first, notes last.
    """
    context = context or Context()
    uses = _distinct(use for process in processes for use in process.uses())
    found: dict[tuple[BackendKind, str], Look] = {}

    async def one(use: Use) -> None:
        found[use.kind, use.url] = await look(use, plugins, context, limit=limit)
        on_look(len(found), len(uses))

    on_look(0, len(uses))
    async with anyio.create_task_group() as group:
        for first, *_ in uses.values():
            group.start_soon(one, first)
    diagnoses = [diagnosis for process in processes for diagnosis in process.diagnoses(plugins)]
    diagnoses += [
        Diagnosis(about=use.about, finding=finding)
        for key, users in uses.items()
        for use in users
        for finding in found[key].findings
    ]
    openable = {key for key, looked in found.items() if looked.openable}
    diagnoses += await compared(processes, plugins, context, openable=openable)
    told = {diagnosis.finding.what for diagnosis in diagnoses}
    return merged([*diagnoses, *(of for of in _broken(plugins) if not any(_same(of, what) for what in told))])


def _distinct(uses: Iterable[Use]) -> dict[tuple[BackendKind, str], list[Use]]:
    found: dict[tuple[BackendKind, str], list[Use]] = {}
    for use in uses:
        found.setdefault((use.kind, use.url), []).append(use)
    return found


def _broken(plugins: Plugins) -> Iterator[Diagnosis]:
    for plugin in plugins.listing():
        if plugin.broken:
            what = f"It is installed and broken, so nothing of it takes effect: {plugin.broken}"
            mend = plugin.mend or "Take it out, or ask who wrote it"
            yield Diagnosis(about=f"plugin {plugin.name}", finding=warning(what, mend))


def _same(broken: Diagnosis, what: str) -> bool:
    """Whether an error has told already why a plugin is broken."""
    return what.endswith(broken.finding.what.partition(": ")[2])
