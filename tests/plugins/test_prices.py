"""What plugins add to the price of an order: lines that it can have, or an error that names the hook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.entities import Line, LineKind, LiveEvent, Ticket
from ticketkit.domain.errors import Forbidden
from ticketkit.domain.money import MAX_MINOR, Money
from ticketkit.domain.policy import Policy
from ticketkit.plugins import Plugins

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICKET = Ticket(id="t1", title="A seat", price=Money(2500, "USD"), seller_id="sam", created_at=NOON)
GALA = LiveEvent(id="gala", name="Gala", venue="Globe", starts_at=NOON, owner_id="sam", created_at=NOON)
FEE = Line(kind=LineKind.FEE, title="Service", amount=Money(150, "USD"), ticket_id="t1")
VAT = Line(kind=LineKind.TAX, title="VAT", amount=Money(0, "USD"))


def priced(*hooks: Callable[..., Any]) -> Plugins:
    """A plugin for each hook."""
    modules = [ModuleType(f"priced_{number}") for number, _ in enumerate(hooks)]
    for module, hook in zip(modules, hooks, strict=True):
        vars(module)["ticketkit_prices"] = hook
    return Plugins.load(modules)


def prices(*hooks: Callable[..., Any]) -> tuple[Line, ...]:
    return priced(*hooks).prices(buyer_id="ada", tickets=(TICKET,), live_events={"gala": GALA}, policy=Policy())


def test_the_lines_of_all_plugins_are_added_up() -> None:
    assert set(prices(lambda: [FEE], lambda: (VAT,), lambda: None)) == {FEE, VAT}


def test_without_such_a_plugin_nothing_is_added() -> None:
    assert not priced().has_prices
    assert priced(lambda: [FEE]).has_prices
    assert prices() == ()


def test_a_plugin_takes_what_it_needs_of_the_order() -> None:
    def by_all(buyer_id: str, tickets: Any, live_events: Any, policy: Policy) -> list[Line]:
        title = f"{buyer_id} {tickets[0].id} {live_events['gala'].name} {policy.tickets_per_order}"
        return [replace(FEE, title=title)]

    def by_price(tickets: tuple[Ticket, ...]) -> list[Line]:
        return [replace(FEE, title="Tenth", amount=Money(tickets[0].price.minor // 10, "USD"))]

    assert {(line.title, line.amount.minor) for line in prices(by_all, by_price)} == {
        ("ada t1 Gala 10", 150),
        ("Tenth", 250),
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FEE, "ticketkit_prices answered with a Line, not a list"),
        (["1.50 USD"], "answered with a str among its lines"),
        ([Line(title="A ticket", amount=Money(1, "USD"), ticket_id="t1")], "neither a fee nor a tax"),
        ([replace(FEE, seller_id="sam")], "neither a fee nor a tax"),
        ([replace(FEE, ticket_id="t2")], "for the ticket t2, not of this order"),
        ([replace(FEE, amount=Money(-1, "USD"))], "-1 minor units of USD; it is 0 USD or more"),
        ([replace(FEE, amount=Money(MAX_MINOR + 1, "USD"))], "it is 0 USD or more"),
        ([replace(FEE, amount=Money(150, "EUR"))], "150 minor units of EUR; it is 0 USD or more"),
        ([replace(FEE, title=" ")], "a line that can't be shown: Title must not be empty"),
    ],
)
def test_what_an_order_cant_have_is_refused_and_the_hook_named(answer: Any, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        prices(lambda: answer)


def test_a_plugin_may_refuse_the_order() -> None:
    def abroad() -> None:
        raise Forbidden("Not to your country.", code="abroad")

    with pytest.raises(Forbidden, match="Not to your country"):
        prices(abroad)
