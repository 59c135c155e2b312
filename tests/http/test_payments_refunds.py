"""Refunds: who may give what back, and who sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import httpx2
import pytest
from tests.http.conftest import PASSWORD, Client, Json, Publish, Visit, field_of

from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments
from ticketkit.services.principal import OPERATOR

PAY = "/api/payments"
Patiently: TypeAlias = Callable[[Awaitable[httpx2.Response]], Awaitable[httpx2.Response]]


@pytest.fixture
def provider(market: Marketplace) -> FakePayments:
    found = market.payments.provider
    assert isinstance(found, FakePayments)
    return found


@pytest.fixture
async def operator(visit: Visit, market: Marketplace) -> Client:
    browser = await visit()
    signed_in = await market.auth.sign_up("operator@example.com", PASSWORD, roles=(OPERATOR,))
    browser.cookies.set("session", signed_in.token)
    return browser


async def order_of(buyer: Client, *tickets: Json) -> Json:
    response = await buyer.post("/api/orders", json={"ticketIds": [ticket["id"] for ticket in tickets]})
    found: Json = response.json()
    return found


async def paid(buyer: Client, *tickets: Json) -> Json:
    order = await order_of(buyer, *tickets)
    response = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})
    assert response.status_code == 201, response.text
    found: Json = response.json()
    return found


@pytest.fixture
async def charge(buyer: Client, publish: Publish, market: Marketplace) -> Json:
    """A payment of 19.99 for a ticket of the seller."""
    found = await paid(buyer, await publish())
    await market.clock.advance(seconds=1)
    return found


def refunds_of(charge: Json) -> str:
    return f"{PAY}/{charge['id']}/refunds"


async def test_the_seller_gives_all_back_and_the_ticket_is_for_sale_again(
    seller: Client, buyer: Client, charge: Json, market: Marketplace, provider: FakePayments
) -> None:
    response = await seller.post(refunds_of(charge), json={"reason": " The singer is ill "})
    assert response.status_code == 201
    assert response.headers["location"] == f"{PAY}/{charge['id']}"
    refund = response.json()
    [given] = provider.books().refunds
    assert refund == {
        "id": refund["id"],
        "chargeId": charge["id"],
        "status": "completed",
        "code": None,
        "reason": "The singer is ill",
        "amount": 19.99,
        "currency": "USD",
        "providerId": given.reference,
    }
    assert given.amount.minor == 1999
    shown = (await buyer.get(f"{PAY}/{charge['id']}")).json()
    assert (shown["refunded"], shown["refunds"]) == (19.99, [refund])
    await market.clock.advance(seconds=1)
    order = (await buyer.get(f"/api/orders/{charge['orderId']}")).json()
    assert (order["status"], order["ticket"]["status"]) == ("completed", "available")


async def test_a_body_is_not_needed(seller: Client, charge: Json) -> None:
    response = await seller.post(refunds_of(charge))
    assert (response.status_code, response.json()["amount"]) == (201, 19.99)


async def test_an_operator_gives_part_back_and_the_ticket_stays_sold(
    operator: Client, buyer: Client, charge: Json, market: Marketplace
) -> None:
    response = await operator.post(refunds_of(charge), json={"amount": 5.5})
    assert (response.status_code, response.json()["amount"]) == (201, 5.5)
    await market.clock.advance(seconds=1)
    order = (await buyer.get(f"/api/orders/{charge['orderId']}")).json()
    assert order["ticket"]["status"] == "sold"
    assert (await operator.get(f"{PAY}/{charge['id']}")).json()["refunded"] == 5.5


async def test_no_more_is_given_back_than_was_paid(seller: Client, charge: Json) -> None:
    await seller.post(refunds_of(charge), json={"amount": "9.99"})
    refused = await seller.post(refunds_of(charge), json={"amount": 10.01})
    assert (refused.status_code, refused.json()["code"], refused.json()["left"]) == (
        409,
        "refund_above_charge",
        "10.00",
    )
    assert (await seller.post(refunds_of(charge), json={"amount": 10})).status_code == 201
    nothing_left = await seller.post(refunds_of(charge))
    assert (nothing_left.status_code, nothing_left.json()["code"]) == (409, "refund_above_charge")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"amount": 1.999}, "too_many_digits", "amount"),
        ({"amount": 0}, "invalid_money", "amount"),
        ({"amount": -1}, "amount_out_of_range", "amount"),
        ({"amount": "1,50"}, "invalid_input", "amount"),
        ({"amount": 10**20}, "amount_out_of_range", "amount"),
        ({"reason": "x" * 501}, "invalid_input", "reason"),
        ({"reason": "a\u0000"}, "invalid_input", "reason"),
        ({"currency": "USD"}, "invalid_input", "currency"),
    ],
)
async def test_a_bad_refund_names_the_field(
    seller: Client, charge: Json, body: dict[str, Any], code: str, field: str
) -> None:
    response = await seller.post(refunds_of(charge), json=body)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert field_of(response) == field


async def test_who_has_nothing_to_do_with_a_payment_neither_sees_it_nor_gives_it_back(
    rival: Client, nobody: Client, charge: Json
) -> None:
    assert (await nobody.post(refunds_of(charge))).status_code == 401
    for path in (refunds_of(charge), f"{PAY}/{new_id()}/refunds"):
        # Nor does an amount that is wrong for it tell that it is there.
        response = await rival.post(path, json={"amount": 0.001})
        assert (response.status_code, response.json()["code"]) == (404, "charge_not_found")
    assert (await rival.get(f"{PAY}/{charge['id']}")).status_code == 404


async def test_a_buyer_cant_give_themselves_their_money_back(buyer: Client, charge: Json) -> None:
    response = await buyer.post(refunds_of(charge))
    assert (response.status_code, response.json()["code"]) == (403, "not_the_seller")


async def test_an_order_of_several_sellers_is_refunded_by_an_operator_alone(
    seller: Client, rival: Client, buyer: Client, *, operator: Client, publish: Publish, market: Marketplace
) -> None:
    theirs = (await rival.post("/api/tickets", json={"title": "Another", "price": 5})).json()
    charge = await paid(buyer, await publish(), theirs)
    await market.clock.advance(seconds=1)
    for one in (seller, rival):
        response = await one.post(refunds_of(charge))
        assert (response.status_code, response.json()["code"]) == (403, "several_sellers")
        assert (await one.get(f"{PAY}/{charge['id']}")).status_code == 404
    assert (await operator.post(refunds_of(charge))).status_code == 201


async def test_seller_and_operator_see_a_payment_without_what_is_for_its_buyer(
    seller: Client, operator: Client, buyer: Client, publish: Publish
) -> None:
    order = await order_of(buyer, await publish())
    mine = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_threeDSecure"})).json()
    assert mine["action"]
    for other in (seller, operator):
        shown = (await other.get(f"{PAY}/{mine['id']}")).json()
        assert shown == {name: value for name, value in mine.items() if name != "action"}


async def test_a_seller_finds_the_payment_of_a_ticket_and_gives_it_back(
    seller: Client, operator: Client, buyer: Client, publish: Publish, market: Marketplace
) -> None:
    order = await order_of(buyer, ticket := await publish())
    declined = await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_chargeDeclined"})
    await market.clock.advance(seconds=1)
    order = await order_of(buyer, ticket)
    charge = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_visa"})).json()
    await market.clock.advance(seconds=1)
    sold = (await seller.get(f"/api/tickets/{ticket['id']}")).json()
    seen = [
        (await browser.get(PAY, params={"orderId": sold["orderId"]})).json() for browser in (seller, operator, buyer)
    ]
    assert seen == [[charge]] * 3
    assert (charge["status"], charge["refunds"]) == ("completed", [])
    refund = (await seller.post(refunds_of(charge), json={"amount": "5"})).json()
    (found,) = (await seller.get(PAY, params={"orderId": order["id"]})).json()
    assert (found["refunded"], found["refunds"]) == (5, [refund])
    (first,) = (await seller.get(PAY, params={"orderId": declined.json()["orderId"]})).json()
    assert (first["id"], first["status"], first["code"]) == (declined.json()["chargeId"], "failed", "card_declined")


@pytest.mark.parametrize("market_options", [{"policy": Policy(on_decline=OnDecline.KEEP)}], ids=["keep"])
async def test_an_order_has_all_its_charges_the_oldest_first(
    seller: Client, buyer: Client, publish: Publish, market: Marketplace
) -> None:
    order = await order_of(buyer, await publish())
    await market.clock.advance(seconds=1)
    assert (await seller.get(PAY, params={"orderId": order["id"]})).json() == []
    for token in ("tok_chargeDeclined", "tok_chargeDeclinedInsufficientFunds", "tok_threeDSecure"):
        await buyer.post(PAY, json={"orderId": order["id"], "token": token})
    mine, theirs = [(await browser.get(PAY, params={"orderId": order["id"]})).json() for browser in (buyer, seller)]
    assert [(one["status"], one["code"]) for one in mine] == [
        ("failed", "card_declined"),
        ("failed", "insufficient_funds"),
        ("requires_action", None),
    ]
    assert mine[2]["action"]["type"] == "fake_three_d_secure"
    assert theirs == [{name: value for name, value in one.items() if name != "action"} for one in mine]


async def test_who_has_nothing_to_do_with_an_order_does_not_see_its_payments(
    rival: Client, nobody: Client, seller: Client, buyer: Client, *, publish: Publish, market: Marketplace
) -> None:
    charge = await paid(buyer, await publish())
    assert (await nobody.get(PAY, params={"orderId": charge["orderId"]})).status_code == 401
    hidden = await rival.get(PAY, params={"orderId": charge["orderId"]})
    unknown = await rival.get(PAY, params={"orderId": new_id()})
    assert (hidden.status_code, hidden.json()["code"]) == (404, "order_not_found")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "order_not_found")
    for query in ({}, {"orderId": "1"}):
        refused = await buyer.get(PAY, params=query)
        assert (refused.status_code, field_of(refused)) == (400, "orderId")
    theirs = (await rival.post("/api/tickets", json={"title": "A seat", "price": 5})).json()
    shared = await paid(buyer, await publish(), theirs)
    for one_of_two in (seller, rival):
        assert (await one_of_two.get(PAY, params={"orderId": shared["orderId"]})).status_code == 404


async def test_only_a_completed_payment_is_given_back(seller: Client, buyer: Client, publish: Publish) -> None:
    order = await order_of(buyer, await publish())
    charge = (await buyer.post(PAY, json={"orderId": order["id"], "token": "tok_threeDSecure"})).json()
    response = await seller.post(refunds_of(charge))
    assert (response.status_code, response.json()["code"]) == (409, "charge_not_completed")


async def test_one_key_is_one_refund(seller: Client, charge: Json, provider: FakePayments) -> None:
    key = {"Idempotency-Key": "return"}
    first, second = [await seller.post(refunds_of(charge), json={"amount": 5}, headers=key) for _ in range(2)]
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    other = await seller.post(refunds_of(charge), json={"amount": 6}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert [refund.amount.minor for refund in provider.books().refunds] == [500]


async def test_a_refund_that_the_provider_refuses_is_listed_and_the_same_key_begins_another(
    seller: Client, charge: Json, provider: FakePayments
) -> None:
    provider.faults.decline("refund", code="charge_disputed")
    key = {"Idempotency-Key": "return"}
    refused = await seller.post(refunds_of(charge), headers=key)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["providerCode"]) == (409, "refund_refused", "charge_disputed")
    assert problem["chargeId"] == charge["id"]
    again = await seller.post(refunds_of(charge), headers=key)
    assert again.status_code == 201
    shown = (await seller.get(f"{PAY}/{charge['id']}")).json()
    assert shown["refunded"] == 19.99
    assert [(one["id"], one["status"], one["code"]) for one in shown["refunds"]] == [
        (problem["refundId"], "failed", "charge_disputed"),
        (again.json()["id"], "completed", None),
    ]


async def test_a_refund_that_is_not_decided_is_202_and_carried_out_later(
    seller: Client, charge: Json, provider: FakePayments, patiently: Patiently, market: Marketplace
) -> None:
    provider.faults.unavailable()
    response = await patiently(seller.post(refunds_of(charge)))
    assert (response.status_code, response.json()["status"]) == (202, "created")
    assert response.headers["location"] == f"{PAY}/{charge['id']}"
    assert response.headers["retry-after"] == "1"
    provider.faults.available()
    await market.clock.advance(minutes=1)
    [refund] = (await seller.get(response.headers["location"])).json()["refunds"]
    assert (refund["id"], refund["status"]) == (response.json()["id"], "completed")


@pytest.mark.parametrize("storage", ["memory:", "sqlite"])
async def test_many_refunds_at_once_never_exceed_what_was_paid(
    storage: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Twenty parts of 1.50 at once, of 19.99: thirteen are given back, whoever asks."""
    url = f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.db'}" if storage == "sqlite" else storage
    async with Marketplace(url, timers="memory:", drain=0.5) as market:
        transport = httpx2.ASGITransport(app=market.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as http:
            await _give_back_at_once(market, http)


async def _give_back_at_once(market: Marketplace, http: httpx2.AsyncClient) -> None:
    seller, buyer, operator = [
        {"Authorization": f"Bearer {(await market.auth.sign_up(f'{name}@example.com', PASSWORD, roles=roles)).token}"}
        for name, roles in (("seller", ()), ("buyer", ()), ("operator", (OPERATOR,)))
    ]
    ticket = (await http.post("/api/tickets", json={"title": "A seat", "price": 19.99}, headers=seller)).json()
    order = (await http.post("/api/orders", json={"ticketId": ticket["id"]}, headers=buyer)).json()
    with anyio.fail_after(20):
        paid = await http.post(PAY, json={"orderId": order["id"], "token": "tok_visa"}, headers=buyer)
    charge = paid.json()
    assert charge["status"] == "completed"
    answers: list[httpx2.Response] = []

    async def ask(headers: dict[str, str]) -> None:
        answers.append(await http.post(refunds_of(charge), json={"amount": 1.5}, headers=headers))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, seller if number % 2 else operator)
    given = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer not in given]
    assert len(given) == 13
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(409, "refund_above_charge")}
    provider = market.payments.provider
    assert isinstance(provider, FakePayments)
    [booked] = provider.books().charges
    assert (booked.captured, booked.refunded) == (1999, 13 * 150)
    shown = (await http.get(f"{PAY}/{charge['id']}", headers=buyer)).json()
    assert shown["refunded"] == 19.5
    assert len(shown["refunds"]) == 13


async def test_operators_alone_list_what_needs_people_with_its_repair(
    buyer: Client, seller: Client, operator: Client, publish: Publish, *, market: Marketplace, provider: FakePayments
) -> None:
    path = f"{PAY}/to-repair"
    assert (await operator.get(path)).json() == []
    starts_at = market.clock.now() + timedelta(days=7)
    event = await market.tickets.announce("house", name="Hamilton", venue="Richard Rodgers", starts_at=starts_at)
    charge = await paid(buyer, await publish(eventId=event.id))
    provider.faults.decline("refund", code="insufficient_balance")
    await market.operations.cancel(event.id, actor="olga")
    await market.clock.advance(minutes=2)
    [found] = (await operator.get(path)).json()
    assert (found["trouble"], found["needs"]) == ("refund_refused", "people")
    assert (found["chargeId"], found["orderId"]) == (charge["id"], charge["orderId"])
    assert "insufficient_balance" in found["what"]
    assert found["repair"].startswith("Mend what the provider's code says")
    for other in (buyer, seller):
        refused = await other.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_an_operator")
