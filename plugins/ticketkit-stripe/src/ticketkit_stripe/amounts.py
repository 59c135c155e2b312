"""Amounts in Stripe's units, which for some currencies are not those of ISO 4217 (docs.stripe.com/currencies)."""

from __future__ import annotations

from typing import Final

from ticketkit.domain.money import EXPONENTS, Money

_ZERO: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
ZERO_DECIMAL: Final = frozenset(_ZERO.split())
"""An amount is whole units (docs.stripe.com/currencies#zero-decimal). UGX is on that list too, and a special case."""
THREE_DECIMAL: Final = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
"""The last of the three digits has to be 0 (docs.stripe.com/currencies#three-decimal)."""
WHOLE_OF_TWO: Final = frozenset({"ISK", "UGX"})
"""Two digits that are always 00: 5 ISK are 500 (docs.stripe.com/currencies#special-cases)."""


class NotExpressible(Exception):
    """Stripe has no such amount.

    Attributes:
        code: For `Declined`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def to_stripe(amount: Money) -> int:
    """An amount in Stripe's units, exact.

    Raises:
        NotExpressible: The currency is not Stripe's, or has fewer digits there, or it is nothing.
    """
    digits, theirs = EXPONENTS.get(amount.currency), _digits(amount.currency)
    if digits is None or theirs is None:
        raise NotExpressible("currency_not_supported", f"Stripe has no {amount.currency}.")
    if amount.minor <= 0:
        raise NotExpressible("amount_too_small", "An amount is more than 0.")
    scaled: int = amount.minor * 10 ** max(0, theirs - digits)
    parts: int = 10 ** max(0, digits - theirs)
    whole, rest = divmod(scaled, parts)
    if rest or (amount.currency in THREE_DECIMAL and whole % 10):
        raise NotExpressible("amount_not_expressible", f"Stripe can't charge {amount}: it has too many digits.")
    return whole


def from_stripe(units: int, currency: str) -> int:
    """Minor units of an amount in Stripe's units.

    Args:
        currency: Upper case.
    """
    digits, theirs = EXPONENTS.get(currency, 2), _digits(currency)
    theirs = digits if theirs is None else theirs
    scaled: int = units * 10 ** max(0, digits - theirs)
    return scaled // int(10 ** max(0, theirs - digits))


def money(units: int, currency: str) -> Money:
    """What one of Stripe's objects is of.

    Args:
        currency: As Stripe writes it, lower case.
    """
    code = currency.upper()
    return Money(from_stripe(units, code), code)


def _digits(currency: str) -> int | None:
    """Digits after the point at Stripe; None where the page says nothing, and ISO 4217 has not two."""
    if currency in ZERO_DECIMAL:
        return 0
    if currency in THREE_DECIMAL:
        return 3
    if currency in WHOLE_OF_TWO or EXPONENTS.get(currency) == 2:  # noqa: PLR2004 - the usual two
        return 2
    return None
