"""Webhooks that come several times, in any order, never, or an hour late: no double effect, and one pass heals all."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from money.shop import Shop, opened

from ticketkit.domain.entities import Charge, ChargeStatus, OrderStatus
from ticketkit.domain.policy import Policy
from ticketkit.services.catalogue import Boundary
from ticketkit_stripe.simulator import Chaos, Simulator

ACTS = "pm_card_authenticationRequired"
CHAOS = Chaos(seed=7, copies=(1, 5), spread=0.3, lost=0.05, held=0.2)

AT_ONCE = 32
"""Buyers who begin to pay: what is to be seen is the webhooks, not whether a crowd is answered in time."""


async def buy(shop: Shop, number: int) -> list[Charge]:
    """Payments that wait for their buyers, who act in the bank's page: ticketkit hears of it by webhook alone."""
    charges: list[Charge] = []
    limiter = anyio.Semaphore(AT_ONCE)

    async def one(buyer: str, ticket_id: str) -> None:
        async with limiter:
            order = (await shop.market.orders.place(buyer, [ticket_id])).order
            charge = await shop.market.payments.pay(buyer, order.id, token=ACTS)
        assert charge.status is ChargeStatus.REQUIRES_ACTION
        charges.append(charge)

    async with anyio.create_task_group() as group:
        for seat, ticket in enumerate(await shop.tickets(number)):
            group.start_soon(one, f"buyer {seat}", ticket.id)
    return charges


async def act(shop: Shop, charges: list[Charge]) -> int:
    """The buyers approve or refuse; returns how many approved."""
    chance, approved = random.Random(3), 0
    for charge in charges:
        success = chance.random() < 0.7
        approved += success
        call = partial(shop.stripe.control.authenticate, str(charge.reference), success=success)
        await anyio.to_thread.run_sync(call)
    return approved


async def storm(folder: Path, stripe: Simulator, number: int) -> None:
    async with opened(folder, stripe, Policy()) as shop:
        charges = await buy(shop, number)
        await anyio.to_thread.run_sync(stripe.control.chaos, CHAOS)
        approved = await act(shop, charges)
        await anyio.to_thread.run_sync(stripe.control.settled)
        with anyio.fail_after(60):  # what arrived is applied
            while await shop.market.runtime.storage(Boundary.PAYMENTS).unapplied_webhooks(1):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        await shop.market.payments.walk(dry_run=False, every=False, adopt=False, pace=None).run()
        assert await shop.quiet(seconds=10) == [], "one pass has healed what was lost or is late"
        assert await shop.wrong() == []
        orders = (await shop.orders()).values()
        assert sum(order.status is OrderStatus.COMPLETED for order in orders) == approved
        before = await shop.found()
        assert await anyio.to_thread.run_sync(stripe.control.release), "some were an hour late"
        await anyio.to_thread.run_sync(stripe.control.settled)
        await anyio.sleep(0.5)
        assert await shop.quiet(seconds=10) == []
        after = await shop.found()
        assert (after.orders, after.books) == (before.orders, before.books), "what is late changes nothing"
        assert {id: replace(one, version=0, due_at=None) for id, one in after.charges.items()} == {
            id: replace(one, version=0, due_at=None) for id, one in before.charges.items()
        }
        deliveries = (await shop.statement()).deliveries
        assert deliveries.lost or number < 100
        assert deliveries.attempts > number


async def test_webhooks_in_a_storm_have_no_double_effect(tmp_path: Path, stripe: Simulator) -> None:
    await storm(tmp_path, stripe, 20)


@pytest.mark.proof
async def test_many_webhooks_in_a_storm(tmp_path: Path, stripe: Simulator) -> None:
    await storm(tmp_path, stripe, 300)
