"""Payments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest
from tests.http.conftest import PASSWORD, Client, Json, Publish, Visit, field_of

from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments
from ticketkit.memory._webhooks import sign
from ticketkit.memory.payments import DEVELOPMENT_SECRET

PAY = "/api/payments"
HOOK = "/api/payments/webhooks/fake"


@pytest.fixture
def provider(market: Marketplace) -> FakePayments:
    found = market.payments.provider
    assert isinstance(found, FakePayments)
    return found


@pytest.fixture
async def order(buyer: Client, publish: Publish) -> Json:
    response = await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})
    found: Json = response.json()
    return found


async def test_a_payment_completes_the_order(buyer: Client, order: Json, market: Marketplace) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert response.status_code == 201
    charge = response.json()
    assert charge == {
        "id": charge["id"],
        "orderId": order["id"],
        "status": "completed",
        "code": None,
        "amount": 19.99,
        "currency": "USD",
        "provider": "fake",
        "providerId": charge["providerId"],
        "refunded": 0,
        "refunds": [],
        "version": charge["version"],
    }
    assert charge["providerId"].startswith("fake_")
    assert (await buyer.get(f"{PAY}/{charge['id']}")).json() == charge
    await market.clock.advance(seconds=1)
    shown = (await buyer.get(f"/api/orders/{order['id']}")).json()
    assert (shown["status"], shown["chargeId"], shown["ticket"]["status"]) == ("completed", charge["id"], "sold")


async def test_a_paid_order_is_not_paid_again(buyer: Client, order: Json, market: Marketplace) -> None:
    await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    await market.clock.advance(seconds=1)
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (response.status_code, response.json()["code"]) == (409, "order_completed")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_chargeDeclined", "card_declined"),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("tok_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
async def test_a_declined_payment_is_402_with_the_providers_code(
    buyer: Client, order: Json, market: Marketplace, token: str, code: str
) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": token})
    assert (response.status_code, response.json()["code"]) == (402, code)
    charge = (await buyer.get(f"{PAY}/{response.json()['chargeId']}")).json()
    assert (charge["status"], charge["code"]) == ("failed", code)
    await market.clock.advance(seconds=1)
    again = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (again.status_code, again.json()["code"]) == (409, "order_cancelled")


@pytest.mark.parametrize("market_options", [{"policy": Policy(on_decline=OnDecline.KEEP)}], ids=["keep"])
async def test_a_decline_that_keeps_the_order_says_until_when_another_card_may_be_tried(
    buyer: Client, order: Json, market: Marketplace
) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_chargeDeclined"})
    problem = response.json()
    assert (response.status_code, problem["orderState"]) == (402, "created")
    assert problem["expiresAt"] == (await buyer.get(f"/api/orders/{order['id']}")).json()["expiresAt"]
    again = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (again.status_code, again.json()["status"]) == (201, "completed")
    await market.clock.advance(seconds=1)


async def test_a_decline_that_cancels_the_order_does_not_say_that_it_goes_on(buyer: Client, order: Json) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_chargeDeclined"})
    assert response.status_code == 402
    assert {"orderState", "expiresAt"}.isdisjoint(response.json())


async def test_a_payment_that_the_buyer_has_to_confirm_is_202_with_the_action(
    buyer: Client, order: Json, market: Marketplace, provider: FakePayments
) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_threeDSecure"})
    assert response.status_code == 202
    charge = response.json()
    assert charge["status"] == "requires_action"
    assert charge["action"]
    assert response.headers["location"] == f"{PAY}/{charge['id']}"
    under_way = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (under_way.status_code, under_way.json()["code"]) == (409, "payment_under_way")
    await provider.confirm_action(charge["providerId"])
    await market.clock.advance(seconds=5)
    shown = (await buyer.get(response.headers["location"])).json()
    assert (shown["status"], "action" in shown) == ("completed", False)


async def test_a_payment_without_a_token_waits_for_the_providers_form(buyer: Client, order: Json) -> None:
    response = await buyer.post(PAY, json={"orderId": order["id"]})
    assert (response.status_code, response.json()["status"]) == (202, "requires_action")


async def test_an_undecided_payment_is_202(
    buyer: Client, order: Json, patiently: Callable[[Awaitable[httpx2.Response]], Awaitable[httpx2.Response]]
) -> None:
    response = await patiently(buyer.post(PAY, json={"orderId": order["id"], "token": "tok_pending"}))
    assert (response.status_code, response.json()["status"]) == (202, "created")
    assert response.headers["retry-after"] == "1"


async def test_an_expired_order_is_not_paid(buyer: Client, order: Json, market: Marketplace) -> None:
    await market.clock.advance(minutes=16)
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (response.status_code, response.json()["code"]) == (409, "order_expired")


async def test_a_cancelled_order_is_not_paid(buyer: Client, order: Json, market: Marketplace) -> None:
    await buyer.delete(f"/api/orders/{order['id']}")
    await market.clock.advance(seconds=1)
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert (response.status_code, response.json()["code"]) == (409, "order_cancelled")


async def test_an_order_that_ends_while_it_is_paid_is_409_and_nothing_is_charged(
    buyer: Client,
    order: Json,
    provider: FakePayments,
    patiently: Callable[[Awaitable[httpx2.Response]], Awaitable[httpx2.Response]],
    market: Marketplace,
) -> None:
    provider.faults.slow(2)

    async def pay_and_cancel() -> httpx2.Response:
        answers: list[httpx2.Response] = []

        async def pay() -> None:
            answers.append(await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"}))

        async with anyio.create_task_group() as group:
            group.start_soon(pay)
            await market.clock.settle()
            assert (await buyer.delete(f"/api/orders/{order['id']}")).status_code == 204
        return answers[0]

    response = await patiently(pay_and_cancel())
    assert (response.status_code, response.json()["code"]) == (409, "order_cancelled")
    assert response.json()["chargeId"]
    assert not any(charge.captured for charge in provider.books().charges)
    provider.faults.slow(0)


async def test_an_unknown_or_foreign_order_is_404(
    rival: Client,
    order: Json,
    market: Marketplace,
    patiently: Callable[[Awaitable[httpx2.Response]], Awaitable[httpx2.Response]],
) -> None:
    await market.clock.advance(seconds=1)
    for id in (order["id"], new_id()):
        response = await patiently(rival.post(PAY, json={"orderId": id, "token": "tok_visa"}))
        assert (response.status_code, response.json()["code"]) == (404, "order_not_found")


async def test_another_persons_charge_does_not_exist(buyer: Client, rival: Client, order: Json) -> None:
    charge = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})).json()
    for id in (charge["id"], new_id()):
        response = await rival.get(f"{PAY}/{id}")
        assert (response.status_code, response.json()["code"]) == (404, "charge_not_found")


async def test_a_charge_shows_its_refunds(buyer: Client, order: Json, market: Marketplace) -> None:
    charge = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})).json()
    refund = await market.payments.refund(charge["id"], actor=None)
    shown = (await buyer.get(f"{PAY}/{charge['id']}")).json()
    assert shown["refunds"] == [
        {
            "id": refund.id,
            "chargeId": charge["id"],
            "status": "completed",
            "code": None,
            "reason": "",
            "amount": 19.99,
            "currency": "USD",
            "providerId": refund.reference,
        }
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orderId": None}, "orderId"),
        ({"orderId": "7"}, "orderId"),
        ({"token": ""}, "token"),
        ({"token": "x" * 501}, "token"),
        ({"token": "a b"}, "token"),
        ({"token": "a\u0000"}, "token"),
        ({"amount": 0.01}, "amount"),
        ({"card": "4242424242424242"}, "card"),
    ],
)
async def test_a_bad_payment_names_the_field(regular: Client, change: dict[str, Any], field: str) -> None:
    response = await regular.post(PAY, json={"orderId": new_id(), "token": "tok_visa", **change})
    assert response.status_code == 400
    assert field_of(response) == field


async def test_a_webhook_is_stored_once_and_applied(
    buyer: Client, nobody: Client, order: Json, market: Marketplace, provider: FakePayments
) -> None:
    charge = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_threeDSecure"})).json()
    body = b'{"id": "evt_1", "what": "payment.authorized", "reference": "%b"}' % charge["providerId"].encode()
    headers = sign(body, secret=DEVELOPMENT_SECRET, now=market.clock.now())
    first = await nobody.post(HOOK, content=body, headers={**headers, "Sec-Fetch-Site": "cross-site"})
    assert (first.status_code, first.json()) == (200, {"received": 1})
    second = await nobody.post(HOOK, content=body, headers=headers)
    assert (second.status_code, second.json()) == (200, {"received": 0})


async def test_a_bad_webhook_is_400(stranger: Client) -> None:
    for headers in ({}, {"fake-signature": "t=1,v1=0"}, {"fake-signature": "nonsense"}):
        response = await stranger.post(HOOK, content=b"{}", headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "bad_webhook")


async def test_a_webhook_of_another_provider_is_404(stranger: Client) -> None:
    response = await stranger.post("/api/payments/webhooks/stripe", content=b"{}")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_provider")


async def test_a_webhook_has_at_most_a_mebibyte(stranger: Client) -> None:
    assert (await stranger.post(HOOK, content=b" " * 1024 * 1024)).status_code == 400
    assert (await stranger.post(HOOK, content=b" " * (1024 * 1024 + 1))).status_code == 413


@pytest.fixture
async def charge(buyer: Client, order: Json) -> Json:
    found: Json = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})).json()
    return found


async def test_the_seller_of_all_its_tickets_gives_money_back(
    seller: Client, buyer: Client, charge: Json, order: Json, market: Marketplace
) -> None:
    part = await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 5, "reason": "a seat with a pillar"})
    assert (part.status_code, part.json()["amount"], part.json()["status"]) == (201, 5.0, "completed")
    assert (await seller.get(f"{PAY}/{charge['id']}")).json()["refunds"] == [part.json()]
    ticket = order["tickets"][0]["id"]
    await market.clock.advance(seconds=5)
    assert (await buyer.get(f"/api/tickets/{ticket}")).json()["status"] == "sold", "a part frees nothing"
    rest = await seller.post(f"{PAY}/{charge['id']}/refunds")
    assert (rest.status_code, rest.json()["amount"]) == (201, 14.99)
    await market.clock.advance(seconds=5)
    assert (await buyer.get(f"/api/tickets/{ticket}")).json()["status"] == "available"
    assert (await buyer.get(f"/api/orders/{order['id']}")).json()["status"] == "completed"
    over = await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 0.01})
    assert (over.status_code, over.json()["code"]) == (409, "refund_above_charge")


async def test_a_refund_asked_for_twice_with_one_key_is_one(seller: Client, charge: Json) -> None:
    key = {"Idempotency-Key": "once"}
    first = await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 5}, headers=key)
    assert (await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 5}, headers=key)).json() == first.json()
    other = await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 6}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await seller.get(f"{PAY}/{charge['id']}")).json()["refunds"]) == 1


async def test_only_seller_and_operators_give_money_back(
    buyer: Client, rival: Client, charge: Json, visit: Visit, market: Marketplace
) -> None:
    mine = await buyer.post(f"{PAY}/{charge['id']}/refunds")
    assert (mine.status_code, mine.json()["code"]) == (403, "not_the_seller")
    strange = await rival.post(f"{PAY}/{charge['id']}/refunds")
    assert (strange.status_code, strange.json()["code"]) == (404, "charge_not_found")
    operator = await visit()
    signed_in = await market.auth.sign_up("operator@example.com", PASSWORD, roles=("operator",))
    operator.cookies.set("session", signed_in.token)
    assert (await operator.get(f"{PAY}/{charge['id']}")).status_code == 200
    assert (await operator.post(f"{PAY}/{charge['id']}/refunds")).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"), [({"amount": 0}, "amount"), ({"amount": 0.001}, "amount"), ({"amount": "x"}, "amount")]
)
async def test_a_refund_of_nothing_sensible_is_refused_by_name(
    seller: Client, charge: Json, body: Json, field: str
) -> None:
    refused = await seller.post(f"{PAY}/{charge['id']}/refunds", json=body)
    assert (refused.status_code, field_of(refused)) == (400, field)


async def test_refunds_at_once_never_exceed_what_was_taken(
    seller: Client, charge: Json, provider: FakePayments
) -> None:
    answers: list[int] = []

    async def ask() -> None:
        answers.append((await seller.post(f"{PAY}/{charge['id']}/refunds", json={"amount": 3})).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
    assert (answers.count(201), answers.count(409)) == (6, 14)
    assert sum(refund.amount.minor for refund in provider.books().refunds) == 1800


async def test_a_refund_that_the_provider_refuses_is_told(seller: Client, charge: Json, provider: FakePayments) -> None:
    provider.faults.decline("refund", code="insufficient_balance")
    refused = await seller.post(f"{PAY}/{charge['id']}/refunds")
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_refused")
    assert refused.json()["providerCode"] == "insufficient_balance"
    assert (await seller.post(f"{PAY}/{charge['id']}/refunds")).status_code == 201, "its amount can be refunded again"


async def test_a_refund_that_is_not_decided_is_looked_at_again(
    seller: Client, charge: Json, provider: FakePayments, patiently: Callable[..., Awaitable[Any]], market: Marketplace
) -> None:
    provider.faults.unavailable()
    waiting = await patiently(seller.post(f"{PAY}/{charge['id']}/refunds"))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "created")
    provider.faults.available()
    await market.clock.advance(minutes=2)
    (refund,) = (await seller.get(f"{PAY}/{charge['id']}")).json()["refunds"]
    assert refund["status"] == "completed"
