"""The overview: every number as it is, with its plot, and where its rows are."""

import pytest
from ops.conftest import Receipts, looked
from web.browsing import Browser

from ticketkit.backends.errors import Unavailable
from ticketkit.domain.entities import Order, Ticket
from ticketkit.marketplace import Marketplace
from ticketkit.memory.storage import MemoryStorage


async def test_orders_are_counted_by_state_from_the_first_second(operator: Browser, order: Order) -> None:
    page = await looked(operator)
    assert page.heading == "Overview"
    assert page.said("#created") == "1"
    assert page.said("#completed") == "0"
    assert page.said("#locks") == "2"
    assert "the next ends in 14:59" in page.text
    assert "All is well" in page.text


async def test_every_number_leads_to_its_rows(operator: Browser, order: Order) -> None:
    page = await looked(operator)
    paths = [str(link["href"]) for link in page.soup.select(".tile a")]
    assert len(paths) >= 10
    for path in paths:
        rows = await operator.open(path)
        assert rows.status == 200, path
    await looked(operator)
    assert order.id in (await operator.follow("orders: waiting for payment")).text


async def test_every_plot_says_in_words_what_it_shows(operator: Browser, order: Order) -> None:
    await operator.clock.advance(seconds=10)
    page = await looked(operator)
    words = [str(plot["aria-label"]) for plot in page.soup.select("svg.plot")]
    assert "Orders, waiting for payment in the last 11 s: 1 now, least 0, most 1." in words
    assert all(plot["role"] == "img" for plot in page.soup.select("svg.plot"))


async def test_sales_and_conflicts_are_told_by_the_second(
    operator: Browser, market: Marketplace, tickets: list[Ticket]
) -> None:
    await looked(operator)
    order = (await market.orders.place("ada", [tickets[0].id])).order
    charge = await market.payments.pay("ada", order.id, token="tok_visa")
    assert charge.status == "completed"
    client = operator.client
    loser = await market.auth.sign_up("loser@example.com", "correct horse")
    headers = {"authorization": f"Bearer {loser.token}", "host": "testserver:80"}
    answer = await client.post("http://testserver/api/orders", json={"ticketIds": [tickets[0].id]}, headers=headers)
    assert answer.status_code == 409
    page = await looked(operator)
    assert float(page.said("#sales")) > 0
    assert float(page.said("#conflicts")) > 0
    assert page.said("#p99").endswith("s")
    assert page.said("#completed") == "1"
    await operator.follow("Requests by route")
    row = next(words for words in operator.page.every("tbody tr") if words.startswith("POST /api/orders "))
    assert row.split()[2:4] == ["1", "1"]


async def test_what_can_not_be_read_is_said_and_the_page_stands(
    operator: Browser, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: MemoryStorage) -> None:
        msg = "the database has gone for a walk"
        raise Unavailable(msg)

    monkeypatch.setattr(MemoryStorage, "totals", away)
    page = await looked(operator)
    assert page.status == 200
    assert "the database has gone for a walk" in page.text
    assert page.said("#created") == "\N{EN DASH}"
    monkeypatch.undo()
    assert (await looked(operator)).said("#created") == "1"


async def test_outboxes_and_consumers_are_listed_with_what_waits_for_them(
    operator: Browser, market: Marketplace, order: Order, receipts: Receipts
) -> None:
    page = await looked(operator, "/ops/flow")
    assert page.every("[aria-label=Outboxes] tbody tr") == ["accounts, inventory, payments 0 \N{EN DASH} 0"]
    consumers = dict(row.split() for row in page.every("[aria-label=Consumers] tbody tr"))
    assert consumers == {"expiration": "0", "orders": "0", "payments": "0", "receipts": "0"}
    receipts.broken = True
    await market.orders.cancel("ada", order.id)
    page = await looked(operator)
    assert page.said("#lag") == "1"
    assert "receipts 1" in page.text
    page = await operator.follow("events that wait for consumers")
    assert "receipts 1" in page.every("[aria-label=Consumers] tbody tr")
    (row,) = page.every("#waiting tbody tr")
    assert row.startswith(f"order.cancelled {order.id} accounts, inventory, payments ")
    assert page.one("#waiting td a")["href"] == f"/ops/orders/{order.id}"
    receipts.broken = False
    await market.clock.advance(seconds=10)
    assert (await looked(operator)).said("#lag") == "0"
    assert (await looked(operator, "/ops/flow")).every("#waiting tbody tr") == []
