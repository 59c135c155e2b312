"""What ticketkit finds of this distribution. Light: the driver is imported when a backend is opened."""

from __future__ import annotations

from ticketkit.backends.spec import Backend


def ticketkit_backends() -> list[Backend]:
    """The backends of this distribution."""
    return []
