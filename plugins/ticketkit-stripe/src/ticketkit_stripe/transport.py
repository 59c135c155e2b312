"""HTTP under Stripe's library: httpx with time-outs of our own.

Stripe's own client over httpx waits 80 seconds, tries twice, and sends forms in a way that httpx warns of.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

import httpx
import stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ticketkit_stripe.settings import Settings

CONNECTIONS: Final = 100
"""Most calls under way at once; Stripe limits them as well (docs.stripe.com/rate-limits)."""


class Transport(stripe.HTTPClient):
    """Sends requests; asynchronous ones only.

    Args:
        settings: Time-outs.
    """

    name = "ticketkit"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            verify=ssl.create_default_context(cafile=stripe.ca_bundle_path),
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request.

        Returns:
            Body, status and headers of the answer.

        Raises:
            stripe.APIConnectionError: There is none; its cause is httpx's error.
        """
        try:
            answer = await self._client.request(method, url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            message = f"{type(error).__name__}: {error}"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        """Close the connections."""
        await self._client.aclose()
