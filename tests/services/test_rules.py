"""Rules of plugins whose facts grow old between asking and deciding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.services.shop import Shop

from ticketkit.domain.entities import Holds, TicketStatus, holds_id
from ticketkit.domain.errors import LimitReached
from ticketkit.plugins import FactsOutOfDate, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ticketkit.domain.decision import State
    from ticketkit.domain.entities import Ticket


class OneEver:
    """One order a buyer; `meanwhile` happens between the asking and the decision about `slow`, each once."""

    def __init__(self) -> None:
        self.market: Any = None
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []
        self.slow: str | None = None
        self.gathered = 0
        self.forgetful = False

    def ticketkit_rules(self) -> list[Rule]:
        return [self]

    async def gather(self, buyer_id: str, ticket_ids: Sequence[str]) -> tuple[int, int]:
        self.gathered += 1
        key = Holds.key(holds_id(buyer_id, None))
        holds = (await self.market.runtime.storage("inventory").get([key])).get(key)
        placed, _ = await self.market.orders.mine(buyer_id)
        if self.meanwhile and self.slow in ticket_ids:
            await self.meanwhile.pop()()
        return len(placed), holds.version if holds else 0

    def judge(self, state: State, tickets: Sequence[Ticket], facts: tuple[int, int]) -> None:
        placed, version = facts
        holds = state.get(Holds, holds_id("buyer", None))
        if (holds.version if holds else 0) != version:
            raise FactsOutOfDate
        if placed and not self.forgetful:
            raise LimitReached(code="one_ever")


@pytest.fixture
def rule() -> OneEver:
    return OneEver()


@pytest.fixture
def market_options(rule: OneEver) -> dict[str, Any]:
    return {"plugins": [rule]}


async def test_facts_that_grew_old_are_gathered_anew(shop: Shop, rule: OneEver) -> None:
    rule.market = shop.market
    first, second = await shop.tickets("1", "2")
    rule.slow, rule.meanwhile = first.id, [lambda: shop.market.orders.place("buyer", [second.id])]
    with pytest.raises(LimitReached) as refused:
        await shop.market.orders.place("buyer", [first.id])
    assert refused.value.code == "one_ever"
    assert rule.gathered == 3, "the first order twice, and the one that came between"
    assert (await shop.market.tickets.get(first.id)).status is TicketStatus.AVAILABLE


async def test_facts_that_never_stay_true_end_in_a_refusal_that_says_try_again(shop: Shop, rule: OneEver) -> None:
    rule.market = shop.market
    first, *others = await shop.tickets(*["1"] * 9)

    async def come_and_go() -> None:
        placed = await shop.market.orders.place("buyer", [others.pop().id])
        await shop.market.orders.cancel("buyer", placed.order.id)

    rule.forgetful = True
    rule.slow, rule.meanwhile = first.id, [come_and_go] * 5
    with pytest.raises(FactsOutOfDate, match="try again") as refused:
        await shop.market.orders.place("buyer", [first.id])
    assert refused.value.code == "try_again"
    assert rule.meanwhile == []
    assert (await shop.market.tickets.get(first.id)).status is TicketStatus.AVAILABLE
