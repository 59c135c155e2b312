"""No sequence of decisions, in whatever order and however often events are delivered, breaks a promise."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.domain.bazaar import Bazaar, check_all, check_settled

pytestmark = pytest.mark.usefixtures("untraced")

NUMBER = st.integers(min_value=0, max_value=63)
FEW = st.lists(NUMBER, min_size=1, max_size=4)


class Market(RuleBasedStateMachine):
    """Anybody may try anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.bazaar = Bazaar()

    @rule(seller=NUMBER, event=NUMBER, price=NUMBER)
    def list_ticket(self, seller: int, event: int, price: int) -> None:
        self.bazaar.list(seller, event, price)

    @rule(ticket=NUMBER, price=NUMBER)
    def edit(self, ticket: int, price: int) -> None:
        self.bazaar.edit(ticket, price)

    @rule(ticket=NUMBER)
    def withdraw(self, ticket: int) -> None:
        self.bazaar.withdraw(ticket)

    @rule(buyer=NUMBER, tickets=FEW, policy=NUMBER)
    def place(self, buyer: int, tickets: list[int], policy: int) -> None:
        self.bazaar.place(buyer, tickets, policy)

    @rule(order=NUMBER, tickets=FEW)
    def keep(self, order: int, tickets: list[int]) -> None:
        self.bazaar.keep(order, tickets)

    @rule(order=NUMBER)
    def cancel(self, order: int) -> None:
        self.bazaar.cancel(order)

    @rule(order=NUMBER)
    def expire(self, order: int) -> None:
        self.bazaar.expire(order)

    @rule(order=NUMBER)
    def begin(self, order: int) -> None:
        self.bazaar.begin(order)

    @rule(charge=NUMBER, mood=NUMBER, lost=st.booleans())
    def provider(self, charge: int, mood: int, *, lost: bool) -> None:
        self.bazaar.provider(charge, mood, lost=lost)

    @rule(charge=NUMBER)
    def late_answer(self, charge: int) -> None:
        self.bazaar.late_answer(charge)

    @rule(charge=NUMBER)
    def give_up(self, charge: int) -> None:
        self.bazaar.give_up(charge)

    @rule(charge=NUMBER, minor=NUMBER, refund=NUMBER, mood=NUMBER)
    def refund(self, charge: int, minor: int, refund: int, mood: int) -> None:
        self.bazaar.refund(charge, minor)
        if mood % 4:
            self.bazaar.refund_answered(refund, mood)

    @rule(event=NUMBER)
    def deliver(self, event: int) -> None:
        self.bazaar.deliver(event)

    @rule(back=NUMBER)
    def deliver_newest(self, back: int) -> None:
        self.bazaar.deliver_newest(back)

    @rule(buyer=NUMBER, tickets=FEW, policy=NUMBER, steps=st.integers(min_value=1, max_value=8), mood=NUMBER)
    def go_a_good_way(self, buyer: int, tickets: list[int], policy: int, steps: int, mood: int) -> None:
        """So that the middle and the end of a purchase are seen as often as its beginning."""
        self.bazaar.place(buyer, tickets, policy)
        for step in range(steps):
            self.bazaar.deliver_newest(step)
            self.bazaar.begin(-1)
            self.bazaar.provider(-1, mood)

    @rule(buyer=NUMBER, order=NUMBER, late=st.booleans())
    def take_over(self, buyer: int, order: int, *, late: bool) -> None:
        """Exactly at the end of a lock, or a microsecond before it."""
        self.bazaar.take_over(buyer, order, late=late)

    @rule(long=NUMBER)
    def wait(self, long: int) -> None:
        self.bazaar.wait(long)

    @invariant()
    def everything_holds(self) -> None:
        check_all(self.bazaar)

    def teardown(self) -> None:
        self.bazaar.settle()
        check_all(self.bazaar)
        check_settled(self.bazaar)


QUICK = settings(
    max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def test_no_sequence_of_decisions_breaks_a_promise() -> None:
    run_state_machine_as_test(Market, settings=QUICK)


@pytest.mark.proof
def test_no_long_sequence_of_decisions_breaks_a_promise() -> None:
    run_state_machine_as_test(Market, settings=settings(QUICK, max_examples=1500, stateful_step_count=80))
