"""Payment methods of tests, with the names and the behaviour of docs.stripe.com/testing.

A name that begins with `pm_simulator_` is the simulator's own: Stripe has no test method that does the same.
Each `pm_card_…` may also be given as its token, `tok_…`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from ticketkit_stripe.simulator.refusals import Refusal

CARD: Final = "card"


@dataclass(frozen=True, slots=True)
class Decline:
    """How a bank says no.

    Attributes:
        code: Stripe's code of the error.
        reason: Stripe's `decline_code`; None where the code says it all.
    """

    code: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What happens with a payment method.

    Attributes:
        type: Stripe's type: `card`, `ideal`, `us_bank_account`, ….
        last4: Of the card's number.
        decline: At confirmation, or after authentication where that is asked for.
        authenticates: The buyer has to act first: 3-D Secure, or the bank's page.
        redirects: The action is on another site, so a `return_url` is needed.
        waits: It stays `processing` until the bank decides.
        capture: How the bank refuses the capture.
        refund: What becomes of refunds: `pending` waits until it is settled; `fails` succeeds, then fails when told.
        disputed: The buyer disputes the charge at once.
    """

    type: str = CARD
    last4: str = "4242"
    decline: Decline | None = None
    authenticates: bool = False
    redirects: bool = False
    waits: bool = False
    capture: Decline | None = None
    refund: Literal["succeeds", "pending", "fails"] = "succeeds"
    disputed: bool = False

    @property
    def holds(self) -> bool:
        """Whether money can be held, to be captured later: cards only."""
        return self.type == CARD


@dataclass(frozen=True, slots=True)
class Method:
    """One payment method of one buyer.

    Attributes:
        name: Of the test method that it was made of.
    """

    id: str
    name: str
    behaviour: Behaviour
    created: int

    def shown(self) -> dict[str, Any]:
        """Stripe's object."""
        kind = self.behaviour.type
        return {
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
            "created": self.created,
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": kind,
            kind: self.details(),
        }

    def details(self) -> dict[str, Any]:
        """What is said of it with a charge."""
        if self.behaviour.type != CARD:
            return {}
        return {
            "brand": "visa",
            "country": "US",
            "exp_month": 12,
            "exp_year": 2034,
            "funding": "credit",
            "last4": self.behaviour.last4,
        }


_GENERIC: Final = Decline("card_declined", "generic_decline")
_FUNDS: Final = Decline("card_declined", "insufficient_funds")

_NAMED: Final = MappingProxyType(
    {
        "pm_card_visa": Behaviour(),
        "pm_card_visa_debit": Behaviour(last4="5556"),
        "pm_card_mastercard": Behaviour(last4="4444"),
        "pm_card_amex": Behaviour(last4="8431"),
        "pm_card_bypassPending": Behaviour(last4="0077"),
        "pm_card_chargeDeclined": Behaviour(last4="0002", decline=_GENERIC),
        "pm_card_chargeDeclinedInsufficientFunds": Behaviour(last4="9995", decline=_FUNDS),
        "pm_card_chargeDeclinedLostCard": Behaviour(last4="9987", decline=Decline("card_declined", "lost_card")),
        "pm_card_chargeDeclinedStolenCard": Behaviour(last4="9979", decline=Decline("card_declined", "stolen_card")),
        "pm_card_chargeDeclinedFraudulent": Behaviour(last4="0019", decline=Decline("card_declined", "fraudulent")),
        "pm_card_chargeDeclinedExpiredCard": Behaviour(last4="0069", decline=Decline("expired_card")),
        "pm_card_chargeDeclinedIncorrectCvc": Behaviour(last4="0127", decline=Decline("incorrect_cvc")),
        "pm_card_chargeDeclinedProcessingError": Behaviour(last4="0119", decline=Decline("processing_error")),
        "pm_card_authenticationRequired": Behaviour(last4="3184", authenticates=True),
        "pm_card_threeDSecure2Required": Behaviour(last4="3220", authenticates=True),
        "pm_card_threeDSecureRequired": Behaviour(last4="3063", authenticates=True),
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Behaviour(
            last4="3178", authenticates=True, decline=_FUNDS
        ),
        "pm_card_threeDSecureRequiredChargeDeclined": Behaviour(last4="1629", authenticates=True, decline=_GENERIC),
        "pm_card_createDispute": Behaviour(last4="0259", disputed=True),
        "pm_card_pendingRefund": Behaviour(last4="7726", refund="pending"),
        "pm_card_refundFail": Behaviour(last4="5126", refund="fails"),
        "pm_usBankAccount_success": Behaviour(type="us_bank_account", waits=True),
        "pm_simulator_processing": Behaviour(last4="0001", waits=True),
        "pm_simulator_captureDeclined": Behaviour(last4="0003", capture=_GENERIC),
        "pm_simulator_takenAtOnce": Behaviour(type="ideal"),
    }
)

_TYPES: Final = MappingProxyType(
    {
        "bancontact": Behaviour(type="bancontact", authenticates=True, redirects=True),
        "ideal": Behaviour(type="ideal", authenticates=True, redirects=True),
        "us_bank_account": Behaviour(type="us_bank_account", waits=True),
    }
)

TYPES: Final = (CARD, *_TYPES)
"""The types of payment methods that the account accepts."""


def redirects(type: str) -> bool:
    """Whether methods of that type send the buyer to another site."""
    return type in _TYPES and _TYPES[type].redirects


def named(name: str, *, param: str = "payment_method") -> Behaviour:
    """What the test method of that name, or the card of that token, does.

    Raises:
        Refusal: There is none.
    """
    known = _NAMED.get(name.replace("tok_", "pm_card_", 1) if name.startswith("tok_") else name)
    if known is None:
        raise Refusal(f"No such payment method: {name!r}", code="resource_missing", param=param)
    return known


def typed(type: str) -> Behaviour:
    """What a payment method does that is given by its type alone.

    Raises:
        Refusal: The account has none of that type, or a card without a token.
    """
    if type not in _TYPES:
        raise Refusal(f"A {type!r} can't be made of its type.", param="payment_method_data[type]")
    return _TYPES[type]
