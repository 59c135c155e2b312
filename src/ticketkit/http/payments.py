"""Routes of payments."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ticketkit.domain.entities import Charge, ChargeStatus, RefundStatus
from ticketkit.http import shapes
from ticketkit.http.bodies import Json, read
from ticketkit.http.inputs import NewPayment, NewRefund
from ticketkit.http.operation import MEBIBYTE, Answer, Call, Operation
from ticketkit.http.paging import path_of
from ticketkit.http.problems import Problem, Refusal
from ticketkit.services.catalogue import ServiceName

WEBHOOKS: Final = "/api/payments/webhooks/"

_DECLINES: Final = {
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The card's security code is incorrect.",
}
_GONE: Final = {
    "order_expired": "The order has expired. You were not charged.",
    "order_cancelled": "The order is cancelled. You were not charged.",
    "superseded": "The order is paid by another payment. You were not charged by this one.",
    "order_changed": "The order was changed meanwhile. You were not charged.",
}


async def pay(call: Call[NewPayment, None]) -> Response:
    """Pay for an order."""
    body = call.body
    charge = await call.shop.payments.pay(call.user_id, body.order_id, token=body.token, command_key=call.key)
    if charge.status is ChargeStatus.FAILED:
        return _failed(charge)
    shape = shapes.charge(charge, await call.shop.payments.refunds(charge))
    if charge.status is ChargeStatus.COMPLETED:
        return Json(shape, status_code=201)
    where = path_of(call.request, f"/api/payments/{charge.id}")
    return Json(shape, status_code=202, headers={"location": where, "retry-after": "1"})


async def get_payment(call: Call[None, None]) -> Response:
    """A charge that the caller paid or was paid by, or of anybody for an operator."""
    charge, refunds = await call.shop.payments.get(call.owner_id, call.id)
    shape = shapes.charge(charge, refunds)
    if charge.buyer_id != call.user_id:
        shape.pop("action", None)  # what the buyer's client goes on with is the buyer's alone
    return Json(shape)


async def refund_payment(call: Call[NewRefund, None]) -> Response:
    """Give money back."""
    found = await call.shop.payments.refund(
        call.id,
        actor=call.user_id,
        seller_id=call.owner_id,
        amount=call.body.amount,
        reason=call.body.reason,
        command_key=call.key,
    )
    where = path_of(call.request, f"/api/payments/{call.id}")
    if found.status is RefundStatus.FAILED:
        code = found.code or "refund_refused"
        message = "The payment provider refused the refund. Nothing was given back."
        return Problem(409, "refund_refused", message, values={"refund_id": found.id, "reason_code": code})
    if found.status is RefundStatus.COMPLETED:
        return Json(shapes.refund(found), status_code=201, headers={"location": where})
    return Json(shapes.refund(found), status_code=202, headers={"location": where, "retry-after": "1"})


async def receive_webhook(call: Call[None, None]) -> Response:
    """Take a webhook of the payment provider."""
    payments = call.shop.payments
    provider = call.request.path_params["provider"]
    if provider != payments.provider.name:
        raise Refusal(404, "unknown_provider", "Payments go by another provider here.")
    body = await read(call.request, limit=MEBIBYTE)
    new = await payments.receive_webhook(dict(call.request.headers), body)
    return Json({"received": new})


def _failed(charge: Charge) -> Problem:
    values = {"charge_id": charge.id, "order_id": charge.order_id}
    if charge.declined:
        code = charge.code or "card_declined"
        return Problem(402, code, _DECLINES.get(code, "The payment was declined. You were not charged."), values=values)
    code = charge.code or "charge_failed"
    return Problem(409, code, _GONE.get(code, "The payment failed. You were not charged."), values=values)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/payments",
        tag=ServiceName.PAYMENTS,
        summary="Pay for an order",
        description="A declined payment is 402 with the provider's code, and names the charge in `chargeId`.",
        handler=pay,
        body=NewPayment,
        signed_in=True,
        keyed=True,
        answers={
            201: Answer(what="Paid: the charge is completed.", shape=shapes.Charge),
            202: Answer(
                what="Not decided yet, or the buyer has to act: see `action`, and look again.",
                shape=shapes.Charge,
                headers={"Location": "The charge.", "Retry-After": "Seconds."},
            ),
        },
        errors={
            402: ("card_declined", "insufficient_funds", "expired_card"),
            404: ("order_not_found",),
            409: (
                "order_expired",
                "order_cancelled",
                "order_completed",
                "order_changed",
                "superseded",
                "payment_under_way",
                "voided",
            ),
        },
    ),
    Operation(
        method="GET",
        path="/api/payments/{id}",
        tag=ServiceName.PAYMENTS,
        summary="A charge of one's own",
        description="Also of all one's own tickets, for their seller; of everybody, for an operator.",
        handler=get_payment,
        signed_in=True,
        answers={200: Answer(what="The charge with its refunds.", shape=shapes.Charge)},
        errors={404: ("charge_not_found",)},
    ),
    Operation(
        method="POST",
        path="/api/payments/{id}/refunds",
        tag=ServiceName.PAYMENTS,
        summary="Give money back, all or part",
        description="By the seller of all its tickets, or an operator; never more than was taken. "
        "A full refund frees the tickets, if the policy of the order says so.",
        handler=refund_payment,
        body=NewRefund,
        body_optional=True,
        signed_in=True,
        keyed=True,
        answers={
            201: Answer(what="Given back.", shape=shapes.Refund, headers={"Location": "The charge."}),
            202: Answer(
                what="Not decided yet: look at the charge again.",
                shape=shapes.Refund,
                headers={"Location": "The charge.", "Retry-After": "Seconds."},
            ),
        },
        errors={
            400: ("too_many_digits", "amount_out_of_range", "invalid_money"),
            403: ("not_the_seller", "several_sellers"),
            404: ("charge_not_found",),
            409: ("charge_not_completed", "refund_above_charge", "refund_refused"),
        },
    ),
    Operation(
        method="POST",
        path=WEBHOOKS + "{provider}",
        tag=ServiceName.PAYMENTS,
        summary="Webhook of the payment provider",
        description="Stored when it is answered; applied afterwards.",
        handler=receive_webhook,
        raw=True,
        limit=MEBIBYTE,
        cross_site=True,
        answers={200: Answer(what="Stored.", shape=shapes.Received)},
        errors={400: ("bad_webhook",), 404: ("unknown_provider",)},
    ),
)
"""The table of these routes."""
