"""The pages, one module a subject."""

from __future__ import annotations

from typing import Final

from ticketkit_marketplace.web.pages import account, catalogue
from ticketkit_marketplace.web.visit import Page

PAGES: Final[tuple[Page, ...]] = (*catalogue.PAGES, *account.PAGES)
"""All of them."""
