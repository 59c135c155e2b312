"""A payment provider with a planted bug as a plugin of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ticketkit.backends.spec import Backend, BackendKind, Capability, Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ticketkit.memory import FakePayments


class PaymentsPlugin:
    """Opens one variant of the fake provider: by a scheme of its own: `planted-key-late:///path/books.jsonl`.

    Args:
        scheme: `planted-refund-above-capture`.
        provider: The variant.
    """

    def __init__(self, scheme: str, provider: type[FakePayments]) -> None:
        self.scheme = scheme
        self._provider = provider
        self.__name__ = scheme

    def ticketkit_backends(self) -> list[Backend]:
        capabilities = frozenset({Capability.SIGNED_TIME, Capability.DURABLE})
        return [
            Backend(
                kind=BackendKind.PAYMENTS,
                name=self.scheme,
                schemes=(self.scheme,),
                capabilities=capabilities,
                open=self._open,
            )
        ]

    @asynccontextmanager
    async def _open(self, url: str, context: Context) -> AsyncIterator[FakePayments]:
        async with self._provider(context.clock, context.new_id, journal=urlsplit(url).path) as provider:
            yield provider
