"""The calls of Stripe's API that the simulator answers, and the parameters it models of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_EXPAND: Final = frozenset({"expand"})
_PAGE: Final = frozenset({"created", "ending_before", "expand", "limit", "starting_after"})
_METHOD: Final = frozenset({"payment_method", "payment_method_data", "payment_method_options"})
_LABELS: Final = frozenset(
    {
        "description",
        "metadata",
        "receipt_email",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_group",
    }
)
_CONFIRM: Final = frozenset({"error_on_requires_action", "off_session", "return_url", "use_stripe_sdk"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API.

    Attributes:
        name: Resource and verb, as stripe-python has them.
        method: Of HTTP.
        path: With `{id}`.
        params: Class of stripe-python that types its parameters.
        models: The parameters that have an effect here; another one that Stripe has is refused, not ignored.
        port: What ticketkit calls it, in faults: `prepare`, `authorize`, `capture`, `void`, `refund`, `retrieve`; or
            `list`, `update`, `other`.
    """

    name: str
    method: str
    path: str
    params: str
    models: frozenset[str]
    port: str = "other"

    @property
    def module(self) -> str:
        """Where the class of its parameters is."""
        return "stripe.params._" + re.sub(r"(?<!^)(?=[A-Z])", "_", self.params).lower()


_INTENTS: Final = "/v1/payment_intents"

OPERATIONS: Final = (
    Operation(
        "payment_intents.create",
        "POST",
        _INTENTS,
        "PaymentIntentCreateParams",
        _EXPAND
        | _METHOD
        | _LABELS
        | _CONFIRM
        | {"amount", "automatic_payment_methods", "capture_method", "confirm", "confirmation_method", "currency"}
        | {"allowed_payment_method_types"},
        "prepare",
    ),
    Operation(
        "payment_intents.retrieve",
        "GET",
        f"{_INTENTS}/{{id}}",
        "PaymentIntentRetrieveParams",
        _EXPAND | {"client_secret"},
        "retrieve",
    ),
    Operation("payment_intents.list", "GET", _INTENTS, "PaymentIntentListParams", _PAGE, "list"),
    Operation(
        "payment_intents.update",
        "POST",
        f"{_INTENTS}/{{id}}",
        "PaymentIntentUpdateParams",
        _EXPAND | _METHOD | _LABELS | {"amount", "capture_method", "currency", "allowed_payment_method_types"},
        "update",
    ),
    Operation(
        "payment_intents.confirm",
        "POST",
        f"{_INTENTS}/{{id}}/confirm",
        "PaymentIntentConfirmParams",
        _EXPAND | _METHOD | _CONFIRM | {"capture_method", "receipt_email"},
        "authorize",
    ),
    Operation(
        "payment_intents.capture",
        "POST",
        f"{_INTENTS}/{{id}}/capture",
        "PaymentIntentCaptureParams",
        _EXPAND | {"amount_to_capture", "final_capture", "metadata", "statement_descriptor_suffix"},
        "capture",
    ),
    Operation(
        "payment_intents.cancel",
        "POST",
        f"{_INTENTS}/{{id}}/cancel",
        "PaymentIntentCancelParams",
        _EXPAND | {"cancellation_reason"},
        "void",
    ),
    Operation(
        "refunds.create",
        "POST",
        "/v1/refunds",
        "RefundCreateParams",
        _EXPAND | {"amount", "charge", "metadata", "payment_intent", "reason"},
        "refund",
    ),
    Operation("refunds.retrieve", "GET", "/v1/refunds/{id}", "RefundRetrieveParams", _EXPAND, "retrieve"),
    Operation("refunds.list", "GET", "/v1/refunds", "RefundListParams", _PAGE | {"charge", "payment_intent"}, "list"),
    Operation("charges.retrieve", "GET", "/v1/charges/{id}", "ChargeRetrieveParams", _EXPAND, "retrieve"),
    Operation("charges.list", "GET", "/v1/charges", "ChargeListParams", _PAGE | {"payment_intent"}, "list"),
    Operation("events.retrieve", "GET", "/v1/events/{id}", "EventRetrieveParams", _EXPAND),
    Operation(
        "events.list", "GET", "/v1/events", "EventListParams", _PAGE | {"delivery_success", "type", "types"}, "list"
    ),
    Operation(
        "payment_methods.create", "POST", "/v1/payment_methods", "PaymentMethodCreateParams", _EXPAND | {"card", "type"}
    ),
    Operation("payment_methods.retrieve", "GET", "/v1/payment_methods/{id}", "PaymentMethodRetrieveParams", _EXPAND),
    Operation("balance.retrieve", "GET", "/v1/balance", "BalanceRetrieveParams", _EXPAND),
    Operation("account.retrieve", "GET", "/v1/account", "AccountRetrieveCurrentParams", _EXPAND),
    Operation("webhook_endpoints.list", "GET", "/v1/webhook_endpoints", "WebhookEndpointListParams", _PAGE, "list"),
    Operation(
        "webhook_endpoints.retrieve", "GET", "/v1/webhook_endpoints/{id}", "WebhookEndpointRetrieveParams", _EXPAND
    ),
)

PORTS: Final = frozenset(operation.port for operation in OPERATIONS)
"""What a fault may be aimed at."""
