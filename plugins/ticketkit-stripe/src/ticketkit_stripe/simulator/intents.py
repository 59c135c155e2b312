"""PaymentIntents: the state machine of docs.stripe.com/payments/paymentintents/lifecycle."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from ticketkit_stripe.simulator import methods
from ticketkit_stripe.simulator.attempts import Attempts, Terms
from ticketkit_stripe.simulator.books import Books
from ticketkit_stripe.simulator.labels import merged_metadata, read_labels
from ticketkit_stripe.simulator.methods import CARD, Decline, Method
from ticketkit_stripe.simulator.objects import Intent
from ticketkit_stripe.simulator.refusals import Refusal, missing, unexpected_state

CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE: Final = (*CONFIRMABLE, "requires_capture")
FINAL: Final = ("succeeded", "canceled")
LEAST: Final = 50
"""Minor units; Stripe's least amount in US dollars, here of every currency."""
MOST: Final = 99_999_999
_NEEDS_CONFIRM: Final = ("error_on_requires_action", "off_session", "return_url")


class Intents:
    """The calls under `/v1/payment_intents`."""

    def __init__(self, books: Books, attempts: Attempts) -> None:
        self._books, self._attempts = books, attempts

    def create(self, params: dict[str, Any], *, refuse: Decline | None = None) -> Intent:
        """Make an intent; with `confirm` it is confirmed at once.

        Raises:
            Refusal: The parameters don't fit together; or, with `confirm`, 402.
        """
        confirm = params.get("confirm", False)
        for name in _NEEDS_CONFIRM:
            if name in params and not confirm:
                raise Refusal(f"{name} is for a call with confirm=true.", param=name, code="parameter_missing")
        intent = self._new(params)
        method = self._given_method(params)
        if method is not None:
            _fit(intent, method)
            intent.method, intent.status = method, "requires_confirmation"
        terms = _terms(intent, method, params, refuse) if confirm else None
        self._books.intents[intent.id] = intent
        self._books.happened("payment_intent.created", intent)
        if terms is not None:
            self._attempts.begin(intent, terms)
        return intent

    def update(self, id: str, params: dict[str, Any]) -> Intent:
        """Change an intent that has not been confirmed; afterwards only its labels.

        Raises:
            Refusal: It may not be changed any more, or not to that.
        """
        changed = self._draft(id)
        if params.keys() - {"expand", "metadata", "description"} and changed.status not in CONFIRMABLE:
            raise unexpected_state(changed.shown(), "change", CONFIRMABLE)
        changed.amount = _amount(params.get("amount", changed.amount))
        changed.currency = _currency(params.get("currency", changed.currency))
        changed.allowed = params.get("allowed_payment_method_types", changed.allowed)
        self._set_capture(changed, params)
        changed.metadata = merged_metadata(changed.metadata, params.get("metadata", {}))
        changed.labels = changed.labels | read_labels(params)
        method = self._given_method(params)
        if method is not None:
            _fit(changed, method)
            changed.method, changed.status, changed.next_action = method, "requires_confirmation", None
        self._books.intents[id] = changed
        return changed

    def confirm(self, id: str, params: dict[str, Any], *, refuse: Decline | None = None) -> Intent:
        """Try to take or hold the money.

        Raises:
            Refusal: 400: it can't be confirmed now, or the method does not fit; 402: the bank says no.
        """
        intent = self._draft(id)
        if intent.status not in CONFIRMABLE:
            raise unexpected_state(intent.shown(), "confirm", CONFIRMABLE)
        self._set_capture(intent, params)
        intent.labels = intent.labels | read_labels(params)
        method = self._given_method(params) or intent.method
        terms = _terms(intent, method, params, refuse)
        self._books.intents[id] = intent
        self._attempts.begin(intent, terms)
        return intent

    def capture(self, id: str, params: dict[str, Any], *, refuse: Decline | None = None) -> Intent:
        """Take what is held, or a part of it; the rest is released.

        Raises:
            Refusal: 400: nothing is held, or not so much; 402: the bank refuses, and the hold is gone.
        """
        intent = self._books.intent(id)
        if intent.status != "requires_capture" or intent.latest_charge is None:
            raise unexpected_state(intent.shown(), "capture", ("requires_capture",))
        if params.get("final_capture") is False:
            raise Refusal("Capturing more than once is not enabled for this payment.", param="final_capture")
        amount = params.get("amount_to_capture", intent.amount_capturable)
        if not 0 < amount <= intent.amount_capturable:
            code = "amount_too_large" if amount > 0 else "parameter_invalid_integer"
            raise Refusal(f"{intent.amount_capturable} can be captured.", code=code, param="amount_to_capture")
        intent.metadata = merged_metadata(intent.metadata, params.get("metadata", {}))
        intent.labels = intent.labels | read_labels(params)
        charge = self._books.charge(intent.latest_charge)
        no = refuse or charge.method.behaviour.capture
        if no is not None:
            self._books.move("release", intent.id, charge.amount)
            intent.amount_capturable = 0
            raise self._attempts.fail(intent, no, charge=charge)
        self._attempts.capture(intent, charge, amount)
        return intent

    def cancel(self, id: str, params: dict[str, Any]) -> Intent:
        """End an intent; what is held is released.

        Raises:
            Refusal: It has succeeded, is canceled already, or the bank is deciding.
        """
        intent = self._books.intent(id)
        if intent.status not in CANCELABLE:
            raise unexpected_state(intent.shown(), "cancel", CANCELABLE)
        self.end(intent, params.get("cancellation_reason"))
        return intent

    def end(self, intent: Intent, reason: str | None) -> None:
        """Cancel an intent that may be canceled."""
        self._attempts.release(intent)
        intent.status, intent.next_action = "canceled", None
        intent.canceled_at, intent.cancellation_reason = self._books.at(), reason
        self._books.happened("payment_intent.canceled", intent)

    def _draft(self, id: str) -> Intent:
        """The intent to change: one that is refused halfway leaves the books as they were."""
        return replace(self._books.intent(id))

    def _new(self, params: dict[str, Any]) -> Intent:
        id = self._books.new_id("pi")
        allowed = params.get("allowed_payment_method_types")
        if allowed is not None and "automatic_payment_methods" in params:
            raise Refusal(
                "automatic_payment_methods and allowed_payment_method_types exclude each other.",
                code="parameters_exclusive",
                param="allowed_payment_method_types",
            )
        intent = Intent(
            id=id,
            client_secret=f"{id}_{self._books.new_id('secret', 25)}",
            amount=_amount(params["amount"]),
            currency=_currency(params["currency"]),
            created=self._books.at(),
            capture_method="automatic_async",
            confirmation_method=params.get("confirmation_method", "automatic"),
            types=[],
            automatic=None if allowed is not None else _automatic(params.get("automatic_payment_methods")),
            allowed=allowed,
            metadata=merged_metadata({}, params.get("metadata", {})),
            labels=read_labels(params),
        )
        self._set_capture(intent, params)
        return intent

    def _set_capture(self, intent: Intent, params: dict[str, Any]) -> None:
        intent.capture_method = params.get("capture_method", intent.capture_method)
        options = params.get("payment_method_options") or {}
        for type, values in options.items():
            beyond = values.keys() - {"capture_method", "request_three_d_secure"} if values else set()
            if type != CARD or beyond:
                name = f"payment_method_options[{type}]"
                raise Refusal(f"The simulator does not model {name}.", param=name, violation=True)
        wanted = (options.get(CARD) or {}).get("capture_method", intent.card_capture)
        if wanted not in {None, "", "manual"}:
            raise Refusal("It is manual, or left out.", param="payment_method_options[card][capture_method]")
        intent.card_capture = wanted or None
        intent.types = _types(intent)

    def _given_method(self, params: dict[str, Any]) -> Method | None:
        if (id := params.get("payment_method")) is not None:
            return self._books.methods.get(id) or self._books.method(id, methods.named(id))
        if (data := params.get("payment_method_data")) is not None:
            return self._made(data)
        return None

    def _made(self, data: dict[str, Any]) -> Method:
        if data["type"] == CARD:
            if "card" not in data:
                raise Refusal(
                    "A card is given by its token.", code="parameter_missing", param="payment_method_data[card]"
                )
            token = data["card"]["token"]
            return self._books.method(token, methods.named(token, param="payment_method_data[card][token]"))
        return self._books.method(data["type"], methods.typed(data["type"]))

    def retrieve(self, id: str, params: dict[str, Any]) -> Intent:
        """The intent, for who knows its secret if one is given.

        Raises:
            Refusal: There is none, or its secret is another.
        """
        intent = self._books.intent(id)
        if params.get("client_secret", intent.client_secret) != intent.client_secret:
            raise missing("payment_intent", id, param="client_secret")
        return intent


def _terms(intent: Intent, method: Method | None, params: dict[str, Any], refuse: Decline | None) -> Terms:
    if method is None:
        raise Refusal(
            f"{intent.id} can't be confirmed without a payment method.",
            code="payment_intent_unexpected_state",
            param="payment_method",
            more={"payment_intent": intent.shown()},
        )
    _fit(intent, method)
    _check_return(intent, method, params)
    return Terms(
        method=method,
        return_url=params.get("return_url"),
        off_session=bool(params.get("off_session", False)),
        error_on_requires_action=params.get("error_on_requires_action", False),
        use_stripe_sdk=params.get("use_stripe_sdk", False),
        refuse=refuse,
    )


def _fit(intent: Intent, method: Method) -> None:
    type = method.behaviour.type
    if type not in intent.types or (intent.capture_method == "manual" and not method.behaviour.holds):
        raise _incompatible(f"{intent.id} takes {', '.join(intent.types)}, not {type}.", param="payment_method")


def _incompatible(message: str, *, param: str) -> Refusal:
    return Refusal(message, code="payment_intent_incompatible_payment_method", param=param)


def _check_return(intent: Intent, method: Method, params: dict[str, Any]) -> None:
    """Where the buyer may be sent to another site, Stripe asks for the way back, whether that happens or not."""
    open_to_all = intent.automatic is not None and intent.automatic["allow_redirects"] == "always"
    if open_to_all and params.get("error_on_requires_action"):
        raise Refusal("It is not for payment methods of any kind.", param="error_on_requires_action")
    if params.get("off_session"):
        return
    if (method.behaviour.redirects or open_to_all) and "return_url" not in params:
        raise Refusal(
            "The payment method may send the buyer to another site: give a return_url, or set"
            " automatic_payment_methods[allow_redirects] to never.",
            param="return_url",
        )


def _automatic(given: dict[str, Any] | None) -> dict[str, Any]:
    """On unless types are given (docs.stripe.com/changelog/2023-08-16/automatic-payment-methods)."""
    chosen = given or {"enabled": True}
    if not chosen["enabled"]:
        raise Refusal("Give allowed_payment_method_types, then.", param="automatic_payment_methods[enabled]")
    return {"allow_redirects": chosen.get("allow_redirects", "always"), "enabled": True}


def _amount(amount: int) -> int:
    if amount < LEAST:
        raise Refusal(f"The least amount is {LEAST}.", code="amount_too_small", param="amount")
    if amount > MOST:
        raise Refusal(f"The greatest amount is {MOST}.", code="amount_too_large", param="amount")
    return amount


def _currency(currency: str) -> str:
    if re.fullmatch("[a-zA-Z]{3}", currency) is None:
        raise Refusal(f"{currency!r} is no currency.", param="currency")
    return currency.lower()


def _types(intent: Intent) -> list[str]:
    """Those that fit; what is allowed and does not is left out without a word, as Stripe does it."""
    found = [type for type in methods.TYPES if intent.allowed is None or type in intent.allowed]
    if intent.capture_method == "manual":
        found = [type for type in found if type == CARD]
    if intent.automatic is not None and intent.automatic["allow_redirects"] == "never":
        found = [type for type in found if not methods.redirects(type)]
    if not found:
        raise Refusal("No payment method fits.", param="allowed_payment_method_types")
    return found
