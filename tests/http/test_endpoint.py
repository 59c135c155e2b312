"""Idempotency keys: the same key has one effect and one answer."""

from __future__ import annotations

import pytest
from tests.http.conftest import Client, Json, Publish

from ticketkit.marketplace import Marketplace

KEY = {"Idempotency-Key": "k-1"}
TICKET = {"title": "A", "price": 19.99}
EVENT = {"name": "A", "venue": "B", "startsAt": "2030-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/api/events", EVENT, {**EVENT, "name": "C"}),
        ("/api/tickets", TICKET, {**TICKET, "price": 20}),
        ("/api/tickets/batch", {"tickets": [TICKET, TICKET]}, {"tickets": [TICKET]}),
    ],
)
async def test_a_repeated_post_gets_the_same_answer_and_another_body_is_422(
    seller: Client, rival: Client, path: str, body: Json, other: Json
) -> None:
    first = await seller.post(path, json=body, headers=KEY)
    again = await seller.post(path, json=body, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    reused = await seller.post(path, json=other, headers=KEY)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    assert (await rival.post(path, json=other, headers=KEY)).status_code == 201
    assert (await seller.post(path, json=body)).json() != first.json()


async def test_a_key_is_scoped_to_its_route(seller: Client) -> None:
    one = (await seller.post("/api/tickets", json=TICKET, headers=KEY)).json()
    (other,) = (await seller.post("/api/tickets/batch", json={"tickets": [TICKET]}, headers=KEY)).json()
    assert one["id"] != other["id"]


async def test_a_repeated_order_is_one_order(buyer: Client, publish: Publish) -> None:
    body, other = {"ticketId": (await publish())["id"]}, {"ticketId": (await publish())["id"]}
    first = await buyer.post("/api/orders", json=body, headers=KEY)
    again = await buyer.post("/api/orders", json=body, headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())
    reused = await buyer.post("/api/orders", json=other, headers=KEY)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_decided_anew(buyer: Client, rival: Client, publish: Publish) -> None:
    body = {"ticketId": (await publish())["id"]}
    taken = (await rival.post("/api/orders", json=body)).json()
    assert (await buyer.post("/api/orders", json=body, headers=KEY)).status_code == 409
    await rival.delete(f"/api/orders/{taken['id']}")
    assert (await buyer.post("/api/orders", json=body, headers=KEY)).status_code == 201


async def test_a_repeated_payment_is_one_charge(buyer: Client, publish: Publish, market: Marketplace) -> None:
    order = (await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})).json()
    body = {"orderId": order["id"], "token": "tok_visa"}
    first = await buyer.post("/api/payments", json=body, headers=KEY)
    await market.clock.advance(seconds=1)
    again = await buyer.post("/api/payments", json=body, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    other = await buyer.post("/api/payments", json={**body, "token": "tok_other"}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_head_is_answered_like_get(regular: Client) -> None:
    assert (await regular.head("/healthz")).status_code == 200
