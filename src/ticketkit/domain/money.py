"""Money: integer minor units and an ISO 4217 currency. No float is ever computed with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from ticketkit.domain.errors import InvalidMoney

# ISO 4217 list one, active codes of circulating currencies; the exponent is 2 unless it is named below.
_CODES: Final = {
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP
        CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
        KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
        NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB
        TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENTS: Final[dict[str, int]] = {code: exponent for exponent, codes in _CODES.items() for code in codes.split()}
"""Digits after the decimal point, by currency code (ISO 4217)."""

MAX_MINOR: Final = 10**15
"""Largest amount in minor units: it stays an exact integer in every JSON reader (2**53) and in 64-bit columns."""

_EXACT: Final = Context(traps=[Inexact, InvalidOperation])  # the default context would round a 30th digit away


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Attributes:
        minor: Minor units (cents, yen, fils); never negative.
        currency: ISO 4217 code, upper case.
    """

    minor: int
    currency: str

    @classmethod
    def of(cls, minor: int, currency: str) -> Money:
        """Check and build.

        Raises:
            InvalidMoney: The currency is unknown, or the amount is negative or over `MAX_MINOR`.
        """
        exponent_of(currency)
        if not 0 <= minor <= MAX_MINOR:
            msg = f"An amount is between 0 and {MAX_MINOR} minor units."
            raise InvalidMoney(msg, code="amount_out_of_range", field="price", minor=str(minor))
        return cls(minor, currency)

    @classmethod
    def parse(cls, amount: str | int | Decimal, currency: str) -> Money:
        """Read an amount of major units (`"19.99"`), exactly.

        Args:
            amount: Decimal notation, `int` or `Decimal`; a float is refused, since it is not exact.
            currency: ISO 4217 code, upper case.

        Raises:
            InvalidMoney: It is no number, or has more digits than the currency, or the currency is unknown.
        """
        exponent = exponent_of(currency)
        if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
            msg = "An amount is a decimal number, not a float."
            raise InvalidMoney(msg, field="price")
        value = _number(amount)
        if not -MAX_MINOR <= value <= MAX_MINOR:
            msg = "The amount is too large."
            raise InvalidMoney(msg, code="amount_out_of_range", field="price")
        try:
            value = value.quantize(Decimal(1).scaleb(-exponent), context=_EXACT)
        except Inexact:
            msg = f"{currency} has {exponent} digits after the decimal point; {str(amount)[:60]} has more."
            raise InvalidMoney(msg, code="too_many_digits", field="price", currency=currency, digits=exponent) from None
        return cls.of(int(value.scaleb(exponent)), currency)

    @property
    def major(self) -> Decimal:
        """The amount in major units, exact, with the currency's number of digits."""
        return Decimal(self.minor).scaleb(-exponent_of(self.currency))

    def __add__(self, other: Money) -> Money:
        """Add; both must be of one currency."""
        self._same(other)
        return Money.of(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        """Subtract; the result must not be negative."""
        self._same(other)
        return Money.of(self.minor - other.minor, self.currency)

    def __str__(self) -> str:
        """For people: `19.99 USD`."""
        return f"{self.major:f} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            msg = f"{self.currency} and {other.currency} can't be added up."
            raise InvalidMoney(msg, code="mixed_currencies", field="currency")


def _number(amount: str | int | Decimal) -> Decimal:
    # Decimal reads "1_0" and digits of other scripts, too.
    plain = not isinstance(amount, str) or (amount.isascii() and "_" not in amount)
    try:
        value = Decimal(amount) if plain else Decimal("NaN")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        msg = f"{str(amount)[:60]!r} is not a number."
        raise InvalidMoney(msg, field="price")
    return value


def exponent_of(currency: str) -> int:
    """The currency's digits after the decimal point.

    Raises:
        InvalidMoney: The code is not an active ISO 4217 currency.
    """
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        msg = f"{currency[:12]!r} is not an ISO 4217 currency code."
        raise InvalidMoney(msg, code="unknown_currency", field="currency")
    return exponent


def total(amounts: list[Money]) -> Money:
    """The sum of at least one amount, all of one currency.

    Raises:
        InvalidMoney: The list is empty or the currencies differ.
    """
    if not amounts:
        msg = "There is nothing to add up."
        raise InvalidMoney(msg)
    first, *rest = amounts
    for amount in rest:
        first = first + amount
    return first
