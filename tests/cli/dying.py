"""A marketplace that is killed in the middle of its payments: `python dying.py STORAGE_URL JOURNAL`.

It leaves a void that is owed, a refund that was not begun at the provider, and money that was captured while nobody
heard the answer; prints their ids, and kills itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel

from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.memory import FakePayments


async def placed(market: Marketplace, buyer: str) -> str:
    (ticket,) = await market.tickets.list("seller", [Listing(title="A seat", price=Money.parse("25", "USD"))])
    return (await market.orders.place(buyer, [ticket.id])).order.id


async def main(url: str, journal: str) -> None:
    async with Marketplace(url, timers="memory:", payments=f"fake://{journal}") as market:
        provider = cast("FakePayments", market.payments.provider)
        provider.faults.webhooks("never")
        given_up, paid, captured = [await placed(market, buyer) for buyer in ("one", "two", "three")]
        first = await market.payments.pay("one", given_up, token="tok_threeDSecure")
        second = await market.payments.pay("two", paid, token="tok_visa")

        async def captured_both() -> bool:
            return sum(one.captured > 0 for one in provider.books().charges) == 2

        async def refund_begun() -> bool:
            return bool((await market.payments.get("two", second.id))[1])

        async def failed() -> bool:
            return (await market.payments.get("one", first.id))[0].status == "failed"

        async with anyio.create_task_group() as group:
            provider.faults.time_out_after_effect("capture", times=1_000)
            group.start_soon(partial(market.payments.pay, "three", captured, token="tok_visa"))
            await until(captured_both)
            provider.faults.unavailable()
            await market.orders.cancel("one", given_up)
            group.start_soon(partial(market.payments.refund, second.id, actor=None, amount=Money.parse("5", "USD")))
            await until(refund_begun)
            await until(failed)
            sys.stdout.write(json.dumps({"givenUp": first.id, "paid": second.id, "capturedOrder": captured}))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    while not await look():
        await anyio.lowlevel.checkpoint()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
