"""What ticketkit finds of this distribution. Light: the driver is imported when the backend is opened."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context
from ticketkit_stripe.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ticketkit.backends.findings import Finding


def ticketkit_backends() -> list[Backend]:
    """Payments by Stripe, for any number of processes on any number of machines."""
    return [
        Backend(
            kind=BackendKind.PAYMENTS,
            name="Stripe",
            schemes=("stripe",),
            capabilities=frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.SIGNED_TIME}),
            open=_payments,
            check=_look,
            settings=SETTINGS,
        )
    ]


@asynccontextmanager
async def _payments(url: str, context: Context) -> AsyncIterator[Any]:
    from ticketkit_stripe.provider import open_payments

    async with open_payments(url, context) as payments:
        yield payments


async def _look(url: str, context: Context) -> Sequence[Finding]:
    from ticketkit_stripe.checks import look

    return await look(url, context)
