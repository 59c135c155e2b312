"""Orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import pytest
from httpx2 import Response
from tests.http.conftest import PASSWORD, Client, Json, Publish, Visit, browsing, field_of
from tests.http.contract import Contract

from ticketkit.domain.entities import Line, LineKind
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.domain.tickets import Listing
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock

Patience: TypeAlias = Callable[[Awaitable[Response]], Awaitable[Response]]


async def test_an_order_of_one_ticket_locks_it(buyer: Client, publish: Publish, market: Marketplace) -> None:
    ticket = await publish()
    response = await buyer.post("/api/orders", json={"ticketId": ticket["id"]})
    assert response.status_code == 201
    order = response.json()
    locked = {**ticket, "orderId": order["id"], "status": "locked", "version": 2}
    assert order == {
        "id": order["id"],
        "status": "created",
        "reason": None,
        "userId": order["userId"],
        "expiresAt": "2026-01-01T00:15:00Z",
        "version": 1,
        "total": 19.99,
        "currency": "USD",
        "chargeId": None,
        "onDecline": "cancel",
        "tickets": [locked],
        "fees": [],
        "ticketId": ticket["id"],
        "ticket": locked,
    }
    assert (await buyer.get(f"/api/orders/{order['id']}")).json() == order
    assert (await buyer.get("/api/orders")).json() == [order]
    assert (await buyer.get(f"/api/tickets/{ticket['id']}")).json() == locked


class Fees:
    """A fee for each ticket, and a tax for the order."""

    def ticketkit_prices(self, tickets: Any) -> list[Line]:
        fees = [
            Line(kind=LineKind.FEE, title="Service", amount=Money(150, "USD"), ticket_id=ticket.id)
            for ticket in tickets
        ]
        return [*fees, Line(kind=LineKind.TAX, title="City tax", amount=Money(1, "USD"))]


@pytest.mark.parametrize("market_options", [{"plugins": [Fees()]}], ids=["fees"])
async def test_fees_are_shown_and_go_with_their_tickets(buyer: Client, publish: Publish) -> None:
    ids = [(await publish(price=10))["id"] for _ in range(2)]
    order = (await buyer.post("/api/orders", json={"ticketIds": ids})).json()
    fees = [{"kind": "fee", "title": "Service", "amount": 1.5, "ticketId": id} for id in ids]
    tax = {"kind": "tax", "title": "City tax", "amount": 0.01, "ticketId": None}
    assert (order["fees"], order["total"]) == ([*fees, tax], 23.01)
    kept = (await buyer.patch(f"/api/orders/{order['id']}", json={"ticketIds": ids[1:]})).json()
    assert (kept["fees"], kept["total"]) == ([fees[1], tax], 11.51)
    paid = await buyer.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"})
    assert paid.json()["amount"] == 11.51


async def test_an_order_of_several_tickets_adds_up_exactly(buyer: Client, publish: Publish) -> None:
    ids = [(await publish(price=price))["id"] for price in (0.1, 0.2, 19.99)]
    response = await buyer.post("/api/orders", json={"ticketIds": ids})
    assert response.status_code == 201
    assert '"total":20.29,' in response.text
    assert [ticket["id"] for ticket in response.json()["tickets"]] == ids
    assert "ticketId" not in response.json()
    assert "ticket" not in response.json()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "None"),
        ({"ticketId": None}, "None"),
        ({"ticketId": new_id(), "ticketIds": [new_id()]}, "None"),
        ({"ticketId": "7"}, "ticketId"),
        ({"ticketId": 7}, "ticketId"),
        ({"ticketIds": []}, "ticketIds"),
        ({"ticketIds": [new_id(), "x"]}, "ticketIds[1]"),
        ({"ticketIds": ["01a20bb9-7550-75b2-a83e-0367caca6acf"] * 2}, "ticketIds"),
        ({"ticketIds": [new_id() for _ in range(11)]}, "ticketIds"),
        ({"ticketId": new_id(), "price": 1}, "price"),
        ({"ticketId": new_id(), "userId": "me"}, "userId"),
        ([], "None"),
        ("x", "None"),
    ],
)
async def test_a_bad_order_names_the_field(regular: Client, body: Any, field: str) -> None:
    response = await regular.post("/api/orders", json=body)
    assert response.status_code == 400
    assert field_of(response) == field


async def test_an_unknown_ticket_is_404(regular: Client) -> None:
    response = await regular.post("/api/orders", json={"ticketId": new_id()})
    assert (response.status_code, response.json()["code"]) == (404, "ticket_not_found")


async def test_a_taken_ticket_is_409_and_nothing_is_locked(buyer: Client, rival: Client, publish: Publish) -> None:
    taken, free = await publish(), await publish()
    await buyer.post("/api/orders", json={"ticketId": taken["id"]})
    response = await rival.post("/api/orders", json={"ticketIds": [free["id"], taken["id"]]})
    assert (response.status_code, response.json()["code"]) == (409, "ticket_locked")
    assert response.json()["ticketId"] == taken["id"]
    assert (await rival.get(f"/api/tickets/{free['id']}")).json() == free
    assert (await rival.get("/api/orders")).json() == []


async def test_of_many_who_want_a_ticket_at_once_one_gets_it(buyer: Client, rival: Client, publish: Publish) -> None:
    ticket = await publish()
    statuses = []

    async def order(client: Client) -> None:
        statuses.append((await client.post("/api/orders", json={"ticketId": ticket["id"]})).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(order, buyer)
            group.start_soon(order, rival)
    assert sorted(statuses) == [201, *[409] * 19]


async def test_ones_own_ticket_is_not_ordered(seller: Client, publish: Publish) -> None:
    response = await seller.post("/api/orders", json={"ticketId": (await publish())["id"]})
    assert (response.status_code, response.json()["code"]) == (409, "own_ticket")


async def test_a_withdrawn_ticket_is_not_ordered(seller: Client, buyer: Client, publish: Publish) -> None:
    ticket = await publish()
    await seller.delete(f"/api/tickets/{ticket['id']}")
    response = await buyer.post("/api/orders", json={"ticketId": ticket["id"]})
    assert (response.status_code, response.json()["code"]) == (409, "ticket_withdrawn")


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"startsAt": "2026-06-01T20:00:00Z", "onSaleAt": "2026-02-01T00:00:00Z"}, "not_on_sale_yet"),
        ({"startsAt": "2025-06-01T20:00:00Z"}, "live_event_started"),
    ],
)
async def test_a_ticket_that_is_not_on_sale_is_not_ordered(
    seller: Client, buyer: Client, publish: Publish, times: dict[str, str], code: str
) -> None:
    event = (await seller.post("/api/events", json={"name": "A", "venue": "B", **times})).json()
    ticket = await publish(eventId=event["id"])
    response = await buyer.post("/api/orders", json={"ticketId": ticket["id"]})
    assert (response.status_code, response.json()["code"]) == (409, code)


async def test_a_cancelled_live_event_sells_and_lists_nothing(
    seller: Client, buyer: Client, publish: Publish, market: Marketplace
) -> None:
    times = {"startsAt": "2026-06-01T20:00:00Z"}
    event = (await seller.post("/api/events", json={"name": "A", "venue": "B", **times})).json()
    ticket = await publish(eventId=event["id"])
    await market.tickets.call_off(event["id"], owner_id=None)
    response = await buyer.post("/api/orders", json={"ticketId": ticket["id"]})
    assert (response.status_code, response.json()["code"]) == (409, "live_event_cancelled")
    response = await seller.post("/api/tickets", json={"title": "A", "price": 1, "eventId": event["id"]})
    assert (response.status_code, field_of(response)) == (400, "eventId")


@pytest.mark.parametrize("market_options", [{"policy": Policy(tickets_on_hold=2)}], ids=["2"])
async def test_a_buyer_holds_only_so_many_tickets(buyer: Client, publish: Publish) -> None:
    ids = [(await publish())["id"] for _ in range(3)]
    await buyer.post("/api/orders", json={"ticketIds": ids[:2]})
    response = await buyer.post("/api/orders", json={"ticketId": ids[2]})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_on_hold")
    assert response.json()["most"] == 2


async def test_tickets_of_two_currencies_are_not_one_order(buyer: Client, publish: Publish) -> None:
    ids = [(await publish(currency=currency))["id"] for currency in ("USD", "EUR")]
    response = await buyer.post("/api/orders", json={"ticketIds": ids})
    assert (response.status_code, response.json()["code"]) == (400, "mixed_currencies")
    assert field_of(response) == "ticketIds"


async def test_another_persons_order_does_not_exist(buyer: Client, rival: Client, publish: Publish) -> None:
    ticket = await publish()
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    for id in (order["id"], new_id()):
        path = f"/api/orders/{id}"
        responses = [
            await rival.get(path),
            await rival.patch(path, json={"ticketIds": [ticket["id"]]}),
            await rival.delete(path),
        ]
        assert [(r.status_code, r.json()["code"]) for r in responses] == [(404, "order_not_found")] * 3
    assert (await buyer.get(f"/api/orders/{order['id']}")).json() == order


async def test_an_order_keeps_some_of_its_tickets(buyer: Client, publish: Publish) -> None:
    kept, dropped = await publish(price=5), await publish()
    order = (await buyer.post("/api/orders", json={"ticketIds": [kept["id"], dropped["id"]]})).json()
    response = await buyer.patch(f"/api/orders/{order['id']}", json={"ticketIds": [kept["id"]]})
    assert response.status_code == 200
    assert (response.json()["total"], response.json()["ticketId"]) == (5, kept["id"])
    assert (await buyer.get(f"/api/tickets/{dropped['id']}")).json()["status"] == "available"


async def test_an_order_keeps_no_strange_ticket(buyer: Client, publish: Publish) -> None:
    order = (await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})).json()
    path = f"/api/orders/{order['id']}"
    for body, code in (
        ({"ticketIds": [new_id()]}, "ticket_not_in_order"),
        ({"ticketIds": []}, "invalid_input"),
        ({"ticketIds": ["x"]}, "invalid_input"),
        ({"ticketId": new_id()}, "invalid_input"),
    ):
        response = await buyer.patch(path, json=body)
        assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_cancelled_order_frees_its_tickets(buyer: Client, publish: Publish) -> None:
    ticket = await publish()
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    path = f"/api/orders/{order['id']}"
    for _ in range(2):
        response = await buyer.delete(path)
        assert (response.status_code, response.content) == (204, b"")
    assert (await buyer.get(f"/api/tickets/{ticket['id']}")).json()["status"] == "available"
    shown = (await buyer.get(path)).json()
    assert (shown["status"], shown["reason"]) == ("cancelled", "buyer")
    response = await buyer.patch(path, json={"ticketIds": [ticket["id"]]})
    assert (response.status_code, response.json()["code"]) == (409, "order_cancelled")


async def test_an_order_expires(buyer: Client, publish: Publish, market: Marketplace) -> None:
    ticket = await publish()
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    await market.clock.advance(minutes=16)
    path = f"/api/orders/{order['id']}"
    shown = (await buyer.get(path)).json()
    assert (shown["status"], shown["reason"]) == ("cancelled", "expired")
    response = await buyer.patch(path, json={"ticketIds": [ticket["id"]]})
    assert (response.status_code, response.json()["code"]) == (409, "order_expired")
    assert response.json()["state"] == "cancelled"


async def test_a_paid_order_is_not_cancelled(buyer: Client, publish: Publish, market: Marketplace) -> None:
    order = (await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})).json()
    await buyer.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"})
    path = f"/api/orders/{order['id']}"
    before = await buyer.delete(path)
    assert (before.status_code, before.json()["code"][:6]) == (409, "order_")
    await market.clock.advance(seconds=1)
    assert (await buyer.get(path)).json()["status"] == "completed"
    response = await buyer.delete(path)
    assert (response.status_code, response.json()["code"]) == (409, "order_completed")


async def test_a_buyer_may_ask_for_more_time_once(buyer: Client, publish: Publish, market: Marketplace) -> None:
    order = (await buyer.post("/api/orders", json={"ticketId": (await publish())["id"]})).json()
    longer = await buyer.post(f"/api/orders/{order['id']}/extend", headers={"Idempotency-Key": "one click"})
    assert (longer.status_code, longer.json()["expiresAt"]) == (200, "2026-01-01T00:20:00Z")
    again = await buyer.post(f"/api/orders/{order['id']}/extend", headers={"Idempotency-Key": "one click"})
    assert again.json() == longer.json(), "a double click is one request"
    more = await buyer.post(f"/api/orders/{order['id']}/extend")
    assert (more.status_code, more.json()["code"]) == (409, "extended_already")
    await market.clock.advance(minutes=19)
    assert (await buyer.get(f"/api/orders/{order['id']}")).json()["status"] == "created"
    await market.clock.advance(minutes=2)
    late = await buyer.post(f"/api/orders/{order['id']}/extend")
    assert (late.status_code, late.json()["code"]) == (409, "order_expired")


async def test_a_lock_gets_no_longer_than_the_policy_says(document: Json) -> None:
    policy = Policy(extension=timedelta(minutes=10), extensions=9, longest_hold=timedelta(minutes=30))
    async with (
        Marketplace(clock=VirtualClock(), policy=policy) as market,
        browsing(market.asgi(), Contract(document)) as buyer,
    ):
        (ticket,) = await market.tickets.list("seller", [Listing(title="Row A", price=Money(100, "USD"))])
        buyer.cookies.set("session", (await market.auth.sign_up("b@example.com", PASSWORD)).token)
        order = (await buyer.post("/api/orders", json={"ticketId": ticket.id})).json()
        ends = [(await buyer.post(f"/api/orders/{order['id']}/extend")).json() for _ in range(3)]
    assert [end.get("expiresAt") for end in ends[:2]] == ["2026-01-01T00:25:00Z", "2026-01-01T00:30:00Z"]
    assert ends[2]["code"] == "extended_already"


async def test_a_pass_lets_its_holder_in_once(
    buyer: Client, seller: Client, visit: Visit, publish: Publish, market: Marketplace
) -> None:
    ticket = await publish(seat="A1")
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    early = await buyer.get(f"/api/orders/{order['id']}/passes")
    assert (early.status_code, early.json()["code"]) == (409, "order_not_completed")
    paid = await buyer.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"})
    assert paid.status_code == 201
    (found,) = (await buyer.get(f"/api/orders/{order['id']}/passes")).json()
    assert found["ticketId"] == ticket["id"]
    stranger = await (await visit("stranger")).post("/api/passes/admissions", json={"pass": found["pass"]})
    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_the_seller")
    admitted = await seller.post("/api/passes/admissions", json={"pass": found["pass"]})
    assert (admitted.status_code, admitted.json()["seat"]) == (200, "A1")
    again = await seller.post("/api/passes/admissions", json={"pass": found["pass"]})
    assert (again.status_code, again.json()["code"]) == (409, "admitted_already")
    forged = await seller.post("/api/passes/admissions", json={"pass": found["pass"][:-2]})
    assert (forged.status_code, forged.json()["code"]) == (400, "invalid_pass")


async def test_a_pass_is_void_when_its_order_was_given_back(
    buyer: Client, seller: Client, publish: Publish, market: Marketplace
) -> None:
    ticket = await publish()
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    charge = (await buyer.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"})).json()
    (found,) = (await buyer.get(f"/api/orders/{order['id']}/passes")).json()
    await market.payments.refund(charge["id"], actor=None)
    await market.clock.advance(seconds=5)
    assert (await buyer.get(f"/api/tickets/{ticket['id']}")).json()["status"] == "available"
    shown = await seller.post("/api/passes/admissions", json={"pass": found["pass"]})
    assert (shown.status_code, shown.json()["code"]) == (409, "pass_void")
    gone = await buyer.get(f"/api/orders/{order['id']}/passes")
    assert (gone.status_code, gone.json()["code"]) == (409, "order_refunded")


async def test_nothing_is_ordered_while_sales_are_paused(seller: Client, buyer: Client, publish: Publish) -> None:
    event = (
        await seller.post("/api/events", json={"name": "Rent", "venue": "Here", "startsAt": "2026-06-02T00:00:00Z"})
    ).json()
    ticket = await publish(eventId=event["id"])
    refused = await buyer.post(f"/api/events/{event['id']}/pause")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_owner")
    assert (await seller.post(f"/api/events/{event['id']}/pause")).json()["paused"] is True
    assert (await seller.post(f"/api/events/{event['id']}/pause")).json()["version"] == 2, "again it changes nothing"
    order = await buyer.post("/api/orders", json={"ticketId": ticket["id"]})
    assert (order.status_code, order.json()["code"]) == (409, "sales_paused")
    assert (await seller.post(f"/api/events/{event['id']}/resume")).json()["paused"] is False
    assert (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).status_code == 201


async def test_a_cancelled_live_event_gives_everybody_their_money_back(
    seller: Client, buyer: Client, publish: Publish, patiently: Patience, market: Marketplace
) -> None:
    event = (
        await seller.post("/api/events", json={"name": "Rent", "venue": "Here", "startsAt": "2026-06-02T00:00:00Z"})
    ).json()
    ticket = await publish(eventId=event["id"])
    order = (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).json()
    charge = await patiently(buyer.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"}))
    refused = await buyer.post(f"/api/events/{event['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_the_owner")
    assert (await seller.post(f"/api/events/{event['id']}/cancel")).json()["status"] == "cancelled"
    await market.clock.advance(seconds=10)
    paid = (await buyer.get(f"/api/payments/{charge.json()['id']}")).json()
    assert (paid["refunded"], paid["refunds"][0]["reason"]) == (19.99, "The live event is cancelled.")
    now = (await buyer.get(f"/api/orders/{order['id']}")).json()
    assert (now["status"], now["reason"]) == ("completed", "event_cancelled")
    assert (await buyer.get(f"/api/tickets/{ticket['id']}")).json()["status"] == "withdrawn"
    again = await seller.post(f"/api/events/{event['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_cancelled")
