"""The Link header walks a whole list."""

from __future__ import annotations

import re

import pytest
from tests.http.conftest import Client

from ticketkit.marketplace import Marketplace


async def walk(client: Client, path: str) -> list[str]:
    """Ids of the list, page by page."""
    found: list[str] = []
    while path:
        response = await client.get(path)
        assert response.status_code == 200
        found += [item["id"] for item in response.json()]
        match = re.fullmatch(r'<([^>]+)>; rel="next"', response.headers.get("link", ""))
        path = match[1] if match else ""
    return found


@pytest.fixture
async def full(seller: Client, market: Marketplace) -> str:
    """A live event with 7 tickets, one of seven live events."""
    body = {"name": "Show", "venue": "Hall", "startsAt": "2030-01-01T00:00:00Z"}
    events = [(await seller.post("/api/events", json=body)).json()["id"] for _ in range(7)]
    rows = [{"title": f"Käfig {n}", "price": 10 + n % 3, "eventId": events[0]} for n in range(7)]
    await seller.post("/api/tickets/batch", json={"tickets": rows})
    return str(events[0])


@pytest.mark.parametrize(
    "path",
    [
        "/api/events?q=show",
        "/api/tickets?q=K%C3%A4fig&minPrice=1.00",
        "/api/tickets?sort=price",
        "/api/tickets?sort=-price",
        "/api/tickets?sort=oldest",
        "/api/tickets/mine?status=available",
        "/api/events/{id}/tickets?sort=price",
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_following_the_links_shows_each_once(seller: Client, full: str, path: str, limit: int) -> None:
    path = path.replace("{id}", full)
    ids = await walk(seller, f"{path}&limit={limit}")
    assert len(ids) == len(set(ids)) == 7
    assert ids == [item["id"] for item in (await seller.get(path)).json()]


async def test_orders_are_paged_too(buyer: Client, seller: Client, full: str) -> None:
    tickets = (await seller.get("/api/tickets")).json()
    for ticket in tickets[:5]:
        assert (await buyer.post("/api/orders", json={"ticketId": ticket["id"]})).status_code == 201
    assert len(await walk(buyer, "/api/orders?limit=2")) == 5


async def test_a_cursor_of_another_list_is_refused(seller: Client, full: str) -> None:
    link = (await seller.get("/api/tickets?sort=price&limit=1")).headers["link"]
    cursor = link.partition("cursor=")[2].partition(">")[0]
    for path in (f"/api/tickets?sort=-price&cursor={cursor}", f"/api/events?cursor={cursor}"):
        response = await seller.get(path)
        assert (response.status_code, response.json()["code"]) == (400, "bad_cursor")
