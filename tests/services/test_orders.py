"""Orders: one buyer gets a ticket, for as long as the policy says, and everybody else is told at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit import hookimpl
from ticketkit.backends.errors import CapabilityNotSupported, CommandReused
from ticketkit.domain.entities import CancelReason, LiveEvent, OrderStatus, TicketStatus
from ticketkit.domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    InvalidInput,
    InvalidMoney,
    LimitReached,
    NotFound,
    NotOnSale,
    OrderClosed,
    TicketUnavailable,
)
from ticketkit.domain.policy import OnDecline, Policy
from ticketkit.services.orders import Placed, strictest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ticketkit.domain.decision import State
    from ticketkit.domain.entities import Ticket


async def event(shop: Shop, **options: Any) -> LiveEvent:
    start = shop.clock.now() + timedelta(days=30)
    return await shop.market.tickets.announce(
        "promoter", **{"name": "Hamlet", "venue": "Globe", "starts_at": start, **options}
    )


async def place(shop: Shop, *tickets: Ticket, buyer: str = "buyer", key: str | None = None) -> Placed:
    return await shop.market.orders.place(buyer, [ticket.id for ticket in tickets], command_key=key)


async def test_an_order_locks_its_tickets_all_or_none(shop: Shop) -> None:
    first, second, third = await shop.tickets("10", "20.50", "5")
    placed = await place(shop, first, second)
    assert [ticket.status for ticket in placed.tickets] == [TicketStatus.LOCKED] * 2
    assert placed.order.total.minor == 3050
    assert placed.order.expires_at == shop.clock.now() + timedelta(minutes=15)
    with pytest.raises(TicketUnavailable) as refused:
        await place(shop, third, second, buyer="rival")
    assert refused.value.values == {"ticket_id": second.id}
    assert (await shop.market.tickets.get(third.id)).status is TicketStatus.AVAILABLE


async def test_of_a_hundred_buyers_of_one_ticket_one_gets_it(shop: Shop) -> None:
    [ticket] = await shop.tickets()
    outcomes: list[str] = []

    async def buy(number: int) -> None:
        try:
            await place(shop, ticket, buyer=f"buyer {number}")
            outcomes.append("got it")
        except TicketUnavailable as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(buy, number)
    assert sorted(outcomes) == ["got it"] + ["ticket_locked"] * 99


async def test_buyers_of_crossing_tickets_never_both_get_part(shop: Shop) -> None:
    tickets = await shop.tickets(*["10"] * 6)
    won: list[Placed] = []

    async def buy(number: int) -> None:
        wanted = [tickets[number % 6], tickets[(number + 1) % 6], tickets[(number + 2) % 6]]
        try:
            won.append(await place(shop, *wanted, buyer=f"buyer {number}"))
        except TicketUnavailable:
            return

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(buy, number)
    mine = [ticket.id for placed in won for ticket in placed.tickets]
    assert 1 <= len(won) <= 2
    assert len(mine) == len(set(mine)) == 3 * len(won)


async def test_one_command_key_is_one_order(shop: Shop) -> None:
    first, second = await shop.tickets("10", "20")
    placed = await place(shop, first, key="click")
    again = await place(shop, first, key="click")
    assert again.order.id == placed.order.id
    with pytest.raises(CommandReused):
        await place(shop, second, key="click")
    assert (await place(shop, second, buyer="rival", key="click")).order.id != placed.order.id


async def test_a_refusal_is_decided_anew_with_the_same_key(shop: Shop) -> None:
    [ticket] = await shop.tickets()
    rival = await place(shop, ticket, buyer="rival")
    with pytest.raises(TicketUnavailable):
        await place(shop, ticket, key="click")
    await shop.market.orders.cancel("rival", rival.order.id)
    assert (await place(shop, ticket, key="click")).order.status is OrderStatus.CREATED


@pytest.mark.parametrize("case", ["none", "twice", "eleven", "unknown", "own", "currencies"])
async def test_an_order_that_cant_be_is_refused(shop: Shop, case: str) -> None:
    tickets = await shop.tickets(*["1"] * 11)
    [euros] = await shop.tickets("1", currency="EUR")
    refusals: dict[str, tuple[type[DomainError], str, list[str], str]] = {
        "none": (InvalidInput, "no_tickets", [], "buyer"),
        "twice": (InvalidInput, "ticket_twice", [tickets[0].id] * 2, "buyer"),
        "eleven": (InvalidInput, "too_many_tickets", [ticket.id for ticket in tickets], "buyer"),
        "unknown": (NotFound, "ticket_not_found", ["unknown"], "buyer"),
        "own": (Conflict, "own_ticket", [tickets[0].id], "seller"),
        "currencies": (InvalidMoney, "mixed_currencies", [tickets[0].id, euros.id], "buyer"),
    }
    error, code, ids, buyer = refusals[case]
    with pytest.raises(error) as refused:
        await shop.market.orders.place(buyer, ids)
    assert refused.value.code == code


async def test_tickets_are_ordered_when_their_live_event_sells(shop: Shop) -> None:
    soon = shop.clock.now() + timedelta(hours=1)
    later = await event(shop, on_sale_at=soon)
    off = await event(shop)
    [early] = await shop.tickets(event_id=later.id)
    [cancelled] = await shop.tickets(event_id=off.id)
    await shop.market.tickets.call_off(off.id, owner_id="promoter")
    codes = []
    for ticket in (early, cancelled):
        with pytest.raises(NotOnSale) as refused:
            await place(shop, ticket)
        codes.append(refused.value.code)
    assert codes == ["not_on_sale_yet", "live_event_cancelled"]
    await shop.clock.advance(hours=1)
    assert (await place(shop, early)).order.status is OrderStatus.CREATED


async def test_tickets_of_a_live_event_that_has_started_are_not_sold(shop: Shop) -> None:
    show = await event(shop, starts_at=shop.clock.now() + timedelta(minutes=10))
    [ticket] = await shop.tickets(event_id=show.id)
    await shop.clock.advance(minutes=10)
    with pytest.raises(NotOnSale) as refused:
        await place(shop, ticket)
    assert refused.value.code == "live_event_started"


async def test_a_buyer_has_ten_tickets_on_hold_for_one_live_event_at_most(shop: Shop) -> None:
    show, other = await event(shop), await event(shop, name="Lear")
    tickets = await shop.tickets(*["1"] * 11, event_id=show.id)
    [elsewhere] = await shop.tickets(event_id=other.id)
    first = await place(shop, *tickets[:6])
    await place(shop, *tickets[6:10])
    with pytest.raises(LimitReached) as refused:
        await place(shop, tickets[10])
    assert (refused.value.code, refused.value.values["most"]) == ("too_many_on_hold", 10)
    await place(shop, elsewhere)
    await place(shop, tickets[10], buyer="rival")
    await shop.market.orders.cancel("rival", (await shop.market.orders.mine("rival"))[0][0].order.id)
    await shop.pay(first.order)
    assert (await place(shop, tickets[10])).order.status is OrderStatus.CREATED, "what is bought is not on hold"


async def test_a_limit_holds_for_orders_at_the_same_time(shop: Shop) -> None:
    show = await event(shop)
    tickets = await shop.tickets(*["1"] * 20, event_id=show.id)
    outcomes: list[str] = []

    async def buy(number: int) -> None:
        try:
            await place(shop, tickets[2 * number], tickets[2 * number + 1])
            outcomes.append("on hold")
        except LimitReached:
            outcomes.append("too many")

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(buy, number)
    assert sorted(outcomes) == ["on hold"] * 5 + ["too many"] * 5


async def test_an_order_is_its_buyers_alone(shop: Shop) -> None:
    order = await shop.order()
    for act in (
        shop.market.orders.get("rival", order.id),
        shop.market.orders.cancel("rival", order.id),
        shop.market.orders.keep("rival", order.id, order.ticket_ids),
        shop.market.orders.get("buyer", "unknown"),
        shop.market.orders.cancel("buyer", "unknown"),
    ):
        with pytest.raises(NotFound) as refused:
            await act
        assert refused.value.code == "order_not_found"


async def test_a_buyer_sees_their_orders_newest_first_page_by_page(shop: Shop) -> None:
    orders = [await shop.order() for _ in range(5)]
    await shop.order(buyer="rival")
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await shop.market.orders.mine("buyer", limit=2, cursor=cursor)
        found.extend(placed.order.id for placed in page)
        assert all(len(placed.tickets) == 1 for placed in page)
        if cursor is None:
            break
    assert found == [order.id for order in reversed(orders)]


async def test_a_cancelled_order_frees_its_tickets_once(shop: Shop) -> None:
    order = await shop.order()
    [ticket] = await shop.tickets_now(order)
    cancelled = await shop.market.orders.cancel("buyer", order.id)
    assert (cancelled.status, cancelled.reason) == (OrderStatus.CANCELLED, CancelReason.BUYER)
    await place(shop, ticket, buyer="rival")
    again = await shop.market.orders.cancel("buyer", order.id)
    assert again.version == cancelled.version
    assert (await shop.market.tickets.get(ticket.id)).status is TicketStatus.LOCKED, "it is the rival's now"


async def test_dropped_tickets_are_free_and_cost_nothing(shop: Shop) -> None:
    order = await shop.order("10", "20", "30")
    kept = await shop.market.orders.keep("buyer", order.id, [order.ticket_ids[1]])
    assert (kept.order.ticket_ids, kept.order.total.minor) == ((order.ticket_ids[1],), 2000)
    assert kept.order.expires_at == order.expires_at
    free = [await shop.market.tickets.get(id) for id in order.ticket_ids]
    assert [ticket.status.value for ticket in free] == ["available", "locked", "available"]
    with pytest.raises(InvalidInput) as refused:
        await shop.market.orders.keep("buyer", order.id, [order.ticket_ids[0]])
    assert refused.value.code == "ticket_not_in_order"
    with pytest.raises(InvalidInput):
        await shop.market.orders.keep("buyer", order.id, [])


async def test_nothing_can_be_dropped_from_an_order_that_is_over(shop: Shop) -> None:
    paid, expired = await shop.order(), await shop.order()
    await shop.pay(paid)
    await shop.clock.advance(minutes=15)
    codes = []
    for order in (paid, expired):
        with pytest.raises(OrderClosed) as refused:
            await shop.market.orders.keep("buyer", order.id, order.ticket_ids)
        codes.append(refused.value.code)
    assert codes == ["order_completed", "order_expired"]


async def test_an_order_expires_when_its_time_is_over_and_not_before(shop: Shop) -> None:
    order = await shop.order()
    await shop.clock.advance(minutes=14, seconds=59.9)
    assert (await shop.order_now(order)).status is OrderStatus.CREATED
    await shop.clock.advance(seconds=0.1)
    now = await shop.order_now(order)
    assert (now.status, now.reason) == (OrderStatus.CANCELLED, CancelReason.EXPIRED)
    assert [ticket.status for ticket in await shop.tickets_now(order)] == [TicketStatus.AVAILABLE]


async def test_who_asks_for_a_ticket_whose_lock_is_over_gets_it_without_waiting_for_a_timer() -> None:
    stage = Stage()
    async with stage.market() as market:
        shop = Shop(market)
        order = await shop.order("10", "20")
    await stage.clock.advance(minutes=15)
    async with stage.market(services=["tickets", "orders"], bus="stage:bus") as market:
        placed = await market.orders.place("rival", [order.ticket_ids[0]])
        assert placed.tickets[0].order_id == placed.order.id
        old = (await market.orders.get("buyer", order.id)).order
        assert old.status is OrderStatus.CANCELLED
        assert old.reason in (CancelReason.TAKEN_OVER, CancelReason.EXPIRED)
        assert (await market.tickets.get(order.ticket_ids[1])).status is TicketStatus.AVAILABLE


# --- what plugins add ------------------------------------------------------------------------------------------------


class Club:
    """Members only; Hamlet for five minutes, Lear kept after a decline."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.members = {"member"}

    @hookimpl
    def ticketkit_policy(self, live_event: LiveEvent | None, default: Policy) -> Policy | None:
        if live_event is None:
            return None
        if live_event.name == "Hamlet":
            return replace(default, hold=timedelta(minutes=5), tickets_per_order=2, on_decline=OnDecline.CANCEL)
        return replace(default, hold=timedelta(minutes=30), on_decline=OnDecline.KEEP)

    @hookimpl
    def ticketkit_rules(self) -> list[Any]:
        return [self]

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> bool:
        await anyio.lowlevel.checkpoint()
        self.asked.append((buyer_id, tuple(ticket_ids)))
        return buyer_id in self.members

    def judge(self, state: State, tickets: Sequence[Ticket], facts: Any) -> None:
        if not facts:
            message = "Members only."
            raise Forbidden(message, code="members_only", tickets=len(tickets))


club = pytest.mark.parametrize("market_options", [pytest.param({"plugins": [Club()]}, id="club")])


@club
async def test_a_rule_of_a_plugin_refuses_an_order(shop: Shop) -> None:
    tickets = await shop.tickets("1", "2")
    with pytest.raises(Forbidden) as refused:
        await place(shop, *tickets)
    assert (refused.value.code, refused.value.values) == ("members_only", {"tickets": 2})
    assert (await place(shop, *tickets, buyer="member")).order.buyer_id == "member"


@club
async def test_a_policy_of_a_plugin_is_kept_with_the_order(shop: Shop) -> None:
    hamlet, lear = await event(shop), await event(shop, name="Lear")
    holds = {}
    for show in (hamlet, lear, None):
        [ticket] = await shop.tickets(event_id=show.id if show else None)
        placed = await place(shop, ticket, buyer="member")
        holds[show.name if show else None] = placed.order.expires_at - shop.clock.now()
    assert holds == {"Hamlet": timedelta(minutes=5), "Lear": timedelta(minutes=30), None: timedelta(minutes=15)}


@club
async def test_an_order_for_several_live_events_has_the_strictest_policy_of_each(shop: Shop) -> None:
    hamlet, lear = await event(shop), await event(shop, name="Lear")
    tickets = [(await shop.tickets(event_id=show.id))[0] for show in (hamlet, lear)]
    policy = (await place(shop, *tickets, buyer="member")).order.policy
    assert (policy.hold, policy.tickets_per_order, policy.on_decline) == (timedelta(minutes=5), 2, OnDecline.CANCEL)


def test_the_strictest_of_several_policies() -> None:
    loose = Policy(own_tickets=True, tickets_on_hold=20, on_decline=OnDecline.KEEP)
    assert strictest([loose]) is loose
    strict = strictest([loose, Policy(tickets_on_hold=3)])
    assert (strict.own_tickets, strict.tickets_on_hold, strict.on_decline) == (False, 3, OnDecline.CANCEL)


@pytest.mark.parametrize("own", [{"also": ["a statement"]}, {"within": "a connection"}])
async def test_a_storage_without_own_tables_refuses_statements_and_transactions_of_the_app(
    shop: Shop, own: dict[str, Any]
) -> None:
    (ticket,) = await shop.tickets("10")
    with pytest.raises(CapabilityNotSupported, match="own_tables"):
        await shop.market.orders.place("buyer", [ticket.id], **own)
    assert (await shop.market.tickets.get(ticket.id)).status is TicketStatus.AVAILABLE
