"""The reference backends as a plugin: `memory:` for storage, bus and timers, `fake:` for payments.

A name (`memory://shop`) is shared by all that open it in this process, on the clock of the first one; it is gone when
the last one has closed it. Without a name everybody gets their own.
"""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.findings import Finding, Severity
from ticketkit.backends.spec import Backend, BackendKind, Capability, Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ticketkit.memory.payments import FakePayments

_MEMORY: Final = re.compile(r"memory(:(//(?P<name>[\w.-]+)?/?)?)?", re.IGNORECASE)
_SECRET: Final = "secret"  # noqa: S105 the name of the parameter


def ticketkit_backends() -> list[Backend]:
    """Storage, bus and timers in memory; payments with play money."""
    return [
        Backend(kind=BackendKind.STORAGE, name="memory", schemes=("memory",), open=_STORAGE.open),
        Backend(kind=BackendKind.BUS, name="memory", schemes=("memory",), open=_BUS.open),
        Backend(kind=BackendKind.TIMERS, name="memory", schemes=("memory",), open=_TIMERS.open),
        Backend(
            kind=BackendKind.PAYMENTS,
            name="fake",
            schemes=("fake",),
            capabilities=frozenset({Capability.SIGNED_TIME, Capability.DURABLE}),
            open=open_payments,
            settings={_SECRET: "Signs webhooks."},
            check=check_payments,
        ),
    ]


@asynccontextmanager
async def open_payments(url: str, context: Context) -> AsyncIterator[FakePayments]:
    """Open the fake provider: `fake:` with books in memory, `fake:///path/books.jsonl` with a journal.

    Raises:
        Misconfigured: The URL has another form, or the journal can't be read.
    """
    from ticketkit.memory.payments import DEVELOPMENT_SECRET, FakePayments

    journal, settings = _journal(url)
    provider = FakePayments(
        context.clock, context.new_id, journal=journal, secret=settings.get(_SECRET, DEVELOPMENT_SECRET)
    )
    async with provider:
        yield provider


async def check_payments(url: str, _context: Context) -> list[Finding]:
    """Look whether the journal can be written.

    Raises:
        Misconfigured: The URL has another form.
    """
    journal, _ = _journal(url)
    if journal is None:
        return []
    path = Path(journal)
    there = next(place for place in (path, *path.parents) if place.exists())
    if os.access(there, os.W_OK) and (there == path or there.is_dir()):
        return []
    what = f"The books of the fake provider, {path}, can't be written."
    return [Finding(severity=Severity.ERROR, what=what, mend=f"chown $(id -u) {there}; or another path in fake:///...")]


def _journal(url: str) -> tuple[str | None, dict[str, str]]:
    """The path of the journal, if there is to be one, and the parameters."""
    parts = urlsplit(url)
    settings = dict(parse_qsl(parts.query))
    path = unquote(parts.path) if parts.scheme else ""
    strange = parts.netloc or parts.fragment or not settings.keys() <= {_SECRET}
    if strange or not path.startswith("/" if path else ""):
        msg = "The fake payment provider is 'fake:' or 'fake:///absolute/path/books.jsonl'."
        raise Misconfigured(msg)
    return path or None, settings


class _Shelf:
    """Instances that are shared by name, with the number of their users."""

    def __init__(self, make: Callable[[Context], Any]) -> None:
        self._make = make
        self._shared: dict[str, tuple[Any, int]] = {}

    @asynccontextmanager
    async def open(self, url: str, context: Context) -> AsyncIterator[Any]:
        found = _MEMORY.fullmatch(url.strip())
        if found is None:
            msg = "A backend in memory is 'memory:' or 'memory://name'."
            raise Misconfigured(msg)
        name = found["name"]
        if name is None:
            yield self._make(context)
            return
        instance, users = self._shared.get(name) or (self._make(context), 0)
        self._shared[name] = instance, users + 1
        try:
            yield instance
        finally:
            users = self._shared.pop(name)[1]
            if users > 1:
                self._shared[name] = instance, users - 1


def _storage(context: Context) -> Any:
    from ticketkit.memory.storage import MemoryStorage

    return MemoryStorage(context.clock, context.new_id)


def _bus(context: Context) -> Any:
    from ticketkit.memory.bus import MemoryBus

    return MemoryBus(context.clock)


def _timers(context: Context) -> Any:
    from ticketkit.memory.timers import MemoryTimers

    return MemoryTimers(context.clock, context.new_id)


# Of the process, for that is where a name is shared: any number of marketplaces load this plugin.
_STORAGE: Final = _Shelf(_storage)
_BUS: Final = _Shelf(_bus)
_TIMERS: Final = _Shelf(_timers)
