"""The pages, one module a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit_marketplace.ops.pages import account, events, letters, locks, orders, overview, payments

if TYPE_CHECKING:
    from ticketkit_marketplace.ops.visit import Page

PAGES: Final[tuple[Page, ...]] = (
    *overview.PAGES,
    *account.PAGES,
    *orders.PAGES,
    *locks.PAGES,
    *events.PAGES,
    *letters.PAGES,
    *payments.PAGES,
)
"""All of them; what has no id in its path comes before what has."""
