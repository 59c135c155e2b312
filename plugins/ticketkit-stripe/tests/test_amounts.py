"""Amounts in Stripe's units: docs.stripe.com/currencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketkit.domain.money import EXPONENTS, Money
from ticketkit_stripe.amounts import NotExpressible, money, to_stripe


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (Money.parse("10", "USD"), 1000),
        (Money.parse("500", "JPY"), 500),
        (Money.parse("5", "ISK"), 500),
        (Money.parse("5", "UGX"), 500),
        (Money.parse("5.12", "KWD"), 5120),
        (Money.parse("10.45", "HUF"), 1045),
        (Money.parse("10.45", "TWD"), 1045),
        (Money.parse("500", "MGA"), 500),
    ],
    ids=repr,
)
def test_an_amount_is_what_stripes_documentation_says(amount: Money, units: int) -> None:
    assert to_stripe(amount) == units
    assert money(units, amount.currency.lower()) == amount


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (Money(5124, "KWD"), "amount_not_expressible"),
        (Money(550, "MGA"), "amount_not_expressible"),
        (Money(100, "CLF"), "currency_not_supported"),
        (Money(100, "LYD"), "currency_not_supported"),
        (Money(100, "XXX"), "currency_not_supported"),
        (Money(0, "USD"), "amount_too_small"),
    ],
    ids=repr,
)
def test_what_stripe_can_not_charge_is_refused_and_not_rounded(amount: Money, code: str) -> None:
    with pytest.raises(NotExpressible) as refused:
        to_stripe(amount)
    assert refused.value.code == code


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(1, 10**12))
def test_what_is_charged_is_read_back_as_it_was(currency: str, minor: int) -> None:
    try:
        units = to_stripe(Money(minor, currency))
    except NotExpressible:
        return
    assert money(units, currency.lower()) == Money(minor, currency)
