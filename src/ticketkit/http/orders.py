"""Routes of orders."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ticketkit.domain.errors import DomainError
from ticketkit.http import shapes
from ticketkit.http.bodies import Json
from ticketkit.http.inputs import KeptTickets, NewOrder, ShownPass
from ticketkit.http.operation import Answer, Call, Operation
from ticketkit.http.paging import LINK, Paged, page
from ticketkit.services.catalogue import ServiceName

_CLOSED: Final = ("order_expired", "order_awaiting_payment", "order_completed", "order_cancelled")


async def place_order(call: Call[NewOrder, None]) -> Response:
    """Lock tickets."""
    body = call.body
    try:
        placed = await call.shop.orders.place(call.user_id, body.ids, command_key=call.key)
    except DomainError as error:
        if error.field == "ticket_ids" and body.ticket_id is not None:
            error.field = "ticket_id"
        raise
    return Json(shapes.order(placed), status_code=201)


async def find_orders(call: Call[None, Paged]) -> Response:
    """The caller's orders."""
    placed, cursor = await call.shop.orders.mine(call.user_id, limit=call.query.limit, cursor=call.query.cursor)
    return page(call.request, [shapes.order(one) for one in placed], cursor)


async def get_order(call: Call[None, None]) -> Response:
    """An order of the caller."""
    return Json(shapes.order(await call.shop.orders.get(call.user_id, call.id)))


async def keep_tickets(call: Call[KeptTickets, None]) -> Response:
    """Free all tickets but some."""
    return Json(shapes.order(await call.shop.orders.keep(call.user_id, call.id, call.body.ticket_ids)))


async def extend_order(call: Call[None, None]) -> Response:
    """Give the buyer more time."""
    return Json(shapes.order(await call.shop.orders.prolong(call.user_id, call.id, command_key=call.key)))


async def get_passes(call: Call[None, None]) -> Response:
    """The passes of a paid order."""
    passes = await call.shop.orders.passes(call.user_id, call.id)
    return Json([{"ticketId": id, "pass": text} for id, text in passes.items()])


async def admit(call: Call[ShownPass, None]) -> Response:
    """Let the holder of a pass in."""
    return Json(shapes.admission(await call.shop.orders.admit(call.owner_id, call.body.text)))


async def cancel_order(call: Call[None, None]) -> Response:
    """Cancel an order."""
    await call.shop.orders.cancel(call.user_id, call.id)
    return Response(status_code=204)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/orders",
        tag=ServiceName.ORDERS,
        summary="Order tickets",
        description="Locks them for the caller, all or none, until `expiresAt`; 409 at once if somebody was faster.",
        handler=place_order,
        body=NewOrder,
        signed_in=True,
        keyed=True,
        answers={201: Answer(what="The order.", shape=shapes.Order)},
        errors={
            400: ("ticket_twice", "too_many_tickets", "mixed_currencies"),
            404: ("ticket_not_found",),
            409: (
                "ticket_locked",
                "ticket_sold",
                "ticket_withdrawn",
                "own_ticket",
                "not_on_sale_yet",
                "sales_paused",
                "live_event_started",
                "live_event_cancelled",
                "too_many_on_hold",
            ),
        },
    ),
    Operation(
        method="GET",
        path="/api/orders",
        tag=ServiceName.ORDERS,
        summary="One's own orders",
        handler=find_orders,
        query=Paged,
        signed_in=True,
        answers={200: Answer(what="The caller's orders, newest first.", shape=list[shapes.Order], headers=LINK)},
    ),
    Operation(
        method="GET",
        path="/api/orders/{id}",
        tag=ServiceName.ORDERS,
        summary="An order of one's own",
        handler=get_order,
        signed_in=True,
        answers={200: Answer(what="The order.", shape=shapes.Order)},
        errors={404: ("order_not_found",)},
    ),
    Operation(
        method="PATCH",
        path="/api/orders/{id}",
        tag=ServiceName.ORDERS,
        summary="Free all tickets of an order but some",
        handler=keep_tickets,
        body=KeptTickets,
        signed_in=True,
        answers={200: Answer(what="The order.", shape=shapes.Order)},
        errors={400: ("ticket_not_in_order",), 404: ("order_not_found",), 409: _CLOSED},
    ),
    Operation(
        method="POST",
        path="/api/orders/{id}/extend",
        tag=ServiceName.ORDERS,
        summary="More time for an order",
        description="As much, as often and as long as the policy of the order says.",
        handler=extend_order,
        signed_in=True,
        keyed=True,
        answers={200: Answer(what="The order.", shape=shapes.Order)},
        errors={404: ("order_not_found",), 409: (*_CLOSED, "extended_already")},
    ),
    Operation(
        method="GET",
        path="/api/orders/{id}/passes",
        tag=ServiceName.ORDERS,
        summary="Passes of a paid order",
        description="What its buyer shows at the door, one for each ticket.",
        handler=get_passes,
        signed_in=True,
        answers={200: Answer(what="The passes.", shape=list[shapes.Pass])},
        errors={404: ("order_not_found",), 409: ("order_not_completed", "order_refunded")},
    ),
    Operation(
        method="POST",
        path="/api/passes/admissions",
        tag=ServiceName.ORDERS,
        summary="Let the holder of a pass in, once",
        description="By the seller of the ticket, who announced the live event, or an operator.",
        handler=admit,
        body=ShownPass,
        signed_in=True,
        answers={200: Answer(what="Let them in.", shape=shapes.Admission)},
        errors={
            400: ("invalid_pass",),
            403: ("not_the_seller",),
            404: ("ticket_not_found",),
            409: ("pass_void", "admitted_already"),
        },
    ),
    Operation(
        method="DELETE",
        path="/api/orders/{id}",
        tag=ServiceName.ORDERS,
        summary="Cancel an order",
        description="Its tickets are free at once. Cancelling it again changes nothing.",
        handler=cancel_order,
        signed_in=True,
        answers={204: Answer(what="Cancelled.")},
        errors={404: ("order_not_found",), 409: ("order_awaiting_payment", "order_completed")},
    ),
)
"""The table of these routes."""
