"""A receipt for each order that is paid: once, however often its event comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
from sqlalchemy import text

from ticketkit.domain.entities import LineKind, OrderStatus
from ticketkit.events.catalogue import Amount, OrderCompleted, OrderLine
from ticketkit.services.catalogue import Boundary


async def receipts(browser: Any, house: Any) -> list[dict[str, Any]]:
    """A member's receipts, once all events have been handled."""
    assert await house.market.runtime.drain(15)
    return list((await browser.get("/receipts")).json())


async def test_who_pays_gets_a_receipt_and_nobody_else(
    ada: Any, bob: Any, house: Any, book: Any, orchard: list[str]
) -> None:
    booking = await book(ada, orchard[0], paid=True)
    await book(bob, orchard[1])
    [receipt] = await receipts(ada, house)
    assert receipt["booking"] == booking["id"]
    assert receipt["total"] == "25.70 EUR"
    assert [(line["title"], line["amount"]) for line in receipt["lines"]] == [
        ("The Cherry Orchard", "24.00 EUR"),
        ("Service fee", "1.70 EUR"),
    ]
    assert receipt["lines"][0]["seat"]
    assert (await bob.get("/receipts")).json() == []


async def test_an_event_that_comes_again_writes_no_second_receipt(
    ada: Any, house: Any, book: Any, orchard: list[str]
) -> None:
    booking = await book(ada, orchard[0], paid=True)
    first = await receipts(ada, house)
    query = text("SELECT id FROM ticketkit_outbox WHERE type = 'ticketkit.order.completed.v1' AND subject = :order")
    async with house.database.transaction() as connection:
        [event_id] = await connection.scalars(query, {"order": booking["id"]})
    for _ in range(3):
        assert await house.market.runtime.storage(Boundary.INVENTORY).replay_event(event_id)
        assert await house.market.runtime.drain(10)
    assert await receipts(ada, house) == first


async def test_two_deliveries_at_once_write_one_receipt(ada: Any, house: Any, book: Any, orchard: list[str]) -> None:
    booking = await book(ada, orchard[0])
    order = (await ada.get(f"/shop/api/orders/{booking['id']}")).json()
    line = OrderLine(kind=LineKind.TICKET, title="A seat", amount=Amount(minor=100, currency="EUR"))
    state = OrderCompleted(
        id=order["id"],
        version=9,
        user_id=order["userId"],
        status=OrderStatus.COMPLETED,
        expires_at=order["expiresAt"],
        total=line.amount,
        lines=(line,),
    )
    event: Any = SimpleNamespace(data=state)
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(house.receipts.write, event)
    [receipt] = await receipts(ada, house)
    assert receipt["total"] == "1.00 EUR"


async def test_a_receipt_that_fails_is_tried_again(ada: Any, house: Any, book: Any, orchard: list[str]) -> None:
    async with house.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE receipts RENAME TO moved"))
    booking = await book(ada, orchard[0], paid=True)
    assert not await house.market.runtime.drain(0.2)
    async with house.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE moved RENAME TO receipts"))
    [receipt] = await receipts(ada, house)
    assert receipt["booking"] == booking["id"]
