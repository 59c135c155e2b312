"""The front page: what is on, and from how much. A plugin with one route; the web client is elsewhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import anyio
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Route

from ticketkit.backends.storage import TicketQuery
from ticketkit.domain.entities import LiveEvent, LiveEventStatus, TicketStatus
from ticketkit.runtime.runtime import NotRunning

if TYPE_CHECKING:
    from starlette.requests import Request

    from ticketkit.domain.money import Money
    from ticketkit.marketplace import Marketplace

FRESH: Final = 30.0
"""Seconds for which the numbers on the page are shown again: counting reads every ticket that is for sale."""
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A live event on the page.

    Attributes:
        count: Tickets for sale.
        lowest: Price of the cheapest; None when nothing is left.
    """

    event: LiveEvent
    count: int
    lowest: Money | None

    @property
    def starts_at(self) -> datetime:
        """In the zone of the venue."""
        return self.event.starts_at.astimezone(ZoneInfo(self.event.zone))


class FrontPage:
    """Adds `/` to a marketplace: `Marketplace(plugins=[front])`, then `front.market = market`."""

    def __init__(self) -> None:
        self.market: Marketplace | None = None
        environment = Environment(loader=PackageLoader("ticketkit_marketplace"), autoescape=True)
        self._template = environment.get_template("front.html")
        self._style = (files("ticketkit_marketplace") / "templates" / "front.css").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
        self._lock = anyio.Lock()
        self._offers: list[Offer] = []
        self._until = float("-inf")

    def ticketkit_routes(self) -> list[BaseRoute]:
        """The hook."""
        return [Route("/", self._show)]

    async def _show(self, request: Request) -> HTMLResponse:
        if self.market is None:
            raise NotRunning
        async with self._lock:  # one counts, the others wait for its numbers
            if anyio.current_time() >= self._until:
                self._offers = await offers(self.market)
                self._until = anyio.current_time() + FRESH
        total = sum(offer.count for offer in self._offers)
        page = self._template.render(offers=self._offers, total=total, style=Markup(self._style))  # noqa: S704 - ours
        return HTMLResponse(page, headers={"content-security-policy": self._policy})


async def offers(market: Marketplace) -> list[Offer]:
    """All live events that take place, with what is for sale, by name."""
    events: list[LiveEvent] = []
    cursor = None
    while True:
        page = await market.tickets.live_events(limit=_PAGE, cursor=cursor)
        events += page.items
        if (cursor := page.next) is None:
            break
    on = [event for event in events if event.status is LiveEventStatus.SCHEDULED]
    return [await _offer(market, event) for event in sorted(on, key=lambda event: (event.name, event.starts_at))]


async def _offer(market: Marketplace, event: LiveEvent) -> Offer:
    count, lowest, cursor = 0, None, None
    while True:
        query = TicketQuery(event_id=event.id, status=TicketStatus.AVAILABLE, limit=_PAGE, cursor=cursor)
        page = await market.tickets.find(query)
        count += len(page.items)
        prices = [ticket.price for ticket in page.items]
        prices += [] if lowest is None else [lowest]
        lowest = min(prices, key=lambda price: price.major, default=None)
        if (cursor := page.next) is None:
            return Offer(event, count, lowest)
