"""The story of an order: what happened, in what order, and who caused each step."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit.backends.errors import Unavailable
from ticketkit.domain.errors import NotFound
from ticketkit.events.catalogue import OrderCompleted
from ticketkit.memory import MemoryBus
from ticketkit.services.story import EntryKind, Story, Teller

if TYPE_CHECKING:
    from ticketkit.domain.entities import Order
    from ticketkit.services.causes import Cause


async def told(shop: Shop, order: Order) -> Story:
    return await shop.market.operations.story(order.id)


def events(story: Story) -> list[str]:
    return [entry.what for entry in story.entries if entry.kind is EntryKind.EVENT]


def by(cause: Cause | None) -> str:
    """A cause in short: `buyer`, or `buyer via charge.created`."""
    assert cause is not None
    who = cause.role.value if cause.role else "nobody"
    return who if cause.directly else f"{who} via {cause.event}"


def causes(story: Story) -> dict[str, str]:
    return {entry.what: by(entry.cause) for entry in story.entries if entry.kind is EntryKind.EVENT}


async def test_a_purchase_is_told_from_lock_to_sale(shop: Shop) -> None:
    order = await shop.order("25", "30")
    charge = await shop.pay(order)
    await shop.clock.settle()
    story = await told(shop, order)
    assert events(story) == [
        "order.created",
        "ticket.locked",
        "ticket.locked",
        "charge.created",
        "order.extended",
        "charge.authorized",
        "order.awaiting_payment",
        "charge.completed",
        "order.completed",
        "ticket.sold",
        "ticket.sold",
    ]
    assert causes(story) == {
        "order.created": "buyer",
        "ticket.locked": "buyer",
        "charge.created": "buyer",
        "order.extended": "buyer via charge.created",
        "charge.authorized": "buyer via None",
        "order.awaiting_payment": "buyer via charge.authorized",
        "charge.completed": "buyer via order.awaiting_payment",
        "order.completed": "buyer via charge.completed",
        "ticket.sold": "buyer via charge.completed",
    }
    assert {entry.state for entry in story.entries if entry.kind is EntryKind.EVENT} == {"published"}
    assert (story.order, list(story.tickets)) == (await shop.order_now(order), await shop.tickets_now(order))
    assert [one.id for one in story.charges] == [charge.id]
    assert story.entries[0].says == "created: 55.00 USD, 2 tickets"
    assert (story.open, story.missing) == ((), ())


async def test_webhooks_are_told_with_what_became_of_them(shop: Shop) -> None:
    order = await shop.order()
    await shop.pay(order)
    await shop.clock.advance(seconds=10)
    other = await shop.order()
    await shop.pay(other)
    await shop.clock.advance(seconds=10)
    for one in (order, other):
        hooks = [entry for entry in (await told(shop, one)).entries if entry.kind is EntryKind.WEBHOOK]
        assert [(hook.what, hook.state) for hook in hooks] == [
            ("payment.authorized", "applied"),
            ("payment.captured", "applied"),
        ]


async def test_a_refund_is_told_with_who_gave_it(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order)
    await shop.clock.advance(seconds=5)
    refund = await shop.refund(charge, "10")
    await shop.clock.settle()
    story = await told(shop, order)
    assert story.refunds == (refund,)
    assert events(story)[-3:] == ["refund.created", "refund.completed", "charge.refunded"]
    found = causes(story)
    assert (found["refund.created"], found["charge.refunded"]) == ("seller", "seller via None")
    given_back = next(entry for entry in story.entries if entry.what == "charge.refunded")
    assert given_back.says == "completed: 25.00 USD, 10.00 USD given back"


async def test_a_lock_that_ran_out_was_nobodys_doing_and_other_orders_of_the_ticket_are_not_told(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=16)
    (ticket,) = await shop.tickets_now(order)
    placed = await shop.market.orders.place("next", [ticket.id])
    await shop.clock.settle()
    story = await told(shop, order)
    assert events(story) == ["order.created", "ticket.locked", "order.cancelled", "ticket.unlocked"]
    assert causes(story)["order.cancelled"] == causes(story)["ticket.unlocked"] == "nobody via None"
    assert story.entries[2].says == "cancelled: 25.00 USD, expired"
    later = await told(shop, placed.order)
    assert events(later) == ["order.created", "ticket.locked"]
    assert [entry.cause.actor for entry in later.entries if entry.cause] == ["next", "next"]


async def test_an_operator_is_told_by_name(shop: Shop) -> None:
    order = await shop.order()
    await shop.market.operations.release(order.id, actor="olga")
    await shop.clock.settle()
    story = await told(shop, order)
    cause = next(entry.cause for entry in story.entries if entry.what == "order.cancelled")
    assert cause is not None
    assert (cause.actor, cause.role, cause.directly) == ("olga", "other", True)


async def test_what_is_still_to_happen_is_said(shop: Shop) -> None:
    order = await shop.order()
    story = await told(shop, order)
    assert story.open == (f"The order holds its tickets until {order.expires_at:%Y-%m-%d %H:%M:%S} UTC.",)
    await shop.pay(order, "tok_threeDSecure")
    holds, open_charge = (await told(shop, order)).open
    assert holds.startswith("The order holds its tickets until ")
    assert " is requires_action; it is looked after at " in open_charge


async def test_when_events_were_purged_what_is_stored_is_told(shop: Shop) -> None:
    order = await shop.order()
    charge = await shop.pay(order)
    await shop.clock.advance(seconds=5)
    await shop.refund(charge, "10")
    await shop.clock.settle()
    later = shop.clock.now() + timedelta(seconds=1)
    for storage in (shop.inventory, shop.payments):
        await storage.purge(events_before=later, commands_before=later, marks_before=later)
    story = await told(shop, order)
    records = [entry for entry in story.entries if entry.kind is EntryKind.RECORD]
    assert [(entry.what, entry.says) for entry in records] == [
        ("order.created", "25.00 USD; now completed"),
        ("charge.created", "25.00 USD; now completed"),
        ("refund.created", "10.00 USD; now completed"),
    ]
    assert [by(entry.cause) for entry in records if entry.cause] == ["buyer", "buyer"]
    assert len([entry for entry in story.entries if entry.kind is EntryKind.WEBHOOK]) == 3
    assert "not kept any more" in story.missing[0]


async def test_without_payments_and_bus_the_story_says_what_is_missing(shop: Shop) -> None:
    order = await shop.order()
    await shop.pay(order)
    await shop.clock.settle()
    story = await Teller(shop.inventory).tell(order.id)
    assert "charge.completed" not in events(story)
    assert events(story)[-1] == "ticket.sold"
    assert [sentence.partition(":")[0] for sentence in story.missing] == [
        "Its charges and refunds",
        "Events that a consumer could not handle",
    ]


class _Down:
    def __getattr__(self, name: str) -> Any:
        async def refuse(*_: Any, **__: Any) -> None:
            raise Unavailable("The server does not answer.")

        return refuse


async def test_what_can_not_be_reached_is_missing_and_refuses_nothing(shop: Shop) -> None:
    order = await shop.order()
    down: Any = _Down()
    story = await Teller(shop.inventory, payments=down, bus=down).tell(order.id)
    assert events(story) == ["order.created", "ticket.locked"]
    assert story.missing == (
        "Its charges and refunds: The server does not answer.",
        "Events that a consumer could not handle: The server does not answer.",
    )


async def test_an_event_that_nobody_could_handle_is_told_with_its_error() -> None:
    stage = Stage()
    market = stage.market()

    @market.on(OrderCompleted, consumer="receipts")
    async def receipt(_: Any) -> None:
        raise ConnectionError("the printer is out of paper")

    async with market:
        shop = Shop(market)
        order = await shop.order()
        await shop.pay(order)
        await shop.clock.advance(minutes=5)
        story = await told(shop, order)
        completed = next(entry for entry in story.entries if entry.what == "order.completed")
        assert completed.state == "dead"
        assert completed.error == "receipts: ConnectionError('the printer is out of paper')"
        assert f"`ticketkit dead show {completed.id}`" in story.open[-1]


async def test_a_dead_letter_of_a_consumer_is_told(shop: Shop) -> None:
    order = await shop.order()
    other = await shop.order()
    found = [kept.event for one in (order, other) for kept in await shop.inventory.events_about([one.id])]
    bus = MemoryBus(shop.clock)
    async with bus.subscribe("receipts", ["order.created"]) as member:
        await bus.publish(found)
        for delivery in await member.receive(2):
            await delivery.bury("no printer")
    story = await Teller(shop.inventory, payments=shop.payments, bus=bus).tell(order.id)
    (letter,) = [entry for entry in story.entries if entry.kind is EntryKind.DEAD_LETTER]
    assert (letter.what, letter.state, letter.attempts, letter.error) == ("order.created", "receipts", 1, "no printer")
    assert (letter.says, by(letter.cause)) == ("receipts could not handle it", "buyer")
    assert story.open[-1] == f"Dead letter {letter.id} is for people: `ticketkit dead show {letter.id}`."


async def test_an_unknown_order_has_no_story(shop: Shop) -> None:
    with pytest.raises(NotFound, match="There is no order nothing"):
        await shop.market.operations.story("nothing")


async def test_an_event_that_waits_is_told_as_waiting(shop: Shop) -> None:
    order = await shop.order()
    (kept,) = await shop.inventory.events_about([order.id])
    await shop.inventory.replay_event(kept.event.id)
    (claim,) = await shop.inventory.claim_events(1, timedelta(minutes=5))
    await shop.inventory.mark_failed(claim, error="too busy", retry_in=timedelta(minutes=1))
    story = await told(shop, order)
    first = story.entries[0]
    assert (first.what, first.state, first.attempts, first.error) == ("order.created", "waiting", 1, "too busy")
    assert "1 of its events are still to be published." in story.open
