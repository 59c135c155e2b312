"""Orders by state, and one order with all that happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ticketkit.domain.entities import Order, OrderStatus
from ticketkit.ids import is_id
from ticketkit_marketplace.ops.pages.overview import ORDERS
from ticketkit_marketplace.ops.visit import HOME, Page, Visit
from ticketkit_marketplace.ops.wording import NONE

if TYPE_CHECKING:
    from starlette.responses import Response

    from ticketkit.backends.storage import Page as Part
    from ticketkit.backends.storage import Storage
    from ticketkit.domain.entities import Entity

PATH: Final = f"{HOME}/orders"
ON_A_PAGE: Final = 50
READ: Final = 200
"""Orders that are read at once."""
MOST_READ: Final = 5_000
"""Orders that are looked through for one page, before it asks whether to go on."""
_OPEN: Final = (OrderStatus.CREATED, OrderStatus.AWAITING_PAYMENT)


async def orders(visit: Visit) -> Response:
    """Orders, of one state or all. Open ones come by the end of their lock, others oldest first."""
    asked, state = visit.query.get("order", ""), visit.query.get("state", "")
    if is_id(asked.lower()):
        return visit.go(f"{PATH}/{asked.lower()}")
    wanted = OrderStatus(state) if state in ORDERS else None
    rows, read, cursor = await _some(visit.desk.inventory, wanted, visit.query.get("cursor") or None)
    query = {} if wanted is None else {"state": wanted.value}
    return visit.page(
        "orders.html",
        status=422 if asked else 200,
        orders=rows,
        read=read,
        wanted=wanted,
        states=ORDERS,
        asked=asked,
        first=f"{PATH}?{urlencode(query)}" if visit.query.get("cursor") else None,
        next=None if cursor is None else f"{PATH}?{urlencode({**query, 'cursor': cursor})}",
    )


async def order(visit: Visit) -> Response:
    """One order: what it is for, its charges, and all that happened to it."""
    story = await visit.desk.operations.story(visit.id)
    return visit.page(
        "order.html",
        story=story,
        order=story.order,
        tickets={ticket.id: ticket for ticket in story.tickets},
        states=ORDERS,
        none_known=NONE,
    )


async def _some(
    storage: Storage, wanted: OrderStatus | None, cursor: str | None
) -> tuple[list[Order], int, str | None]:
    """Orders of a state; how many were looked through; and the cursor of the rest."""
    rows: list[Order] = []
    read = 0
    while len(rows) < ON_A_PAGE and read < MOST_READ:
        part: Part[Order] | Part[Entity]
        if wanted in _OPEN:
            part = await storage.open_orders(limit=ON_A_PAGE, cursor=cursor)
        else:
            part = await storage.scan("order", limit=ON_A_PAGE if wanted is None else READ, cursor=cursor)
        read += len(part.items)
        rows += [one for one in part.items if isinstance(one, Order) and wanted in (None, one.status)]
        cursor = part.next
        if cursor is None:
            break
    return rows, read, cursor


PAGES: Final = (
    Page(path="/orders", show=orders),
    Page(path="/orders/{id}", show=order),
)
"""The pages of this subject."""
