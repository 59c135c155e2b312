"""What is printed on the tickets is kept in the commit that locks them, or neither happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from ticketkit_embedded.dedications import Dedication


@pytest.fixture
async def kept(house: Any) -> Callable[[], Awaitable[list[tuple[str, str]]]]:
    """Finds what has been kept since the test began: order and text."""

    async def every() -> dict[str, str]:
        async with house.database.session() as session:
            return {one.order_id: one.text for one in await session.scalars(select(Dedication))}

    before = await every()

    async def kept() -> list[tuple[str, str]]:
        return [(order_id, text) for order_id, text in (await every()).items() if order_id not in before]

    return kept


async def test_a_dedication_names_its_order(ada: Any, kept: Any, book: Any, orchard: list[str]) -> None:
    booking = await book(ada, orchard[0], dedication="For Lyubov")
    assert booking["dedication"] == "For Lyubov"
    assert await kept() == [(booking["id"], "For Lyubov")]
    assert (await book(ada, orchard[1]))["dedication"] is None


async def test_a_booking_that_is_refused_leaves_no_dedication(
    ada: Any, bob: Any, kept: Any, book: Any, orchard: list[str]
) -> None:
    await book(ada, orchard[0])
    refused = await bob.post("/bookings", json={"seats": [orchard[0]], "dedication": "For me"})
    assert refused.json()["code"] == "ticket_locked"
    assert await kept() == []


async def test_a_dedication_that_the_database_refuses_leaves_no_booking(
    ada: Any, bob: Any, kept: Any, book: Any, orchard: list[str]
) -> None:
    refused = await ada.post("/bookings", json={"seats": [orchard[0]], "dedication": "x" * 61})
    assert (refused.status_code, refused.json()["code"]) == (400, "refused")
    assert (await ada.get("/shop/api/orders")).json() == []
    await book(bob, orchard[0])


async def test_a_booking_that_is_sent_twice_is_one_with_one_dedication(ada: Any, kept: Any, orchard: list[str]) -> None:
    answers = []

    async def send() -> None:
        body = {"seats": orchard[:1], "dedication": "For Lyubov"}
        answers.append(await ada.post("/bookings", json=body, headers={"Idempotency-Key": "click"}))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(send)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await kept()) == 1


async def test_of_rivals_with_dedications_the_winner_s_is_kept(visit: Any, kept: Any, orchard: list[str]) -> None:
    rivals = [await visit(f"rival{number}") for number in range(6)]
    won = []

    async def book(rival: Any, number: int) -> None:
        answer = await rival.post("/bookings", json={"seats": orchard[:2], "dedication": f"rival {number}"})
        if answer.status_code == 201:
            won.append((answer.json()["id"], f"rival {number}"))

    async with anyio.create_task_group() as group:
        for number, rival in enumerate(rivals):
            group.start_soon(book, rival, number)
    assert len(won) == 1
    assert await kept() == won
