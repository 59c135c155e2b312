"""Fees and taxes of plugins: part of what an order costs, from the moment it is placed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.services.shop import Shop

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.entities import ChargeStatus, Line, LineKind, OrderStatus, TicketStatus
from ticketkit.domain.errors import InvalidMoney
from ticketkit.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit.domain.entities import LiveEvent, Ticket


class BoxOffice:
    """A tenth of each ticket, and 2.00 for the order; none for staff."""

    def ticketkit_prices(
        self, buyer_id: str, tickets: Sequence[Ticket], live_events: Mapping[str, LiveEvent]
    ) -> list[Line] | None:
        if buyer_id == "staff":
            return None
        currency = tickets[0].price.currency
        tenths = [
            Line(
                kind=LineKind.FEE,
                title=f"Service, {live_events[ticket.event_id].name}" if ticket.event_id else "Service",
                amount=Money(ticket.price.minor // 10, currency),
                ticket_id=ticket.id,
            )
            for ticket in tickets
        ]
        return [*tenths, Line(kind=LineKind.TAX, title="City tax", amount=Money(200, currency))]


class Generous:
    """Gives money away."""

    def ticketkit_prices(self, tickets: Sequence[Ticket]) -> list[Line]:
        return [Line(kind=LineKind.FEE, title="Discount", amount=Money(-100, tickets[0].price.currency))]


box_office = pytest.mark.parametrize("market_options", [pytest.param({"plugins": [BoxOffice()]}, id="box office")])


async def order(shop: Shop, *prices: str, buyer: str = "buyer", **options: Any) -> Any:
    tickets = await shop.tickets(*prices, **options)
    placed = await shop.market.orders.place(buyer, [ticket.id for ticket in tickets])
    await shop.clock.settle()
    return placed.order


@box_office
async def test_an_order_costs_its_tickets_and_the_lines_of_plugins(shop: Shop) -> None:
    placed = await order(shop, "10", "20")
    assert [(line.kind, line.title, line.amount.minor) for line in placed.lines] == [
        ("ticket", "A seat", 1000),
        ("ticket", "A seat", 2000),
        ("fee", "Service", 100),
        ("fee", "Service", 200),
        ("tax", "City tax", 200),
    ]
    assert placed.total == Money(3500, "USD")
    assert (await order(shop, "10", buyer="staff")).total == Money(1000, "USD")


@box_office
async def test_lines_know_the_live_event(shop: Shop) -> None:
    show = await shop.market.tickets.announce(
        "promoter", name="Hamlet", venue="Globe", starts_at=shop.clock.now().replace(year=2030)
    )
    placed = await order(shop, "10", event_id=show.id)
    assert [line.title for line in placed.lines] == ["A seat", "Service, Hamlet", "City tax"]


@box_office
async def test_what_is_paid_and_given_back_is_the_total(shop: Shop) -> None:
    placed = await order(shop, "10")
    charge = await shop.pay(placed)
    assert (charge.status, charge.amount) == (ChargeStatus.COMPLETED, Money(1300, "USD"))
    assert shop.booked(charge).captured == 1300
    assert (await shop.order_now(placed)).status is OrderStatus.COMPLETED
    await shop.refund(charge, "12")
    assert shop.booked(charge).refunded == 1200, "more than the ticket cost"


@box_office
async def test_a_dropped_ticket_takes_its_fee_with_it_and_the_rest_stays(shop: Shop) -> None:
    placed = await order(shop, "10", "20")
    kept = await shop.market.orders.keep("buyer", placed.id, [placed.ticket_ids[1]])
    assert [line.amount.minor for line in kept.order.lines] == [2000, 200, 200]
    await shop.clock.settle()
    assert (await shop.pay(kept.order)).amount == Money(2400, "USD")


@box_office
async def test_a_fee_is_of_the_price_at_which_the_ticket_is_locked(shop: Shop) -> None:
    [ticket] = await shop.tickets("10")
    await shop.market.tickets.edit("seller", ticket.id, title="A seat", price=Money(5000, "USD"))
    placed = await shop.market.orders.place("buyer", [ticket.id])
    assert placed.order.total == Money(5000 + 500 + 200, "USD")


@box_office
async def test_tickets_of_two_currencies_are_refused_before_anybody_prices_them(shop: Shop) -> None:
    [dollars], [euros] = await shop.tickets("10"), await shop.tickets("10", currency="EUR")
    with pytest.raises(InvalidMoney) as refused:
        await shop.market.orders.place("buyer", [dollars.id, euros.id])
    assert refused.value.code == "mixed_currencies"


@pytest.mark.parametrize("market_options", [pytest.param({"plugins": [Generous()]}, id="generous")])
async def test_an_order_with_a_line_that_it_cant_have_is_not_placed(shop: Shop) -> None:
    [ticket] = await shop.tickets("10")
    with pytest.raises(Misconfigured, match="'Discount' of -100 minor units of USD"):
        await shop.market.orders.place("buyer", [ticket.id])
    assert (await shop.market.tickets.get(ticket.id)).status is TicketStatus.AVAILABLE
