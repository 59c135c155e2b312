"""A shop whose books are checked after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.services.books import check
from tests.services.shop import Shop

from ticketkit.marketplace import Marketplace


@pytest.fixture
async def shop(market: Marketplace) -> AsyncIterator[Shop]:
    """A shop; at the end faults are over, time goes by until all is quiet, and the books must agree."""
    shop = Shop(market)
    yield shop
    shop.provider.faults.available()
    shop.provider.faults.slow(0)
    for _ in range(25):
        await shop.clock.advance(minutes=1)
        try:
            await check(shop.inventory, shop.payments, shop.provider.books())
        except AssertionError:
            continue
        return
    await check(shop.inventory, shop.payments, shop.provider.books())
