"""The pages, one module a subject."""

from __future__ import annotations

from typing import Final

from ticketkit_marketplace.web.pages import account, catalogue, door, files, listings, orders, paying, selling
from ticketkit_marketplace.web.visit import Page

PAGES: Final[tuple[Page, ...]] = (
    *catalogue.PAGES,
    *account.PAGES,
    *selling.PAGES,
    *files.PAGES,
    *listings.PAGES,
    *orders.PAGES,
    *paying.PAGES,
    *door.PAGES,
)
"""All of them; what has no id in its path comes before what has."""
