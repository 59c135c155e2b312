"""What operators do: each with a confirmation where it can't be taken back, once for two clicks, and on the log."""

import pytest
from ops.conftest import Receipts, looked
from web.browsing import Browser

from ticketkit.domain.entities import LiveEvent, Order, Ticket
from ticketkit.marketplace import Marketplace
from ticketkit.memory import FakePayments
from ticketkit.services.catalogue import Boundary


def logged(caplog: pytest.LogCaptureFixture) -> "list[str]":
    records = [record for record in caplog.records if record.name == "ticketkit_marketplace.ops"]
    assert all(vars(record)["operator"] == "olga@example.com" for record in records)
    return [record.getMessage() for record in records]


async def test_locks_are_listed_by_their_end_and_one_is_released(
    operator: Browser, market: Marketplace, order: Order, tickets: list[Ticket], caplog: pytest.LogCaptureFixture
) -> None:
    await market.clock.advance(minutes=1)
    later = (await market.orders.place("bob", [tickets[2].id])).order
    page = await operator.open("/ops/locks")
    rows = page.every("tbody tr")
    assert rows[0].startswith(f"{order.id} 14:00 left 2 Hamilton Seat 1")
    assert rows[1].startswith(f"{later.id} 15:00 left 1 Hamilton Seat 3")
    page = await operator.follow("Release")
    assert page.heading == "Release the lock?"
    assert "Hamilton, Seat 2" in page.text
    assert (await market.tickets.get(tickets[0].id)).status == "locked"
    form = page.form("Release the lock")
    page = await operator.submit("Release the lock")
    assert "The lock is released" in page.text
    assert len(page.every("tbody tr")) == 1
    assert (await market.tickets.get(tickets[0].id)).status == "available"
    assert (await market.orders.get("ada", order.id)).order.status == "cancelled"
    again = await operator.send(form)
    assert again.headers["location"] == "/ops/locks?done=released"
    assert logged(caplog) == ["operator: released a lock"]


async def test_a_lock_that_is_over_can_not_be_released(operator: Browser, market: Marketplace, order: Order) -> None:
    await market.orders.cancel("ada", order.id)
    page = await operator.open(f"/ops/locks/{order.id}/release")
    assert page.heading == "There is no lock to release"
    paid = (await market.orders.place("ada", list(order.ticket_ids))).order
    await market.payments.pay("ada", paid.id, token="tok_visa")
    sent = await operator.client.post(f"/ops/locks/{paid.id}/release", data={"key": "some-key"})
    assert sent.status_code == 409
    assert (await market.orders.get("ada", paid.id)).order.status == "completed"


async def test_the_sales_of_a_live_event_are_paused_and_resumed(
    operator: Browser, show: LiveEvent, market: Marketplace, caplog: pytest.LogCaptureFixture
) -> None:
    await operator.open("/ops/events?q=hamil")
    page = await operator.follow("Hamilton")
    assert "On sale" in page.text
    page = await operator.submit("Pause sales")
    assert "Sales paused" in page.text
    assert (await market.tickets.live_event(show.id)).paused
    page = await operator.submit("Resume sales")
    assert "Tickets can be ordered again." in page.text
    assert not (await market.tickets.live_event(show.id)).paused
    assert logged(caplog) == ["operator: paused sales", "operator: resumed sales"]
    olga = await market.auth.find("olga@example.com")
    assert olga is not None
    events = await market.runtime.storage(Boundary.INVENTORY).events_about([show.id])
    told = [kept.event.actor for kept in events if kept.event.name == "live_event.updated"]
    assert told == [olga.id, olga.id]


async def test_a_live_event_is_cancelled_after_a_look_at_what_that_does(
    operator: Browser, show: LiveEvent, market: Marketplace, tickets: list[Ticket], caplog: pytest.LogCaptureFixture
) -> None:
    paid = (await market.orders.place("ada", [tickets[0].id])).order
    charge = await market.payments.pay("ada", paid.id, token="tok_visa")
    opened = (await market.orders.place("bob", [tickets[1].id])).order
    await operator.open(f"/ops/events/{show.id}")
    page = await operator.follow("Cancel and refund everybody")
    assert page.every(".facts dd") == ["1", "1", "0", "1", "$100.00"]
    assert "Nothing is done yet." in page.text
    page = await operator.submit("Cancel it", name="Cats")
    assert page.errors == {"name": "Type the name of the live event: Hamilton"}
    assert (await market.tickets.live_event(show.id)).status == "scheduled"
    page = await operator.submit("Cancel it", name="hamilton")
    assert page.heading == "Hamilton"
    assert "Refunds are on record" in page.said("[role=status]")
    await market.clock.advance(seconds=10)
    page = await operator.open(f"/ops/events/{show.id}")
    assert "Cancelled" in page.text
    assert "All its orders are undone" in page.text
    assert (await market.orders.get("bob", opened.id)).order.reason == "event_cancelled"
    _, refunds = await market.payments.get("ada", charge.id)
    assert [(refund.status, str(refund.amount)) for refund in refunds] == [("completed", "100.00 USD")]
    assert (await operator.open(f"/ops/events/{show.id}/cancel")).heading == "Hamilton"
    assert logged(caplog) == ["operator: cancels a live event", "operator: cancelled a live event"]


async def test_orders_are_found_by_state_and_by_id(operator: Browser, market: Marketplace, order: Order) -> None:
    page = await operator.open("/ops/orders")
    assert page.every("tbody th") == [order.id]
    await operator.follow("Paid")
    assert "There is none." in operator.page.text
    page = await operator.submit("Open", order=order.id.upper())
    assert page.heading == "Order"
    assert "15:00 left" in page.text
    assert "Seat 1" in page.text
    await operator.open("/ops/orders")
    page = await operator.submit("Open", order="what was it")
    assert (page.status, "This is no id of an order" in page.text) == (422, True)


async def test_an_order_tells_its_story_with_who_caused_each_step(
    operator: Browser, market: Marketplace, order: Order
) -> None:
    await market.clock.advance(seconds=30)
    charge = await market.payments.pay("ada", order.id, token="tok_visa")
    await market.payments.refund(charge.id, actor="olga", seller_id=None)
    await market.clock.advance(seconds=5)
    page = await operator.open(f"/ops/orders/{order.id}")
    told = page.every(".story .entry")
    assert told[0].startswith("00:00:00.000 order.created created: 300.00 USD, 2 tickets by the buyer ada")
    names = [entry.split()[1] for entry in told]
    assert [name for name in names if name.startswith("charge.")][:3] == [
        "charge.created",
        "charge.authorized",
        "charge.completed",
    ]
    assert "refund.completed" in names
    assert any("olga" in entry for entry in told if "refund.created" in entry)
    money = page.every("[aria-label='Charges and refunds'] tbody tr")
    assert money[0].startswith(f"charge {charge.id} completed pays it $300.00 fake")
    assert money[1].startswith("refund ")
    assert "pays it" in page.text
    assert "Still to happen" not in page.text


async def test_orders_come_in_pages(operator: Browser, market: Marketplace, tickets: list[Ticket]) -> None:
    ids = []
    for number in range(70):
        placed = (await market.orders.place(f"buyer-{number}", [tickets[0].id])).order
        await market.orders.cancel(f"buyer-{number}", placed.id)
        ids.append(placed.id)
    page = await operator.open("/ops/orders")
    assert page.every("tbody th") == ids[:50]
    assert (await operator.follow("Next page")).every("tbody th") == ids[50:]
    await operator.follow("Back to the first page")
    page = await operator.open("/ops/orders?state=cancelled")
    assert len(page.every("tbody th")) == 70


async def dead(market: Marketplace, order: Order, receipts: Receipts) -> None:
    """Have the consumer fail until its event is a dead letter."""
    receipts.broken = True
    await market.orders.cancel("ada", order.id)
    await market.clock.advance(seconds=75)


async def test_a_dead_letter_is_looked_at_and_replayed(
    operator: Browser, market: Marketplace, order: Order, receipts: Receipts, caplog: pytest.LogCaptureFixture
) -> None:
    await dead(market, order, receipts)
    page = await looked(operator)
    assert page.said("#dead") == "1"
    assert "A dead letter waits for a decision." in page.text
    page = await operator.open("/ops/dead-letters")
    assert "the printer is on fire" in page.text
    page = await operator.follow("order.cancelled")
    assert f'"id": "{order.id}"' in page.text
    page = await operator.follow("Replay")
    assert page.heading == "Replay this dead letter?"
    receipts.broken = False
    assert receipts.handled == []
    form = page.form("Replay it")
    page = await operator.submit("Replay it")
    assert "The dead letter is tried again." in page.text
    await market.clock.advance(seconds=10)
    assert receipts.handled == [order.id]
    assert (await operator.open("/ops/dead-letters")).said(".note.good") == "There is none."
    assert (await operator.send(form)).headers["location"] == "/ops/dead-letters?done=replayed"
    await market.clock.advance(seconds=10)
    assert receipts.handled == [order.id]
    assert logged(caplog) == ["operator: replayed a dead letter"]


async def test_a_dead_letter_is_dropped_after_a_confirmation(
    operator: Browser, market: Marketplace, order: Order, receipts: Receipts, caplog: pytest.LogCaptureFixture
) -> None:
    await dead(market, order, receipts)
    await operator.open("/ops/dead-letters")
    await operator.follow("order.cancelled")
    page = await operator.follow("Drop")
    path = page.path
    assert page.heading == "Drop this dead letter?"
    assert "deleted for good" in page.text
    page = await operator.submit("Drop it")
    assert "The dead letter is deleted." in page.text
    assert (await operator.open(path)).status == 404
    sent = await operator.client.post(path, data={"key": "another-click"})
    assert sent.headers["location"] == "/ops/dead-letters?done=gone"
    await market.clock.advance(seconds=10)
    assert receipts.handled == []
    assert logged(caplog) == ["operator: dropped a dead letter"]


async def test_payments_that_need_people_are_said_with_their_repair(
    operator: Browser, market: Marketplace, order: Order, show: LiveEvent
) -> None:
    assert "None does" in (await operator.open("/ops/payments")).text
    await market.payments.pay("ada", order.id, token="tok_visa")
    provider = market.payments.provider
    assert isinstance(provider, FakePayments)
    provider.faults.decline("refund", code="insufficient_balance")
    await market.operations.cancel(show.id, actor="olga")
    await market.clock.advance(seconds=70)
    page = await looked(operator)
    assert page.said("#repairs") == "1"
    assert "A payment needs people." in page.text
    page = await operator.follow("payments that need people")
    assert page.said("article h2") == "Refund refused"
    assert "insufficient_balance" in page.said("article")
    assert "Repair: Mend what the provider's code says" in page.said("article")
    assert page.link(order.id) == f"/ops/orders/{order.id}"
