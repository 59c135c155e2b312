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

from ticketkit.domain import orders, payments, refunds, settlement
from ticketkit.domain.decision import Changes, Need, State
from ticketkit.domain.entities import Charge, ChargeStatus, Entity, Order, OrderCopy, OrderStatus, key_of
from ticketkit.domain.policy import OnDecline, OnRefund, Policy

pytestmark = pytest.mark.usefixtures("untraced")

UNASKED = "A paid, the order does not wait for it"
KEEP = Policy(on_decline=OnDecline.KEEP)
ONE = Scenario(charges=1)
TWO = Scenario(charges=2, stragglers=False)
AT_ONCE = replace(ONE, takes=True, holds=False)
PAID = (
    "A pays with c0",
    "the provider answers prepare of c0: prepared",
    "payments commits c0 prepared",
    "the provider answers authorize of c0: authorized",
    "payments commits c0 authorized",
    "orders hears that c0 is authorized",
    "payments hears that the order is awaiting_payment",
    "the provider answers capture of c0: captured",
    "payments commits c0 captured",
    "orders hears that c0 is completed",
)
"""A is paid for, undisturbed: what may come after that is looked at alone."""
DECLINED = (
    "A pays with c0",
    "the provider answers prepare of c0: prepared",
    "payments commits c0 prepared",
    "the provider answers authorize of c0: declined",
    "payments commits c0 declined",
)
"""A's first card is declined, and another may be tried."""
CANCELLED = replace(ONE, cancels=True)
REFUNDED = replace(ONE, start=PAID, clock=False, refunds=1)

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
        pytest.param(AT_ONCE, 2_500, id="a provider that takes money at once"),
        pytest.param(replace(AT_ONCE, refuses=True), 2_500, id="one that refuses to give it back at first"),
        pytest.param(replace(ONE, revives=True), 2_500, id="a declined payment that the browser goes on with"),
        pytest.param(replace(CANCELLED, start=PAID[:5], clock=False), 100, id="a live event that is cancelled"),
        pytest.param(replace(CANCELLED, start=PAID, refuses=True), 40, id="one after the sale, a refund is refused"),
        pytest.param(replace(CANCELLED, start=PAID, refunds=2, halves=True), 150, id="one, and refunds are asked for"),
        pytest.param(REFUNDED, 15, id="a refund in whole"),
        pytest.param(replace(REFUNDED, refunds=2, halves=True), 50, id="two refunds, of halves or of all"),
        pytest.param(replace(REFUNDED, refunds=2, refuses=True), 30, id="a refund that is refused, and another"),
        pytest.param(
            replace(REFUNDED, policy=Policy(on_refund=OnRefund.KEEP)), 8, id="a refund after which tickets stay sold"
        ),
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
        pytest.param(CANCELLED, 8_000, id="a live event that is cancelled, from the beginning"),
        pytest.param(replace(CANCELLED, takes=True, moody=True), 8_000, id="one, and a moody provider takes money"),
        pytest.param(Scenario(policy=KEEP), 40_000, id="two charges, another card after a decline"),
        pytest.param(TWO, 40_000, id="two charges, no call comes late"),
        pytest.param(replace(TWO, moody=True), 40_000, id="two charges, moody provider"),
        pytest.param(replace(ONE, hands=2, action=True, moody=True), 20_000, id="one charge, everything at once"),
        pytest.param(replace(TWO, policy=KEEP, start=DECLINED, action=True), 5_000, id="another card, to be acted on"),
        pytest.param(replace(TWO, policy=KEEP, revives=True), 20_000, id="two charges, the first comes to life again"),
        pytest.param(replace(TWO, policy=KEEP, takes=True, holds=False), 20_000, id="two charges, taken at once"),
        pytest.param(replace(ONE, takes=True, action=True, revives=True), 20_000, id="taken at once, acted on"),
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


def _declines_what_is_authorized(state: State, *, charge_id: str, code: str) -> Changes | Need:
    charge = state.get(Charge, charge_id)
    if charge is not None and charge.status is ChargeStatus.AUTHORIZED:
        return payments.capture_refused(state, charge_id, code=code)
    return payments.declined(state, charge_id, code=code)


def _gives_nothing_back(state: State, **_: Any) -> Changes | Need:
    return Changes()


def _refunds_uncounted(state: State, **what: Any) -> Changes | Need:
    found = refunds.begin(state, **what)
    if isinstance(found, Need):
        return found
    put = (replace(e, refunded=0) if isinstance(e, Charge) else e for e in found.put)
    return replace(found, put=tuple(put))


def _releases(when: Callable[..., bool]) -> Decide:
    def mutant(state: State, *, news: settlement.ChargeNews) -> Changes | Need:
        with patch.object(settlement, "_releases", when):
            return settlement.charge_heard(state, news)

    return mutant


def _released_by_any_part(order: Order, news: settlement.ChargeNews) -> bool:
    return order.status is not OrderStatus.CANCELLED and order.charge_id == news.id and news.given_back > 0


def _owes_nothing(state: State, *, news: payments.OrderNews, **_: Any) -> Changes | Need:
    return payments.order_heard(state, news)


def _owes_all_again(state: State, *, news: payments.OrderNews, **what: Any) -> Changes | Need:
    """Counts nothing that was given back before, or is under way."""
    found = refunds.order_heard(state, news=news, **what)
    if isinstance(found, Need) or news.charge_id is None or Charge.key(news.charge_id) not in state.entities:
        return found
    charge = state.require(Charge, news.charge_id)
    return refunds.order_heard(_with(state, replace(charge, refunded=0)), news=news, **what)


def _voids_pinned(state: State, *, order_id: str) -> Changes | Need:
    order = state.get(Order, order_id)
    if order is not None and order.status is OrderStatus.AWAITING_PAYMENT:
        state = _with(state, replace(order, status=OrderStatus.CREATED))
    return orders.void(state, order_id)


def _forgets_refused(state: State, **what: Any) -> Changes | Need:
    found = refunds.failed(state, **what)
    if isinstance(found, Need):
        return found
    return replace(found, put=tuple(replace(e, due_at=None) if isinstance(e, Charge) else e for e in found.put))


NO_VOID_OWED = Rules(
    give_up=_no_void_owed(payments.give_up),
    order_heard=_no_void_owed(refunds.order_heard),
    prepared=_no_void_owed(payments.prepared),
    authorized=_no_void_owed(payments.authorized),
    declined=_no_void_owed(payments.declined),
    capture_refused=_no_void_owed(payments.capture_refused),
)
MUTANTS = [
    pytest.param(NO_VOID_OWED, ONE, "money is still held", id="owed_void"),
    pytest.param(
        Rules(capture_refused=_no_void_owed(payments.capture_refused)),
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
    pytest.param(
        Rules(declined=_no_void_owed(payments.declined)),
        replace(ONE, revives=True),
        "money is still held",
        id="owed_void, of a declined payment",
    ),
    pytest.param(
        Rules(declined=_declines_what_is_authorized),
        replace(ONE, revives=True),
        UNASKED,
        id="an old decline is void",
    ),
    pytest.param(
        Rules(give_back=_gives_nothing_back), AT_ONCE, "something never ends", id="a void that is refused is a refund"
    ),
    pytest.param(
        Rules(refund=_refunds_uncounted),
        replace(REFUNDED, refunds=2),
        "the refunds of a charge do not add up",
        id="a refund is counted when it is begun",
    ),
    pytest.param(
        Rules(charge_heard=_releases(_released_by_any_part)),
        replace(REFUNDED, halves=True),
        "A paid for B's seat",
        id="only a full refund releases",
    ),
    pytest.param(
        Rules(order_heard=_owes_nothing),
        replace(CANCELLED, start=PAID),
        "money is kept for a live event that is cancelled",
        id="what is void is owed back",
    ),
    pytest.param(
        Rules(order_heard=_owes_all_again),
        replace(CANCELLED, start=PAID, refunds=1),
        "the refunds of a charge do not add up",
        id="what was given back before counts",
    ),
    pytest.param(
        Rules(void=_voids_pinned),
        replace(CANCELLED, start=PAID[:6], clock=False),
        UNASKED,
        id="a pinned order is left to its payment",
    ),
    pytest.param(
        Rules(refund_failed=_forgets_refused),
        replace(CANCELLED, start=PAID, refuses=True),
        "a refund never ends",
        id="a refund that is refused is looked after",
    ),
    pytest.param(
        Rules(charge_heard=_releases(lambda *_: False)),
        REFUNDED,
        "a refund never ends",
        id="a full refund releases",
    ),
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
