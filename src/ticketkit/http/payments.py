"""Routes of payments."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from ticketkit.domain.entities import Charge, ChargeStatus, RefundStatus
from ticketkit.domain.errors import Forbidden
from ticketkit.domain.payments import another_card
from ticketkit.http import shapes
from ticketkit.http.bodies import Json, read
from ticketkit.http.inputs import NewPayment, NewRefund, PaymentsQuery
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
        return await _failed(call, charge)
    shape = shapes.charge(charge, await call.shop.payments.refunds(charge))
    if charge.status is ChargeStatus.COMPLETED:
        return Json(shape, status_code=201)
    return _later(call, shape, charge.id)


async def get_payment(call: Call[None, None]) -> Response:
    """A charge of the caller, of the seller of all its tickets, or of an operator."""
    charge, refunds = await call.shop.payments.get(call.user_id, call.id, operator=call.owner_id is None)
    return Json(shapes.charge(charge, refunds))


async def find_payments(call: Call[None, PaymentsQuery]) -> Response:
    """The charges of an order of the caller, of the seller of all its tickets, or of an operator."""
    found = await call.shop.payments.of_order(call.user_id, call.query.order_id, operator=call.owner_id is None)
    return Json([shapes.charge(charge, refunds) for charge, refunds in found])


async def find_repairs(call: Call[None, None]) -> Response:
    """What needs people, as this process of payments knows it."""
    if call.owner_id is not None:
        msg = "Only operators see what needs people."
        raise Forbidden(msg, code="not_an_operator")
    return Json([shapes.finding(found) for found in call.shop.payments.to_repair])


async def refund_payment(call: Call[NewRefund, None]) -> Response:
    """Give a payment back."""
    refund = await call.shop.payments.refund(
        call.id,
        actor=call.user_id,
        seller_id=call.owner_id,
        amount=call.body.amount,
        reason=call.body.reason,
        command_key=call.key,
    )
    if refund.status is RefundStatus.FAILED:
        values = {"charge_id": refund.charge_id, "refund_id": refund.id, "provider_code": refund.code}
        return Problem(409, "refund_refused", "The payment provider refused to give it back.", values=values)
    shape = shapes.refund(refund)
    if refund.status is RefundStatus.COMPLETED:
        return Json(shape, status_code=201, headers={"location": _where(call, refund.charge_id)})
    return _later(call, shape, refund.charge_id)


async def receive_webhook(call: Call[None, None]) -> Response:
    """Take a webhook of the payment provider."""
    payments = call.shop.payments
    provider = call.request.path_params["provider"]
    if provider != payments.provider.name:
        raise Refusal(404, "unknown_provider", "Payments go by another provider here.")
    body = await read(call.request, limit=MEBIBYTE)
    new = await payments.receive_webhook(dict(call.request.headers), body)
    return Json({"received": new})


def _later(call: Call[Any, Any], shape: shapes.Charge | shapes.Refund, charge_id: str) -> Json:
    """What is not decided yet, and where to look."""
    return Json(shape, status_code=202, headers={"location": _where(call, charge_id), "retry-after": "1"})


def _where(call: Call[Any, Any], charge_id: str) -> str:
    return path_of(call.request, f"/api/payments/{charge_id}")


async def _failed(call: Call[Any, Any], charge: Charge) -> Problem:
    values = {"charge_id": charge.id, "order_id": charge.order_id}
    if charge.declined:
        code = charge.code or "card_declined"
        copy = await call.shop.payments.copy(charge.order_id)
        if copy is not None and another_card(copy, call.shop.clock.now()):
            values |= {"order_state": copy.status.value, "expires_at": shapes.time(copy.expires_at)}
        return Problem(402, code, _DECLINES.get(code, "The payment was declined. You were not charged."), values=values)
    code = charge.code or "charge_failed"
    return Problem(409, code, _GONE.get(code, "The payment failed. You were not charged."), values=values)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/payments",
        tag=ServiceName.PAYMENTS,
        summary="Pay for an order",
        description=(
            "A declined payment is 402 with the provider's code, and names the charge in `chargeId`. Where the order "
            "goes on, so that another card can be tried, `orderState` is `created` and `expiresAt` says until when."
        ),
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
            503: ("payments_busy",),
        },
    ),
    Operation(
        method="GET",
        path="/api/payments",
        tag=ServiceName.PAYMENTS,
        summary="The charges of an order",
        description=(
            "Its buyer sees them, the seller of all its tickets (a ticket names its order: `orderId`), and operators; "
            "`action` is for the buyer alone. An order that was placed this moment may still be unknown here."
        ),
        handler=find_payments,
        query=PaymentsQuery,
        signed_in=True,
        answers={200: Answer(what="The charges with their refunds, oldest first.", shape=list[shapes.Charge])},
        errors={404: ("order_not_found",)},
    ),
    Operation(
        method="GET",
        path="/api/payments/to-repair",
        tag=ServiceName.PAYMENTS,
        summary="Payments that need people",
        description=(
            "For operators: what the reconciler can't end by itself, and how it is ended. It is what this process of "
            "payments knows; after a start it is found again within 5 minutes."
        ),
        handler=find_repairs,
        signed_in=True,
        answers={200: Answer(what="The findings.", shape=list[shapes.Finding])},
        errors={403: ("not_an_operator",)},
    ),
    Operation(
        method="GET",
        path="/api/payments/{id}",
        tag=ServiceName.PAYMENTS,
        summary="A charge of one's own, or of one's own tickets",
        description="Its buyer sees it, the seller of all its tickets, and operators; `action` is for the buyer alone.",
        handler=get_payment,
        signed_in=True,
        answers={200: Answer(what="The charge with its refunds.", shape=shapes.Charge)},
        errors={404: ("charge_not_found",)},
    ),
    Operation(
        method="POST",
        path="/api/payments/{id}/refunds",
        tag=ServiceName.PAYMENTS,
        summary="Give a payment back, all or part",
        description=(
            "By the seller of all its tickets, or an operator. When all is given back, the tickets are for sale again, "
            "or stay sold, by the policy of the order. A refusal of the provider is `refund_refused`, with the "
            "provider's own code in `providerCode`."
        ),
        handler=refund_payment,
        body=NewRefund,
        body_optional=True,
        signed_in=True,
        keyed=True,
        answers={
            201: Answer(
                what="Given back: the refund is completed.", shape=shapes.Refund, headers={"Location": "The charge."}
            ),
            202: Answer(
                what="Begun, and carried out when the provider answers: look at the charge again.",
                shape=shapes.Refund,
                headers={"Location": "The charge.", "Retry-After": "Seconds."},
            ),
        },
        errors={
            400: ("invalid_money", "too_many_digits", "amount_out_of_range"),
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
