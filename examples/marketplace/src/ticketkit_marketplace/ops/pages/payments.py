"""Payments that need people: what is wrong with each, and the repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit_marketplace.ops.visit import Page, Visit

if TYPE_CHECKING:
    from starlette.responses import Response


async def payments(visit: Visit) -> Response:
    """What the reconciler can't end by itself, as payments knows it."""
    found = await visit.api.get("/api/payments/to-repair")
    return visit.page("payments.html", findings=found)


PAGES: Final = (Page(path="/payments", show=payments),)
"""The pages of this subject."""
