import pytest
from tests.domain.world import START, World, usd

from ticketkit.domain.decision import KeyNotHeld, Keys, Need, State
from ticketkit.domain.entities import LiveEvent, Order, Ticket, TicketStatus
from ticketkit.domain.errors import Conflict, DomainError, InvalidMoney, NotFound, OrderClosed, TicketUnavailable

T1, T2, GIG = Ticket.key("t1"), Ticket.key("t2"), LiveEvent.key("gig")


def state_of(*ids: str) -> State:
    tickets = [Ticket(id=id, title="A", price=usd("1"), seller_id="s", created_at=START) for id in ids]
    return State(START, {Ticket.key(ticket.id): ticket for ticket in tickets})


def test_what_one_side_holds_the_union_holds() -> None:
    both = Keys.of(T1, shared=[GIG]) | Keys.of(GIG, shared=[T1, T2])
    assert both == Keys(frozenset({T1, GIG}), frozenset({T2}))
    assert both.all == {T1, T2, GIG}
    assert both | both == both


def test_a_decision_sees_what_it_named_and_whether_it_exists() -> None:
    state = State(START, {**state_of("t1").entities, T2: None})
    assert state.require(Ticket, "t1").status is TicketStatus.AVAILABLE
    assert state.get(Ticket, "t2") is None


def test_reading_what_was_not_named_is_a_mistake() -> None:
    with pytest.raises(KeyNotHeld, match="ticket t2") as mistake:
        state_of("t1").get(Ticket, "t2")
    assert not isinstance(mistake.value, DomainError)


def test_what_does_not_exist_is_refused_by_its_name() -> None:
    with pytest.raises(NotFound, match=r"There is no live event gig\.") as refusal:
        State(START, {GIG: None}).require(LiveEvent, "gig")
    assert (refusal.value.code, refusal.value.values) == ("live_event_not_found", {"live_event_id": "gig"})
    with pytest.raises(OrderClosed):
        State(START, {Order.key("o1"): None}).require(Order, "o1", error=OrderClosed)


def test_only_what_is_missing_is_asked_for() -> None:
    state = state_of("t1")
    assert state.missing([T1]) is None
    assert state.missing([T1, T2], shared=[GIG, T2]) == Need(Keys.of(T2, shared=[GIG]))
    assert state.missing([], shared=[GIG]) == Need(Keys(frozenset(), frozenset({GIG})))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DomainError, "refused"),
        (NotFound, "not_found"),
        (InvalidMoney, "invalid_money"),
        (Conflict, "conflict"),
        (TicketUnavailable, "ticket_unavailable"),
    ],
)
def test_a_refusal_has_a_code_and_a_sentence(error: type[DomainError], code: str) -> None:
    plain = error()
    assert (plain.code, plain.field, plain.values) == (code, None, {})
    assert plain.message.endswith(".")
    own = error("No.", code="why", field="price", most=3)
    assert (str(own), own.code, own.field, own.values) == ("No.", "why", "price", {"most": 3})


def test_a_refused_decision_leaves_no_trace() -> None:
    world = World()
    world.list("t1")
    before, told = dict(world.entities), world.told()
    with pytest.raises(NotFound):
        world.place("o1", "t1", "t9")
    assert (world.entities, world.told()) == (before, told)
