"""The payments process is killed with SIGKILL at each step of a purchase: it ends right, and money moved once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ticketkit_marketplace.demo.buyers import Account, sign_up
from ticketkit_marketplace.demo.system import Shape, System, built
from ticketkit_marketplace.demo.wire import Gone, Wire
from ticketkit_stripe.simulator import Control, Kind, Simulator

SHOW = "Grand Horizons"
PATIENCE = 90.0
GOOD = "tok_visa"
STEPS = [
    pytest.param(None, None, id="before-the-row"),
    *(
        pytest.param(call, kind, id=f"{when}-{call}")
        for call in ("prepare", "authorize", "capture")
        for kind, when in ((Kind.SLOW_CALL, "before"), (Kind.SLOW_ANSWER, "after"))
    ),
]


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Five processes, each with a database of its own, and Stripe's simulator."""
    with tempfile.TemporaryDirectory(prefix="ticketkit-") as folder:
        settings = {"TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "1000000"}
        with built("stripe", Shape.FIVE, Path(folder), settings=settings, named={}, shows=(SHOW,)) as made:
            asyncio.run(made.start())
            yield made


@pytest.fixture
def stripe(system: System) -> Simulator:
    assert system.stripe is not None
    return system.stripe


@pytest.fixture
async def wire(system: System) -> AsyncIterator[Wire]:
    made = system.wire(connections=8)
    yield made
    made.close()


async def begun(wire: Wire, name: str) -> tuple[Account, dict[str, Any]]:
    """A buyer with an order."""
    (buyer,) = await sign_up(wire, 1, prefix=name, on_step=lambda _: None)
    (event,) = (await wire.request("GET", f"/api/events?q={SHOW.replace(' ', '%20')}")).json()
    (ticket,) = (await wire.request("GET", f"/api/events/{event['id']}/tickets?limit=1")).json()
    answer = await wire.request("POST", "/api/orders", {"ticketId": ticket["id"]}, cookie=buyer.cookie)
    assert answer.status == 201
    return buyer, answer.json()


async def pay(wire: Wire, buyer: Account, order: dict[str, Any], token: str = GOOD) -> None:
    """Ask for it until payments has heard of the order; the connection may break."""
    with suppress(Gone, OSError):
        body = {"orderId": order["id"], "token": token}
        while (await wire.request("POST", "/api/payments", body, cookie=buyer.cookie)).status == 404:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def ended(wire: Wire, buyer: Account, order: dict[str, Any], status: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(Gone, OSError):
                shown = (await wire.request("GET", f"/api/orders/{order['id']}", cookie=buyer.cookie)).json()
                if shown["status"] == status:
                    return
            await asyncio.sleep(0.2)


async def under_way(control: Control, call: str, before: int) -> None:
    """Wait until Stripe has a call of that kind in its hands."""
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(control.books)).counts.get(_NAMES[call], 0) <= before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)  # a slow answer is of a call that is done


_NAMES = {
    "prepare": "payment_intents.create",
    "authorize": "payment_intents.confirm",
    "capture": "payment_intents.capture",
    "void": "payment_intents.cancel",
    "refund": "refunds.create",
}


async def statuses(stripe: Simulator, order: dict[str, Any]) -> list[str]:
    books = await asyncio.to_thread(stripe.control.books)
    return [line.status for line in books.of(ticketkit_order_id=order["id"])]


async def bought(system: System, wire: Wire, stripe: Simulator, call: str | None, kind: Kind | None) -> None:
    buyer, order = await begun(wire, f"{call}-{kind}")
    if call is None or kind is None:
        await system.kill("payments")
        await pay(wire, buyer, order)
    else:
        counted = (await asyncio.to_thread(stripe.control.books)).counts.get(_NAMES[call], 0)
        await asyncio.to_thread(stripe.control.fault, kind, on=call, times=1, seconds=30.0)
        asked = asyncio.create_task(pay(wire, buyer, order))
        await under_way(stripe.control, call, counted)
        await system.kill("payments")
        await asyncio.to_thread(stripe.control.end_faults)
        await asked
    await ended(wire, buyer, order, "completed")
    lines = (await asyncio.to_thread(stripe.control.books)).of(ticketkit_order_id=order["id"])
    assert sum(line.captures for line in lines) == 1, "charged once"
    assert sum(line.captured for line in lines) == round(order["total"] * 100)
    assert sum(line.held for line in lines) == 0


@pytest.mark.proof
@pytest.mark.parametrize(("call", "kind"), STEPS)
async def test_a_purchase_ends_right_wherever_payments_is_killed(
    system: System, wire: Wire, stripe: Simulator, call: str | None, kind: Kind | None
) -> None:
    await bought(system, wire, stripe, call, kind)


@pytest.mark.proof
@pytest.mark.parametrize("kind", [Kind.SLOW_CALL, Kind.SLOW_ANSWER])
async def test_money_is_let_go_wherever_payments_is_killed(
    system: System, wire: Wire, stripe: Simulator, kind: Kind
) -> None:
    buyer, order = await begun(wire, f"void-{kind}")
    await pay(wire, buyer, order, "pm_card_authenticationRequired")
    counted = (await asyncio.to_thread(stripe.control.books)).counts.get(_NAMES["void"], 0)
    await asyncio.to_thread(stripe.control.fault, kind, on="void", times=1, seconds=30.0)
    assert (await wire.request("DELETE", f"/api/orders/{order['id']}", cookie=buyer.cookie)).status == 204
    await under_way(stripe.control, "void", counted)
    await system.kill("payments")
    await asyncio.to_thread(stripe.control.end_faults)
    async with asyncio.timeout(PATIENCE):
        while await statuses(stripe, order) != ["canceled"]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
