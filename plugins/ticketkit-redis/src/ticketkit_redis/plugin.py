"""What ticketkit finds of this distribution. Light: the driver is imported when a backend is opened."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit_redis.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit.backends.findings import Finding

_SCHEMES: Final = ("redis", "rediss")
_SHARED: Final = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS})


def ticketkit_backends() -> list[Backend]:
    """Bus and timers on a Redis server, for any number of processes on any number of machines."""
    return [
        Backend(
            kind=BackendKind.BUS,
            name="Redis bus",
            schemes=_SCHEMES,
            capabilities=_SHARED,
            open=_bus,
            check=_look,
            settings=SETTINGS,
        ),
        Backend(
            kind=BackendKind.TIMERS,
            name="Redis timers",
            schemes=_SCHEMES,
            capabilities=_SHARED,
            open=_timers,
            check=_look,
            settings={name: text for name, text in SETTINGS.items() if "(bus only" not in text},
        ),
    ]


@asynccontextmanager
async def _bus(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_redis.bus import open_bus

    async with open_bus(url, context) as bus:
        yield bus


@asynccontextmanager
async def _timers(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_redis.timers import open_timers

    async with open_timers(url, context) as timers:
        yield timers


async def _look(url: str, context: Context) -> Sequence[Finding]:
    from ticketkit_redis.looking import look

    return await look(url, context)
