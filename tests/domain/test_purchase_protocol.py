"""The purchase protocol, checked on the real decisions in every interleaving; and that the check can fail.

The model is `interleaving.py`. Where the code does more than the rules of the protocol ask for, the check follows the
code: payments gives an open charge up in the commit in which it hears that the order is gone; a new charge is refused
once the copy's lock is past its time; a takeover, an expiry and a late payment each end a stale order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.domain.interleaving import A, Check, Result, Rules, Scenario

from ticketkit.domain import orders, payments, settlement
from ticketkit.domain.decision import Changes, Need, State
from ticketkit.domain.entities import Charge, ChargeStatus, Entity, Order, OrderCopy, OrderStatus, key_of
from ticketkit.domain.policy import OnDecline, Policy

pytestmark = pytest.mark.usefixtures("untraced")

UNASKED = "A paid, the order does not wait for it"
KEEP = Policy(on_decline=OnDecline.KEEP)
ONE = Scenario(charges=1)
TWO = Scenario(charges=2, stragglers=False)

Decide = Callable[..., Any]


def nothing_wrong(found: Result) -> None:
    assert not found.why, f"{found.why}: {found.trace}"


@pytest.mark.parametrize(
    ("scenario", "states"),
    [
        pytest.param(ONE, 2_500, id="one charge"),
        pytest.param(replace(ONE, policy=KEEP, hands=2), 2_500, id="one charge, two workers"),
        pytest.param(replace(ONE, moody=True), 2_500, id="one charge, moody provider"),
        pytest.param(replace(ONE, action=True), 2_500, id="one charge, the buyer has to act"),
    ],
)
def test_nothing_goes_wrong_in_any_interleaving(scenario: Scenario, states: int) -> None:
    found = Check(scenario=scenario).run()
    nothing_wrong(found)
    assert found.states > states  # the world is not empty


@pytest.mark.proof
@pytest.mark.parametrize(
    ("scenario", "states"),
    [
        pytest.param(Scenario(), 40_000, id="two charges"),
        pytest.param(Scenario(policy=KEEP), 40_000, id="two charges, another card after a decline"),
        pytest.param(TWO, 40_000, id="two charges, no call comes late"),
        pytest.param(replace(TWO, moody=True), 40_000, id="two charges, moody provider"),
        pytest.param(replace(ONE, hands=2, action=True, moody=True), 40_000, id="one charge, everything at once"),
    ],
)
def test_nothing_goes_wrong_in_any_interleaving_of_a_larger_world(scenario: Scenario, states: int) -> None:
    found = Check(scenario=scenario).run()
    nothing_wrong(found)
    assert found.states > states


# --- the same without one rule: the check must find what goes wrong ---


def _with(state: State, *entities: Entity) -> State:
    return State(state.now, {**state.entities, **{key_of(entity): entity for entity in entities}})


def _owing_nothing(entity: Entity) -> Entity:
    if isinstance(entity, Charge) and entity.owes_void:
        return replace(entity, owes_void=False, due_at=None)
    return entity


def _no_void_owed(decision: Decide) -> Decide:
    def mutant(state: State, **what: Any) -> Changes | Need:
        found: Changes | Need = decision(state, **what)
        if isinstance(found, Need):
            return found
        put = (
            replace(e, owes_void=False, due_at=None) if isinstance(e, Charge) and e.owes_void else e for e in found.put
        )
        return replace(found, put=tuple(put))

    return mutant


def _pinned_by_any_charge(state: State, *, news: settlement.ChargeNews) -> Changes | Need:
    order = state.get(Order, news.order_id)
    if order is None or order.status is not OrderStatus.AWAITING_PAYMENT:
        return settlement.charge_heard(state, news)
    return settlement.charge_heard(_with(state, replace(order, charge_id=news.id, seen=())), news)


def _pinned_unchecked(state: State, *, news: settlement.ChargeNews) -> Changes | Need:
    with (
        patch.object(settlement, "stale", lambda *_: False),
        patch.object(settlement, "holds_all", lambda *_: True),
    ):
        return settlement.charge_heard(state, news)


def _takes_over_silently(state: State, *args: Any, **what: Any) -> Changes | Need:
    found = orders.place(state, *args, **what)
    if isinstance(found, Need) or key_of(found.answer[0]) == A:
        return found
    return replace(
        found,
        put=tuple(entity for entity in found.put if key_of(entity) != A),
        facts=tuple(fact for fact in found.facts if fact.key != A),
    )


def _cancels_pinned(state: State, *, order_id: str, buyer_id: str) -> Changes | Need:
    order = state.get(Order, order_id)
    if order is not None and order.status is OrderStatus.AWAITING_PAYMENT:
        state = _with(state, replace(order, status=OrderStatus.CREATED))
    return orders.cancel(state, order_id, buyer_id=buyer_id)


def _begins_another(state: State, **what: Any) -> Changes | Need:
    copy = state.get(OrderCopy, "A")
    return payments.begin(_with(state, replace(copy, open_charge_id=None)) if copy else state, **what)


def _captures_when_authorized(charge: Charge, copy: OrderCopy) -> bool:
    return charge.status is ChargeStatus.AUTHORIZED


NO_VOID_OWED = Rules(
    give_up=_no_void_owed(payments.give_up),
    order_heard=_no_void_owed(payments.order_heard),
    prepared=_no_void_owed(payments.prepared),
    authorized=_no_void_owed(payments.authorized),
    declined=_no_void_owed(payments.declined),
)
MUTANTS = [
    pytest.param(NO_VOID_OWED, ONE, "money is still held", id="owed_void"),
    pytest.param(
        Rules(declined=_no_void_owed(payments.declined)),
        replace(ONE, moody=True),
        "money is still held",
        id="owed_void, of a refused capture",
    ),
    pytest.param(Rules(prepares=False), ONE, "money is still held", id="prepare"),
    pytest.param(Rules(charge_heard=_pinned_by_any_charge), TWO, UNASKED, id="pin_names_charge"),
    pytest.param(
        Rules(charge_heard=_pinned_unchecked), ONE, "pinned by a payment that was too late", id="pin_checks_ticket"
    ),
    pytest.param(
        Rules(charge_heard=_pinned_unchecked, place=_takes_over_silently),
        replace(ONE, money_only=True),
        "A paid for B's seat",
        id="pin_checks_ticket and takeover_cancels",
    ),
    pytest.param(Rules(place=_takes_over_silently), ONE, "the order and its ticket disagree", id="takeover_cancels"),
    pytest.param(Rules(cancel=_cancels_pinned), ONE, UNASKED, id="no_cancel_when_pinned"),
    pytest.param(Rules(begin=_begins_another), TWO, "two charges are open", id="one_open_charge"),
    pytest.param(Rules(may_capture=_captures_when_authorized), ONE, UNASKED, id="may_capture"),
]


@pytest.mark.parametrize(("rules", "scenario", "why"), MUTANTS)
def test_without_a_rule_the_check_finds_what_goes_wrong(rules: Rules, scenario: Scenario, why: str) -> None:
    found = Check(rules, scenario).run()
    assert found.why == why, found.trace
    assert found.trace


@pytest.mark.proof
def test_two_open_charges_hold_money_for_ever() -> None:
    found = Check(Rules(begin=_begins_another), replace(TWO, money_only=True)).run()
    assert found.why in ("money is still held", "something never ends")
    assert found.trace
