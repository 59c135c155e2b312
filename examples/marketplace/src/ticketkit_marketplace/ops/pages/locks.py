"""Locks: who holds tickets, for how long still, and ending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ticketkit.domain.entities import Order, OrderStatus
from ticketkit.domain.errors import NotFound
from ticketkit_marketplace.ops.visit import HOME, Page, Visit
from ticketkit_marketplace.web.forms import Form

if TYPE_CHECKING:
    from starlette.responses import Response

PATH: Final = f"{HOME}/locks"
ON_A_PAGE: Final = 50


async def locks(visit: Visit) -> Response:
    """The orders that hold tickets, soonest end first."""
    page = await visit.desk.operations.locks(limit=ON_A_PAGE, cursor=visit.query.get("cursor") or None)
    return visit.page(
        "locks.html",
        orders=page.items,
        first=PATH if visit.query.get("cursor") else None,
        next=None if page.next is None else f"{PATH}?{urlencode({'cursor': page.next})}",
    )


async def ask(visit: Visit) -> Response:
    """Whether a lock is to be released."""
    order = await found(visit)
    return visit.page("release.html", order=order, form=Form(), may=order.status is OrderStatus.CREATED)


async def release(visit: Visit) -> Response:
    """Release a lock: its order is over, its tickets are for sale again."""
    await visit.form()
    order = await visit.desk.operations.release(visit.id, actor=visit.me.id)
    visit.note("released a lock", order_id=order.id, tickets=list(order.ticket_ids))
    return visit.go(PATH, done="released")


async def found(visit: Visit) -> Order:
    """The order of the path.

    Raises:
        NotFound: There is none.
    """
    key = Order.key(visit.id)
    order = (await visit.desk.inventory.get([key])).get(key)
    if not isinstance(order, Order):
        msg = f"There is no order {visit.id}."
        raise NotFound(msg, code="order_not_found", order_id=visit.id)
    return order


PAGES: Final = (
    Page(path="/locks", show=locks),
    Page(path="/locks/{id}/release", show=ask, submit=release),
)
"""The pages of this subject."""
