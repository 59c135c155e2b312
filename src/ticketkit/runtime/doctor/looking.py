"""Looks at one backend: whether its plugin is there, whether it answers, and what waits in it for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.errors import BackendError, Misconfigured, Unavailable
from ticketkit.backends.findings import Finding, Severity, clock_off
from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.runtime.doctor.diagnosis import error, note, place, warning, without_secrets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.spec import Backend, Context
    from ticketkit.backends.storage import Storage
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.doctor.process import Use

SOME: Final = 100
"""Most dead letters that are counted one by one."""
OLD: Final = timedelta(minutes=5)
"""Age of an unpublished event that no retry explains any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at one backend told.

    Attributes:
        findings: What is wrong with it, or waits in it.
        openable: Whether it is in order, so that opening it changes nothing.
    """

    findings: tuple[Finding, ...]
    openable: bool


async def look(use: Use, plugins: Plugins, context: Context, *, limit: float) -> Look:
    """Look at a backend; nothing is changed.

    Args:
        limit: Seconds that it may take to answer.
    """
    found: list[Finding] = []
    openable = False
    try:
        with anyio.fail_after(limit):
            found += await _checked(use, plugins, context)
            openable = _openable(plugins.backend(use.kind, use.url), found)
            if openable and use.kind in _INSIDE:
                async with plugins.open(use.kind, use.url, context) as backend:
                    told = {finding.mend for finding in found}
                    inside = await _INSIDE[use.kind](backend, context)
                    found += [finding for finding in inside if finding.mend not in told]
    except TimeoutError:
        found, openable = [*found, _silent(use, limit)], False
    except BackendError as refused:
        found, openable = [*found, _refused(use, refused)], False
    return Look(findings=tuple(without_secrets(finding, use.url) for finding in found), openable=openable)


def _openable(spec: Backend, found: Sequence[Finding]) -> bool:
    """It was looked at from outside before, or it can hold nothing that could be changed."""
    if any(finding.unopened or finding.severity is Severity.ERROR for finding in found):
        return False
    return spec.check is not None or Capability.DURABLE not in spec.capabilities


async def _checked(use: Use, plugins: Plugins, context: Context) -> Sequence[Finding]:
    spec = plugins.backend(use.kind, use.url)
    if spec.check is None:
        return [_unchecked(spec)] if Capability.DURABLE in spec.capabilities else []
    try:
        return await spec.check(use.url, context)
    except ImportError as missing:
        raise Misconfigured(f"The driver of {spec.name} is missing: {missing}.") from missing


async def _storage(storage: Storage, context: Context) -> list[Finding]:
    now, totals = await storage.now(), await storage.totals()
    found = [clock_off("The storage's", now, context.clock.now())]
    if totals.dead:
        found.append(
            warning(
                f"{_events(totals.dead)} could not be published: people have to look.",
                "ticketkit dead list; then ticketkit dead replay ID",
            )
        )
    if totals.oldest is not None and (age := now - totals.oldest) > OLD:
        found.append(
            warning(
                f"{_events(totals.unpublished)} not published yet, the oldest for {_span(age)}: no relay runs, or it"
                " can't reach the bus.",
                "Start ticketkit serve; its log says what is in the way",
            )
        )
    return [finding for finding in found if finding is not None]


async def _bus(bus: Bus, _context: Context) -> list[Finding]:
    letters = await bus.dead_letters(SOME)
    if not letters:
        return []
    groups = ", ".join(sorted({letter.group for letter in letters}))
    count = f"{len(letters)} events or more" if len(letters) == SOME else _events(len(letters))
    return [
        warning(
            f"{count} could not be handled (by {groups}): people have to look.",
            "ticketkit dead list; then ticketkit dead replay ID",
        )
    ]


_INSIDE: Final[dict[BackendKind, Callable[[Any, Context], Awaitable[list[Finding]]]]] = {
    BackendKind.STORAGE: _storage,
    BackendKind.BUS: _bus,
}
"""Kinds in which something may wait for people."""


def _refused(use: Use, refused: BackendError) -> Finding:
    """What a backend or its plugin raised, as a finding."""
    match refused:
        case Misconfigured(mend=mend) if mend:
            return error(refused.what, mend)
        case Misconfigured():
            return error(str(refused), f"Set {use.setting} right")
        case Unavailable():
            return error(str(refused), f"Start what is at {place(use.url)}, or name another in {use.setting}")
    return error(str(refused), f"See what is at {place(use.url)} ({use.setting})")


def _unchecked(spec: Backend) -> Finding:
    return note(
        f"{spec.name} has no check of its own, so it was not looked at: opening it might change something.",
        "Its first start tells whether it is well; its author can add Backend.check",
    )


def _silent(use: Use, limit: float) -> Finding:
    at = place(use.url)
    return error(
        f"{at} gave no answer within {limit:g} s.",
        f"See that the network lets this machine reach {at}, and that the server is well; or name another in "
        f"{use.setting}",
    )


def _events(number: int) -> str:
    return f"{number:,} {'event' if number == 1 else 'events'}"


def _span(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
