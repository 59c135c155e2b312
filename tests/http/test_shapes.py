"""Amounts survive the way through JSON."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ticketkit.domain.money import EXPONENTS, MAX_MINOR, Money
from ticketkit.http.bodies import parse
from ticketkit.http.inputs import NewTicket
from ticketkit.http.shapes import number

AMOUNTS = st.builds(Money, st.integers(0, MAX_MINOR), st.sampled_from(sorted(EXPONENTS)))


@given(AMOUNTS)
def test_every_amount_is_written_exactly(money: Money) -> None:
    text = json.dumps(number(money))
    assert Decimal(text) == money.major


@given(AMOUNTS)
def test_every_amount_is_read_exactly(money: Money) -> None:
    for text in (json.dumps(number(money)), f"{money.major:f}", f'"{money.major:f}"'):
        ticket = NewTicket.model_validate(parse(f'{{"title": "A", "price": {text}}}'.encode()))
        assert Money.parse(ticket.price, money.currency) == money
