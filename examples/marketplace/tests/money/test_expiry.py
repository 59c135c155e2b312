"""Payments that arrive just when their order expires: paid and completed, or cancelled and let go, and nothing else.

`tests/services/test_last_moment.py` shows the same on the virtual clock, where 5 seconds are 5 seconds on any machine.
"""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from money.shop import Shop, opened

from ticketkit.domain.entities import ChargeStatus, OrderStatus, Ticket
from ticketkit.domain.errors import Conflict
from ticketkit.domain.policy import Policy
from ticketkit_stripe.simulator import Simulator

SHORT = Policy(hold=timedelta(seconds=2), payment_grace=timedelta(seconds=3), tickets_on_hold=10_000)
APART = 0.2
"""Seconds, before or after the expiry."""
SOON = 5.0
"""Seconds after which none is in between."""


async def pay_at_the_last_moment(shop: Shop, ticket: Ticket, chance: random.Random) -> None:
    buyer = f"buyer of {ticket.id}"
    order = (await shop.market.orders.place(buyer, [ticket.id])).order
    until = order.expires_at + timedelta(seconds=chance.uniform(-APART, APART))
    now = await shop.market.runtime.storage(next(iter(shop.market.runtime.backends.storages))).now()
    await anyio.sleep(max(0.0, (until - now).total_seconds()))
    try:
        charge = await shop.market.payments.pay(buyer, order.id, token="tok_visa")
    except Conflict:
        return  # it has expired: told before anything was begun
    if charge.status is ChargeStatus.COMPLETED:
        shop.paid.add(order.id)


async def rush(
    folder: Path, stripe: Simulator, *, number: int, every: float, within: float = SOON
) -> dict[OrderStatus, int]:
    chance = random.Random(1)
    async with opened(folder, stripe, SHORT) as shop:
        tickets = await shop.tickets(number)
        async with anyio.create_task_group() as group:
            for ticket in tickets:
                group.start_soon(pay_at_the_last_moment, shop, ticket, chance)
                await anyio.sleep(every)
        assert await shop.quiet(seconds=within) == [], "none is in between"
        assert await shop.wrong() == []
        statement = await shop.statement()
        assert sum(line.held for line in statement.intents) == 0, "Stripe holds money of nobody"
        orders = (await shop.orders()).values()
        ends = {status: sum(order.status is status for order in orders) for status in OrderStatus if status.final}
        assert sum(ends.values()) == number
        assert sum(line.captures for line in statement.intents) == ends[OrderStatus.COMPLETED]
        return ends


async def test_payments_at_the_moment_of_expiry_end_one_way_or_the_other(tmp_path: Path, stripe: Simulator) -> None:
    await rush(tmp_path, stripe, number=60, every=0.01, within=60)  # in a crowd of tests 5 s may be too short


@pytest.mark.proof
async def test_a_thousand_payments_at_the_moment_of_expiry(tmp_path: Path, stripe: Simulator) -> None:
    ends = await rush(tmp_path, stripe, number=1_000, every=0.04)
    assert all(number > 100 for number in ends.values()), ends
