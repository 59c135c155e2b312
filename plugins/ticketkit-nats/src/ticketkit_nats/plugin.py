"""What ticketkit finds of this distribution. Light: the driver is imported when a backend is opened."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit_nats.settings import SCHEMES, SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit.backends.findings import Finding


def ticketkit_backends() -> list[Backend]:
    """The bus on NATS JetStream."""
    return [
        Backend(
            kind=BackendKind.BUS,
            name="NATS JetStream bus",
            schemes=SCHEMES,
            capabilities=frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.REPLAY}),
            open=_bus,
            settings=SETTINGS,
            check=_check,
        )
    ]


async def _check(url: str, context: Context) -> Sequence[Finding]:
    from ticketkit_nats.checks import check

    return await check(url, context)


@asynccontextmanager
async def _bus(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_nats.bus import open_bus

    async with open_bus(url, context) as bus:
        yield bus
