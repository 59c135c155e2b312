"""A payment provider with so much to do that an order would expire first."""

from __future__ import annotations

import pytest
from tests.http.conftest import Client, Publish

from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments

PAY = "/api/payments"


async def test_who_would_have_their_turn_too_late_is_told_when_to_come_again_and_is_not_charged(
    buyer: Client, publish: Publish, market: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = market.payments.provider
    assert isinstance(provider, FakePayments)
    order = (await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})).json()
    await market.clock.settle()
    monkeypatch.setattr(provider, "wait_for", lambda _calls: 1234.5, raising=False)
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (response.status_code, response.json()["code"]) == (503, "payments_busy")
    assert response.headers["retry-after"] == "1235"
    assert "You were not charged." in response.json()["detail"]
    assert (await buyer.get(PAY, params={"orderId": order["id"]})).json() == []
    assert provider.books().charges == ()
    monkeypatch.undo()
    paid = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (paid.status_code, paid.json()["status"]) == (201, "completed")
