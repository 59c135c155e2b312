"""Copies are built again from nothing, by telling the present state of everything."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.books import check_copies, every
from tests.services.shop import Shop
from tests.services.stage import Stage

from ticketkit.domain.entities import ChargeStatus, OrderCopy, OrderStatus
from ticketkit.events.registry import Registry
from ticketkit.ids import new_id
from ticketkit.runtime.republish import republish, republish_revocations, state_name
from ticketkit.services.catalogue import Boundary
from ticketkit.services.principal import Principal

PARTS: dict[str, Any] = {"storage": "stage:inventory", "bus": "stage:bus", "timers": "stage:timers"}


async def history(shop: Shop) -> None:
    """Orders in each state."""
    await shop.pay(await shop.order("10", "20"))
    await shop.pay(await shop.order(), "tok_chargeDeclined")
    await shop.market.orders.cancel("buyer", (await shop.order()).id)
    await shop.order()
    await shop.pay(await shop.order(), "tok_threeDSecure")
    await shop.clock.settle()


async def test_copies_are_rebuilt_from_nothing_and_payments_go_on() -> None:
    stage = Stage()
    async with stage.market(**PARTS, payment_storage="stage:lost") as market:
        shop = Shop(market)
        await history(shop)
        waiting = await shop.order()
    async with stage.market(**PARTS, payment_storage="stage:new") as market:
        shop = Shop(market)
        assert await every(shop.payments, OrderCopy) == {}
        counts: list[int] = []
        total = await republish(
            shop.inventory,
            Boundary.INVENTORY,
            market.runtime.backends.bus,
            new_id=new_id,
            tell_count=counts.append,
        )
        await stage.clock.settle()
        assert counts[-1] == total >= 6 + 7
        await check_copies(shop.inventory, shop.payments)
        assert (await shop.pay(waiting)).status is ChargeStatus.COMPLETED
        assert (await shop.order_now(waiting)).status is OrderStatus.COMPLETED


async def test_telling_what_everybody_knows_changes_nothing() -> None:
    stage = Stage()
    async with stage.market(**PARTS) as market:
        shop = Shop(market)
        await history(shop)

        async def all_of_it() -> dict[str, object]:
            kinds = ("order", "ticket", "charge", "order_copy", "holds")
            return {entity.id: entity for kind in kinds for entity in (await shop.inventory.scan(kind)).items}  # type: ignore[arg-type]

        before = await all_of_it()
        for boundary in (Boundary.INVENTORY, Boundary.PAYMENTS):
            await republish(shop.inventory, boundary, market.runtime.backends.bus, new_id=new_id)
        await stage.clock.settle()
        assert await all_of_it() == before
        assert await stage.bus().inner.dead_letters(10) == []


async def test_every_state_can_be_told_and_read() -> None:
    stage = Stage()
    async with stage.market(**PARTS) as market:
        shop = Shop(market)
        await history(shop)
        async with stage.bus().inner.subscribe("test", list({c.NAME for c in Registry()})) as subscription:
            for boundary in (Boundary.INVENTORY, Boundary.PAYMENTS):
                await republish(shop.inventory, boundary, stage.bus(), new_id=new_id)
            events = [Registry().read(d.event) for d in await subscription.receive(1000)]
        names = {event.envelope.name for event in events}
        assert {"order.completed", "order.cancelled", "order.created", "ticket.sold", "charge.requires_action"} <= names
        assert all(event.envelope.aggregateversion == event.data.version for event in events)


def test_a_secret_has_no_public_state() -> None:
    from datetime import UTC, datetime

    from ticketkit.domain.entities import Session

    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="session is not public"):
        state_name(Session(id="s", user_id="u", expires_at=now, created_at=now))


async def test_young_revocations_are_told_again_and_old_ones_are_not() -> None:
    stage = Stage()
    async with stage.market(services=["auth"], accounts="stage:accounts", bus="stage:bus") as market:
        signed_in = await market.auth.sign_up("somebody@example.com", "correct horse")
        await market.auth.sign_out(Principal(signed_in.user.id, session_id=signed_in.session.id))
        storage, bus = market.runtime.storage(Boundary.ACCOUNTS), stage.bus()
        told = {"young": market.config.token_lifetime, "new_id": new_id}
        assert await republish_revocations(storage, bus, **told) == 1  # type: ignore[arg-type]
        await stage.clock.advance(minutes=61)
        assert await republish_revocations(storage, bus, **told) == 0  # type: ignore[arg-type]
