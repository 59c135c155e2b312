"""The payments process dies by SIGKILL before and after each commit: all ends right, and money moved once.

The short forms of these proofs: `tests/services/test_crashes.py` stops a marketplace in memory at each commit, and
`tests/cli/test_reconcile.py` kills a process in the middle of its payments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from money.apart import Apart, Death, opened, until
from money.shop import PRICE

from ticketkit.backends.spec import CHECKPOINTS
from ticketkit.domain.entities import Order, OrderStatus, TicketStatus
from ticketkit_stripe.simulator import Simulator
from ticketkit_stripe.simulator.statement import IntentLine

AT_ONCE: Final = 6
"""Marketplaces at once: each waits for most of its time."""
GOOD: Final = "tok_visa"
ACTS: Final = "pm_card_authenticationRequired"


async def placed(shop: Apart) -> tuple[Order, str, str]:
    """An order, and the cookies of buyer and seller."""
    seller, buyer = await shop.sign_up("seller"), await shop.sign_up("buyer")
    ticket = await shop.listed(seller[0])
    return (await shop.market.orders.place(buyer[0], [ticket.id])).order, buyer[1], seller[1]


async def pay(shop: Apart, order: Order, cookie: str, token: str = GOOD) -> dict[str, Any]:
    answer = await shop.ask("/api/payments", {"orderId": order.id, "token": token}, cookie)
    assert answer.status in (201, 202), answer.body
    body: dict[str, Any] = answer.json()
    return body


async def ended(shop: Apart, order: Order, status: OrderStatus) -> None:
    async def look() -> bool:
        now = (await shop.order(order)).status
        assert now is status or not now.final, f"it ended as {now}"
        return now is status

    await until(look)


async def line(shop: Apart, order: Order) -> IntentLine:
    """Stripe's own line of the order: there is but one."""
    (found,) = (await shop.statement()).of(ticketkit_order_id=order.id)
    return found


async def purchase(shop: Apart) -> None:
    shop.arm()
    order, cookie, _ = await placed(shop)
    await pay(shop, order, cookie)
    await ended(shop, order, OrderStatus.COMPLETED)
    await shop.quiet()
    found = await line(shop, order)
    assert (found.captures, found.captured, found.held, found.refunded) == (1, PRICE.minor, 0, 0), "charged once"


async def late_purchase(shop: Apart) -> None:
    """A purchase whose order payments has heard of before it is armed: the first commit is the charge's."""
    order, cookie, _ = await placed(shop)
    await until(lambda: shop.heard(order))
    shop.arm()
    await pay(shop, order, cookie)
    await ended(shop, order, OrderStatus.COMPLETED)
    await shop.quiet()
    found = await line(shop, order)
    assert (found.captures, found.captured, found.held) == (1, PRICE.minor, 0), "charged once"


async def void(shop: Apart) -> None:
    order, cookie, _ = await placed(shop)
    assert (await pay(shop, order, cookie, ACTS))["status"] == "requires_action"
    shop.arm()
    await shop.market.orders.cancel(order.buyer_id, order.id)
    await ended(shop, order, OrderStatus.CANCELLED)
    await shop.quiet()
    found = await line(shop, order)
    assert (found.status, found.captures, found.held) == ("canceled", 0, 0), "let go, and nothing taken"


async def refund(shop: Apart) -> None:
    order, cookie, seller = await placed(shop)
    charge = await pay(shop, order, cookie)
    await ended(shop, order, OrderStatus.COMPLETED)
    await shop.quiet()
    shop.arm()
    answer = await shop.ask(f"/api/payments/{charge['id']}/refunds", {}, seller)
    assert answer.status in (201, 202), answer.body

    async def free() -> bool:
        return all(ticket.status is TicketStatus.AVAILABLE for ticket in (await shop.tickets()).values())

    await until(free)
    await shop.quiet()
    found = await line(shop, order)
    assert (found.captures, found.captured, found.refunded) == (1, PRICE.minor, PRICE.minor), "given back once"
    assert sum(back.intent == found.id for back in (await shop.statement()).refunds) == 1


Deed = Callable[[Apart], Awaitable[None]]
COMMITS: Final[dict[Deed, tuple[int, int]]] = {purchase: (7, 14), void: (2, 6), refund: (2, 8)}
"""Of each deed: commits that it has at least, and up to which one it is tried; webhooks make some more."""


async def does(deed: Deed, folder: Path, stripe: Simulator, death: Death, *, webhooks: bool = True) -> bool:
    """Do it to the end, with a death on the way; whether there was one."""
    async with opened(folder, stripe, death, webhooks=webhooks) as shop:
        await deed(shop)
        assert await shop.wrong() == []
        return shop.died


@pytest.mark.proof
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
@pytest.mark.parametrize("deed", COMMITS, ids=lambda deed: deed.__name__)
async def test_a_death_at_any_commit_moves_money_once(
    tmp_path: Path, stripe: Simulator, deed: Deed, checkpoint: str
) -> None:
    least, most = COMMITS[deed]
    limiter, deaths = anyio.Semaphore(AT_ONCE), set[int]()

    async def one(times: int) -> None:
        async with limiter:
            folder = tmp_path / str(times)
            folder.mkdir()
            if await does(deed, folder, stripe, Death(at=checkpoint, times=times)):
                deaths.add(times)

    async with anyio.create_task_group() as group:
        for times in range(1, most + 1):
            group.start_soon(one, times)
    assert deaths >= set(range(1, least + 1)), "it died at each commit that there always is"
    assert (await anyio.to_thread.run_sync(stripe.control.books)).violations == []


@pytest.mark.proof
async def test_a_death_before_the_row_leaves_a_purchase_that_is_begun_anew(tmp_path: Path, stripe: Simulator) -> None:
    assert await does(late_purchase, tmp_path, stripe, Death(at="written", times=1), webhooks=False), "it died"


@pytest.mark.proof
async def test_a_death_after_the_capture_loses_no_purchase(tmp_path: Path, stripe: Simulator) -> None:
    assert await does(late_purchase, tmp_path, stripe, Death(at="committed", times=5), webhooks=False), "it died"
