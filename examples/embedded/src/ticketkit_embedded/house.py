"""The theatre in one place: its members, its marketplace, its receipts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from ticketkit import Marketplace, Policy
from ticketkit.events.catalogue import OrderCompleted
from ticketkit_embedded.database import Database
from ticketkit_embedded.fees import ServiceFee
from ticketkit_embedded.members import Members
from ticketkit_embedded.receipts import Receipts
from ticketkit_embedded.season import list_season
from ticketkit_embedded.two_each import TwoEach

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class House:
    """Everything that the routes need.

    Args:
        url: Of the database, of the app's tables and ticketkit's.
        payments: ticketkit's payment provider.
    """

    def __init__(self, url: str, *, payments: str = "fake") -> None:
        self.database = Database(url)
        self.members = Members(self.database)
        self.receipts = Receipts(self.database)
        rule = TwoEach()
        self.market = rule.market = Marketplace(
            url,
            payments=payments,
            identity=self.members.who_is_asking,
            policy=Policy(hold=timedelta(minutes=10)),
            plugins=[rule, ServiceFee()],
        )
        self.market.on(OrderCompleted, consumer="receipts")(self.receipts.write)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the database, run the marketplace in it, and put the season on sale."""
        async with self.database, self.market:
            await list_season(self.market)
            yield
