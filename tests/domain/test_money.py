from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketkit.domain.errors import InvalidMoney
from ticketkit.domain.money import EXPONENTS, MAX_MINOR, Money, exponent_of, total


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("19.99", "USD", 1999),
        ("19.9", "USD", 1990),
        ("19.990", "USD", 1999),
        (20, "USD", 2000),
        (Decimal("0.01"), "EUR", 1),
        ("0", "USD", 0),
        ("-0", "USD", 0),
        ("1e3", "USD", 100_000),
        ("1500", "JPY", 1500),
        ("1500.0", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("10000000000000", "USD", MAX_MINOR),
        ("19.99" + "0" * 40, "USD", 1999),
    ],
)
def test_amounts_are_read_exactly(amount: Any, currency: str, minor: int) -> None:
    assert Money.parse(amount, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("19.999", "USD", "too_many_digits"),
        (Decimal("19.999"), "USD", "too_many_digits"),
        ("0.5", "JPY", "too_many_digits"),
        ("1.2345", "KWD", "too_many_digits"),
        ("1.23456", "CLF", "too_many_digits"),
        ("19.99" + "0" * 30 + "1", "USD", "too_many_digits"),
        ("1e-9999999", "USD", "too_many_digits"),
        ("-1", "USD", "amount_out_of_range"),
        ("-0.01", "USD", "amount_out_of_range"),
        ("10000000000000.01", "USD", "amount_out_of_range"),
        ("1e9999999", "USD", "amount_out_of_range"),
        (10**400, "USD", "amount_out_of_range"),
        (19.99, "USD", "invalid_money"),
        (True, "USD", "invalid_money"),
        (None, "USD", "invalid_money"),
        ("", "USD", "invalid_money"),
        ("twenty", "USD", "invalid_money"),
        ("0x14", "USD", "invalid_money"),
        ("1_000", "USD", "invalid_money"),
        ("１９.99", "USD", "invalid_money"),  # noqa: RUF001  (full-width digits)
        ("NaN", "USD", "invalid_money"),
        ("Infinity", "USD", "invalid_money"),
        ("1e99999999999999999999", "USD", "invalid_money"),
        ("1", "usd", "unknown_currency"),
        ("1", "XXX", "unknown_currency"),
    ],
)
def test_what_is_no_exact_amount_is_refused(amount: Any, currency: str, code: str) -> None:
    with pytest.raises(InvalidMoney) as refusal:
        Money.parse(amount, currency)
    assert refusal.value.code == code
    assert refusal.value.message


def test_the_refusal_says_how_many_digits_a_currency_has() -> None:
    with pytest.raises(InvalidMoney, match=r"USD has 2 digits after the decimal point; 19\.999 has more\.") as refusal:
        Money.parse("19.999", "USD")
    assert refusal.value.values == {"currency": "USD", "digits": 2}
    assert refusal.value.field == "price"


@given(minor=st.integers(min_value=0, max_value=MAX_MINOR), currency=st.sampled_from(sorted(EXPONENTS)))
def test_major_units_are_read_back_to_the_same_amount(minor: int, currency: str) -> None:
    money = Money.of(minor, currency)
    assert Money.parse(money.major, currency) == money
    assert Money.parse(str(money).split()[0], currency) == money


@given(
    whole=st.integers(min_value=0, max_value=10**6),
    digits=st.text("0123456789", max_size=40),
    currency=st.sampled_from(["JPY", "USD", "KWD", "CLF"]),
)
def test_no_digit_is_ever_dropped(whole: int, digits: str, currency: str) -> None:
    text = f"{whole}.{digits}"
    if len(digits.rstrip("0")) > exponent_of(currency):
        with pytest.raises(InvalidMoney):
            Money.parse(text, currency)
    else:
        assert Money.parse(text, currency).minor == int(
            f"{whole}{digits:0<40}"[: len(str(whole)) + exponent_of(currency)]
        )


@pytest.mark.parametrize("minor", [-1, MAX_MINOR + 1])
def test_amounts_stay_in_range(minor: int) -> None:
    with pytest.raises(InvalidMoney) as refusal:
        Money.of(minor, "USD")
    assert refusal.value.code == "amount_out_of_range"


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1999, "USD"), "19.99 USD"),
        (Money(1500, "JPY"), "1500 JPY"),
        (Money(1, "KWD"), "0.001 KWD"),
        (Money(MAX_MINOR, "USD"), "10000000000000.00 USD"),
    ],
)
def test_money_reads_like_money(money: Money, text: str) -> None:
    assert str(money) == text


def test_amounts_of_one_currency_add_up() -> None:
    assert Money(1999, "USD") + Money(1, "USD") == Money(2000, "USD")
    assert Money(1999, "USD") - Money(1999, "USD") == Money(0, "USD")
    assert total([Money(1, "USD"), Money(2, "USD"), Money(3, "USD")]) == Money(6, "USD")


def test_what_does_not_add_up_is_refused() -> None:
    with pytest.raises(InvalidMoney) as refusal:
        Money(1, "USD") + Money(1, "EUR")
    assert refusal.value.code == "mixed_currencies"
    with pytest.raises(InvalidMoney) as refusal:
        Money(1, "USD") - Money(2, "USD")
    assert refusal.value.code == "amount_out_of_range"
    with pytest.raises(InvalidMoney) as refusal:
        Money(MAX_MINOR, "USD") + Money(1, "USD")
    assert refusal.value.code == "amount_out_of_range"
    with pytest.raises(InvalidMoney):
        total([])
