"""The service fee: 5 % and 0.50 for each ticket, in the price from the booking to the refund."""

from __future__ import annotations

from typing import Any

import pytest

from ticketkit import Money
from ticketkit_embedded.fees import ServiceFee


async def test_a_booking_shows_its_fees_and_its_total(ada: Any, book: Any, orchard: list[str]) -> None:
    booking = await book(ada, *orchard[:2])
    assert [(line["title"], line["amount"]) for line in booking["lines"]] == [
        ("The Cherry Orchard", "24.00 EUR"),
        ("The Cherry Orchard", "24.00 EUR"),
        ("Service fee", "1.70 EUR"),
        ("Service fee", "1.70 EUR"),
    ]
    assert booking["total"] == "51.40 EUR"


async def test_what_is_paid_is_the_total(ada: Any, book: Any, orchard: list[str]) -> None:
    booking = await book(ada, orchard[0])
    paid = await ada.post(f"/bookings/{booking['id']}/pay", json={"token": "tok_visa"})
    assert paid.json() == {"status": "completed", "amount": "25.70 EUR", "reason": None}


async def test_a_fee_goes_with_its_ticket(ada: Any, book: Any, orchard: list[str], endgame: list[str]) -> None:
    booking = await book(ada, orchard[0], endgame[0])
    kept = await ada.patch(f"/shop/api/orders/{booking['id']}", json={"ticketIds": [endgame[0]]})
    assert kept.json()["fees"] == [{"kind": "fee", "title": "Service fee", "amount": 1.43, "ticketId": endgame[0]}]
    assert kept.json()["total"] == 19.93
    assert (await ada.get(f"/bookings/{booking['id']}")).json()["total"] == "19.93 EUR"


async def test_a_declined_card_is_told_and_costs_nothing(ada: Any, book: Any, orchard: list[str]) -> None:
    booking = await book(ada, orchard[0])
    declined = await ada.post(f"/bookings/{booking['id']}/pay", json={"token": "tok_chargeDeclinedInsufficientFunds"})
    assert declined.json() == {"status": "failed", "amount": "25.70 EUR", "reason": "insufficient_funds"}


@pytest.mark.parametrize(("price", "fee"), [(1850, 143), (2400, 170), (1, 50), (9, 50), (10, 51), (0, None)])
def test_half_a_cent_is_rounded_up_and_a_free_ticket_is_free(price: int, fee: int | None) -> None:
    from datetime import UTC, datetime

    from ticketkit.domain.entities import Ticket

    ticket = Ticket(id="t", title="A seat", price=Money(price, "EUR"), seller_id="s", created_at=datetime.now(UTC))
    lines = ServiceFee().ticketkit_prices([ticket])
    assert [line.amount.minor for line in lines] == ([] if fee is None else [fee])
