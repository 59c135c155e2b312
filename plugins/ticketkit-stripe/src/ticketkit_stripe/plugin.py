"""What ticketkit finds of this distribution. Light: the driver is imported when the backend is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ticketkit.backends.spec import Backend


def ticketkit_backends() -> list[Backend]:
    """Payments by Stripe."""
    return []
