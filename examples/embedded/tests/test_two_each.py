"""Two tickets a person for each show: one after the other, at once, and in the one moment that is hard."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from ticketkit.domain.entities import TicketStatus
from ticketkit.domain.errors import LimitReached
from ticketkit.plugins import FactsOutOfDate


async def had(house: Any, browser: Any) -> int:
    """Tickets of a member, on hold or paid."""
    orders = (await browser.get("/shop/api/orders?limit=100")).json()
    return sum(len(order["tickets"]) for order in orders if order["status"] != "cancelled")


async def refused(browser: Any, *seats: str) -> dict[str, Any]:
    answer = await browser.post("/bookings", json={"seats": seats})
    assert answer.status_code == 409, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_third_ticket_is_refused_with_what_one_has(ada: Any, book: Any, orchard: list[str]) -> None:
    await book(ada, orchard[0], paid=True)
    await book(ada, orchard[1])
    problem = await refused(ada, orchard[2])
    assert (problem["code"], problem["most"], problem["had"]) == ("two_each", 2, 2)
    assert problem["detail"] == "There are 2 tickets a person for each show."


async def test_three_at_once_are_refused_and_stay_free(ada: Any, bob: Any, book: Any, orchard: list[str]) -> None:
    assert (await refused(ada, *orchard[:3]))["code"] == "two_each"
    await book(bob, *orchard[:2])


async def test_each_show_and_each_person_counts_alone(
    ada: Any, bob: Any, book: Any, orchard: list[str], endgame: list[str]
) -> None:
    await book(ada, *orchard[:2], paid=True)
    await book(ada, *endgame[:2])
    await book(bob, *orchard[2:4])


async def test_the_api_under_shop_keeps_the_rule_too(ada: Any, book: Any, orchard: list[str]) -> None:
    await book(ada, *orchard[:2])
    answer = await ada.post("/shop/api/orders", json={"ticketId": orchard[2]})
    assert (answer.status_code, answer.json()["code"]) == (409, "two_each")


async def test_what_is_cancelled_or_dropped_may_be_booked_again(ada: Any, book: Any, orchard: list[str]) -> None:
    first = await book(ada, *orchard[:2])
    await ada.patch(f"/shop/api/orders/{first['id']}", json={"ticketIds": [orchard[0]]})
    second = await book(ada, orchard[1])
    await ada.delete(f"/shop/api/orders/{second['id']}")
    await book(ada, orchard[2])
    assert (await refused(ada, orchard[3]))["code"] == "two_each"


async def test_what_was_given_back_counts_no_more(ada: Any, book: Any, house: Any, orchard: list[str]) -> None:
    booked = await book(ada, *orchard[:2], paid=True)
    order = (await ada.get(f"/shop/api/orders/{booked['id']}")).json()
    await house.market.payments.refund(order["chargeId"], actor=None)
    with anyio.fail_after(10):
        while (await house.market.tickets.get(orchard[0])).status is not TicketStatus.AVAILABLE:
            assert await house.market.runtime.drain(5)
    await book(ada, *orchard[2:4])


async def test_of_twelve_seats_at_once_a_member_gets_two(ada: Any, house: Any, orchard: list[str]) -> None:
    answers: Counter[str] = Counter()

    async def one(seat: str) -> None:
        answer = await ada.post("/bookings", json={"seats": [seat]})
        answers[answer.json().get("code", "booked")] += 1

    async with anyio.create_task_group() as group:
        for seat in orchard[:12]:
            group.start_soon(one, seat)
    assert answers["booked"] <= 2
    assert set(answers) <= {"booked", "two_each", "try_again"}
    for seat in orchard[12:14]:  # who was told to try again does
        await ada.post("/bookings", json={"seats": [seat]})
    assert await had(house, ada) == 2


async def test_paying_and_booking_at_once_gets_nobody_a_third(visit: Any, house: Any, orchard: list[str]) -> None:
    members = [await visit(name) for name in ("ada", "bob", "cleo")]
    free = iter(orchard)
    mine = {member: [next(free) for _ in range(8)] for member in members}

    async def buy(member: Any, seat: str) -> None:
        answer = await member.post("/bookings", json={"seats": [seat]})
        if answer.status_code == 201:
            await member.post(f"/bookings/{answer.json()['id']}/pay", json={"token": "tok_visa"})

    async with anyio.create_task_group() as group:
        for member in members:
            for seat in mine[member]:
                group.start_soon(buy, member, seat)
    for member in members:
        assert 1 <= await had(house, member) <= 2


async def test_a_booking_that_is_paid_between_the_question_and_the_verdict_counts(
    ada: Any, book: Any, house: Any, orchard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one moment in which it is neither on hold, nor among what was bought when that was asked for."""
    first = await book(ada, *orchard[:2])
    [rule] = house.market.plugins.rules()
    asked: list[Any] = []
    gather = rule.gather

    async def gather_then_pay(buyer_id: str, ticket_ids: Any) -> Any:
        facts = await gather(buyer_id, ticket_ids)
        asked.append(facts)
        if len(asked) == 1:
            paid = await ada.post(f"/bookings/{first['id']}/pay", json={"token": "tok_visa"})
            assert paid.json()["status"] == "completed"
        return facts

    monkeypatch.setattr(rule, "gather", gather_then_pay)
    assert (await refused(ada, orchard[2]))["code"] == "two_each"
    assert [sum(facts.bought.values()) for facts in asked] == [0, 2]


async def test_the_app_s_own_transaction_is_told_to_try_again(
    ada: Any, book: Any, house: Any, orchard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    me = (await ada.post("/shop/api/tickets", json={"title": "Mine", "price": 1})).json()["userId"]
    [rule] = house.market.plugins.rules()
    gather = rule.gather

    async def gather_then_book(buyer_id: str, ticket_ids: Any) -> Any:
        facts = await gather(buyer_id, ticket_ids)
        monkeypatch.undo()
        await book(ada, orchard[1])
        return facts

    monkeypatch.setattr(rule, "gather", gather_then_book)
    with pytest.raises(FactsOutOfDate):
        async with house.database.transaction() as connection:
            await house.market.orders.place(me, [orchard[0]], within=connection)
    async with house.database.transaction() as connection:
        await house.market.orders.place(me, [orchard[0]], within=connection)
    with pytest.raises(LimitReached):
        await house.market.orders.place(me, [orchard[2]])
