"""Stripe's limit of calls a second: who would have their turn after the expiry is told so before anything is begun."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from money.shop import opened

from ticketkit.domain.policy import Policy
from ticketkit.services.payments import PaymentsBusy
from ticketkit_stripe.simulator import Simulator


async def test_a_budget_that_is_too_small_for_the_lock_charges_nobody(tmp_path: Path, stripe: Simulator) -> None:
    short = Policy(hold=timedelta(seconds=1.5))
    async with opened(tmp_path, stripe, short, rate=1) as shop:
        (ticket,) = await shop.tickets(1)
        order = (await shop.market.orders.place("buyer", [ticket.id])).order
        with pytest.raises(PaymentsBusy) as refused:
            await shop.market.payments.pay("buyer", order.id, token="tok_visa")
        assert refused.value.retry_after == pytest.approx(2, abs=0.1), "three calls, one of them at once"
        assert await shop.charges() == {}
        statement = await shop.statement()
        assert (statement.intents, statement.counts) == ([], {})
        assert await shop.quiet(seconds=30) == [], "the order expires as any other"
        assert await shop.wrong() == []
