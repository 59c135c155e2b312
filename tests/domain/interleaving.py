"""Every interleaving of one purchase, on the real decisions of the domain.

One ticket; buyer A with one order and up to two charges; buyer B, who orders the ticket as soon as the rules let her,
by takeover too; one payment provider. What may happen at any point, any number of times and in any order:

- time passes, up to each end of the lock (placed, with grace, with the window of `requires_action`);
- an event that was ever told is delivered;
- a call that a worker had reason to make, now or at any time before, reaches the provider;
- a worker commits an answer of the provider that it has in hand, or crashes and forgets it;
- the provider lets held money go by itself, or refuses a capture.

Versions only ever rise, and the decisions only compare them: states are the same when their versions are in the same
order. That keeps the graph finite.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from tests.domain.world import START

from ticketkit.domain import orders, payments, settlement
from ticketkit.domain.decision import Changes, Command, Keys, Need, State
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Entity,
    Holds,
    Key,
    Order,
    OrderCopy,
    OrderStatus,
    Ticket,
    TicketStatus,
    holds_id,
    key_of,
)
from ticketkit.domain.errors import DomainError
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy

A: Final = Order.key("A")
B: Final = Order.key("B")
COPY: Final = OrderCopy.key("A")
TICKET: Final = Ticket.key("t")
CHARGES: Final = (Charge.key("c0"), Charge.key("c1"))
UNDECIDED: Final = (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION)

Told = tuple[str, Entity]


@dataclass(frozen=True, slots=True)
class Rules:
    """The decisions as the check runs them; a mutant replaces one.

    Attributes:
        prepares: Whether the provider's reference is committed before anything can be authorized.
    """

    place: Callable[..., Any] = orders.place
    cancel: Callable[..., Any] = orders.cancel
    expire: Callable[..., Any] = orders.expire
    charge_heard: Callable[..., Any] = settlement.charge_heard
    order_heard: Callable[..., Any] = payments.order_heard
    begin: Callable[..., Any] = payments.begin
    prepared: Callable[..., Any] = payments.prepared
    authorized: Callable[..., Any] = payments.authorized
    action_required: Callable[..., Any] = payments.action_required
    declined: Callable[..., Any] = payments.declined
    captured: Callable[..., Any] = payments.captured
    voided: Callable[..., Any] = payments.voided
    give_up: Callable[..., Any] = payments.give_up
    may_capture: Callable[[Charge, OrderCopy], bool] = payments.may_capture
    prepares: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """How large the world is.

    Attributes:
        charges: Most charges that A begins.
        hands: Most answers of the provider that workers hold at once.
        action: Whether the provider may ask the buyer to act.
        moody: Whether the provider may let held money go by itself, and refuse a capture.
        stragglers: Whether a call may still reach the provider when the reason for it is gone, or a worker is busy.
        money_only: Whether only lost money and seats count, not entities that contradict one another.
    """

    policy: Policy = field(default_factory=Policy)
    charges: int = 2
    hands: int = 1
    action: bool = False
    moody: bool = False
    stragglers: bool = True
    money_only: bool = False

    @property
    def times(self) -> tuple[timedelta, ...]:
        """In time; then exactly at each end that the lock can have."""
        ends = (timedelta(0), self.policy.hold, self.policy.hold + self.policy.payment_grace)
        return (*ends, self.policy.hold + self.policy.payment_window) if self.action else ends


class Point(NamedTuple):
    """One state of the world. `told` are the events, oldest first; `asked` the calls that may reach the provider."""

    entities: Mapping[Key, Entity]
    late: int = 0
    told: tuple[Told, ...] = ()
    provider: tuple[str, str] = ("none", "none")
    asked: frozenset[tuple[int, str]] = frozenset()
    hands: frozenset[tuple[int, str]] = frozenset()

    @property
    def a(self) -> Order:
        found = self.entities[A]
        assert isinstance(found, Order)
        return found

    @property
    def copy(self) -> OrderCopy:
        found = self.entities[COPY]
        assert isinstance(found, OrderCopy)
        return found

    @property
    def ticket(self) -> Ticket:
        found = self.entities[TICKET]
        assert isinstance(found, Ticket)
        return found

    def charge(self, i: int) -> Charge | None:
        found = self.entities.get(CHARGES[i])
        assert found is None or isinstance(found, Charge)
        return found

    @property
    def charges(self) -> list[Charge]:
        return [charge for charge in (self.charge(0), self.charge(1)) if charge is not None]


Came = dict[Any, tuple[str, Any] | None]
"""How each state was first reached: by which step, from where."""
Step = tuple[str, Point, bool]
"""Its name, where it leads, and whether a healthy system takes it by itself sooner or later."""


class Check:
    """Explores all states of a scenario under some rules."""

    def __init__(self, rules: Rules | None = None, scenario: Scenario | None = None) -> None:
        self.rules = rules or Rules()
        self.scenario = scenario or Scenario()
        self.times = self.scenario.times
        self.answers = _answers(self.rules, self.scenario)

    # --- running decisions ---

    def decide(self, at: Point, decision: Callable[[State], Changes | Need], *keys: Key) -> Point | None:
        """The state after a commit; None when nothing was written."""
        now, reads = START + self.times[at.late], Keys.of(*keys)
        while True:
            found = decision(State(now, {key: at.entities.get(key) for key in reads.all}))
            if isinstance(found, Changes):
                break
            reads |= found.keys
        if not found.put:
            return None
        entities = dict(at.entities)
        for entity in found.put:
            old = entities.get(key_of(entity))
            entities[key_of(entity)] = replace(entity, version=(old.version if old else 0) + 1)
        news = tuple((name, entities[key]) for name, key in found.facts if key.kind in ("order", "charge") and key != B)
        return at._replace(entities=entities, told=at.told + news)

    def attempt(self, at: Point, decision: Callable[[State], Changes | Need], *keys: Key) -> Point | None:
        """The same, for what may be refused."""
        try:
            return self.decide(at, decision, *keys)
        except DomainError:
            return None

    def start(self) -> Point:
        """A has ordered the ticket, and payments knows."""
        ticket = Ticket(id="t", title="Row A", price=Money(2000, "USD"), seller_id="S", created_at=START, version=1)
        at = self.decide(Point({TICKET: ticket}), partial(self._order, "A"), TICKET)
        assert at is not None
        at = self.decide(at, partial(self.rules.order_heard, news=_order_news(at.a)), COPY)
        assert at is not None
        return at

    # --- what may happen ---

    def steps(self, at: Point) -> Iterator[Step]:
        """All that may happen next."""
        for part in (self._people_and_time, self._deliveries, self._provider, self._commits):
            for name, to, helps in part(at):
                if to is not None:
                    old = to.asked if self.scenario.stragglers else frozenset()
                    yield name, to._replace(asked=old | self._reasons(to)), helps

    def _people_and_time(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        if at.late + 1 < len(self.times):
            yield "time passes", at._replace(late=at.late + 1), True
        yield "A cancels", self.attempt(at, partial(self.rules.cancel, order_id="A", buyer_id="A"), A), False
        yield "expiry", self.decide(at, partial(self.rules.expire, order_id="A"), A), True
        if B not in at.entities:
            yield "B orders", self.attempt(at, partial(self._order, "B"), TICKET), True
        i = len(at.charges)
        if i < self.scenario.charges:
            begin = partial(
                self.rules.begin,
                command=Command(id="", fresh=(f"c{i}",)),
                order_id="A",
                buyer_id="A",
                provider="fake",
                token=None,
            )
            yield f"A pays with c{i}", self.attempt(at, begin, COPY), True

    def _order(self, who: str, state: State) -> Changes | Need:
        command = Command(id="", fresh=(who,))
        found: Changes | Need = self.rules.place(
            state, command, buyer_id=who, ticket_ids=["t"], policy=self.scenario.policy
        )
        return found

    def _deliveries(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        for _, told in at.told:
            if isinstance(told, Order):
                heard = partial(self.rules.order_heard, news=_order_news(told))
                yield f"payments hears that the order is {told.status}", self.decide(at, heard, COPY), True
            elif isinstance(told, Charge):
                news = partial(self.rules.charge_heard, news=_charge_news(told))
                yield f"orders hears that {told.id} is {told.status}", self.decide(at, news, A), True

    def _reasons(self, at: Point) -> set[tuple[int, str]]:
        """The calls that a worker has reason to make now."""
        found: set[tuple[int, str]] = set()
        for i, charge in enumerate(at.charges):
            if charge.status in UNDECIDED:
                if charge.reference is None and self.rules.prepares:
                    found.add((i, "prepare"))
                elif charge.reference is not None or not self.rules.prepares:
                    found.add((i, "authorize"))
            if self.rules.may_capture(charge, at.copy):
                found.add((i, "capture"))
            if charge.owes_void and charge.reference is not None:
                found.add((i, "void"))
            if not charge.status.final and charge.reference is not None and self.scenario.moody:
                found.add((i, "retrieve"))
        return found

    def _provider(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        reasons = self._reasons(at)
        for i, call in sorted(at.asked):
            for now, answer in self.answers.get((call, at.provider[i]), ()):
                helps = (i, call) in reasons
                to = at._replace(provider=_put(at.provider, i, now))
                name = f"the provider answers {call} of c{i}: {answer}"
                if len(at.hands) < self.scenario.hands:
                    yield name, to._replace(hands=at.hands | {(i, answer)}), helps
                elif to != at and self.scenario.stragglers:
                    yield f"{name} (lost)", to, False
        if self.scenario.moody:
            for i, was in enumerate(at.provider):
                if was == "authorized":
                    yield f"the provider lets c{i} go", at._replace(provider=_put(at.provider, i, "void")), False

    def _commits(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        for i, charge in enumerate(at.charges):
            if charge.status in UNDECIDED:  # its own deadline may come at any time
                give_up = partial(self.rules.give_up, charge_id=charge.id, code="timeout")
                yield f"payments gives up {charge.id}", self.decide(at, give_up, CHARGES[i]), True
        for i, answer in sorted(at.hands):
            empty = at._replace(hands=at.hands - {(i, answer)})
            yield f"a worker crashes with c{i} {answer}", empty, False
            if not self.rules.prepares and at.charges[i].reference is None:  # the answer brings the reference as well
                yield f"payments notes c{i}", self.attempt(at, self._commit(i, "prepared"), CHARGES[i]), True
            else:
                to = self.attempt(empty, self._commit(i, answer), CHARGES[i])
                yield f"payments commits c{i} {answer}", to or empty, True

    def _commit(self, i: int, answer: str) -> Callable[[State], Changes | Need]:
        id = f"c{i}"
        match answer:
            case "prepared":
                return partial(self.rules.prepared, charge_id=id, reference=f"ref-{id}")
            case "authorized":
                return partial(self.rules.authorized, charge_id=id)
            case "action":
                return partial(self.rules.action_required, charge_id=id, action={"type": "redirect"})
            case "declined":
                return partial(self.rules.declined, charge_id=id, code="card_declined")
            case "captured":
                return partial(self.rules.captured, charge_id=id)
            case _:
                return partial(self.rules.voided, charge_id=id)

    # --- exploring ---

    def run(self) -> Result:
        """Explore, breadth first, until something is wrong or all has been seen."""
        first = self.start()
        came: Came = {canonical(first): None}
        todo = deque([(canonical(first), first)])
        back: dict[Any, list[Any]] = {}
        ends: dict[Any, str | None] = {}
        while todo:
            here, at = todo.popleft()
            if why := wrong(at) or (None if self.scenario.money_only else untidy(at)):
                return Result(why, trace(came, here), len(came))
            ends[here] = unfinished(at)
            for name, to, helps in self.steps(at):
                there = canonical(to)
                if there == here:
                    continue
                if why := self._untimely(at, to):
                    return Result(why, f"{trace(came, here)} > {name}", len(came))
                if helps:
                    back.setdefault(there, []).append(here)
                if there not in came:
                    came[there] = (name, here)
                    todo.append((there, to))
        return _stuck(came, back, ends)

    def _untimely(self, at: Point, to: Point) -> str | None:
        """What may not happen from one state to the next."""
        late = START + self.times[at.late] >= at.a.expires_at
        if self.scenario.money_only:
            return None
        if late and at.a.status is OrderStatus.CREATED and to.a.status is OrderStatus.AWAITING_PAYMENT:
            return "pinned by a payment that was too late"
        if at.a.status.final and to.a != at.a:
            return "a final order changed"
        if any(
            was.status.final and now.status is not was.status for was, now in zip(at.charges, to.charges, strict=False)
        ):
            return "a final charge changed"
        return None


class Result(NamedTuple):
    """What a check found: `why` is empty when nothing is wrong."""

    why: str
    trace: str
    states: int


def _answers(rules: Rules, scenario: Scenario) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """What the provider may make of a call, by call and its state of the charge: its new state, and its answer."""
    decided = [("authorized", "authorized"), ("declined", "declined")]
    acting = [*decided, ("acting", "action")]
    found = {
        ("prepare", "none"): [("prepared", "prepared")],
        ("authorize", "prepared"): acting if scenario.action else decided,
        ("authorize", "acting"): acting,  # the buyer acts, or not yet
        ("retrieve", "acting"): acting,
        ("authorize", "void"): [("void", "declined")],
        ("retrieve", "void"): [("void", "declined"), ("void", "void")],
        ("capture", "authorized"): [("captured", "captured")],
        ("capture", "captured"): [("captured", "captured")],
    }
    for was in ("prepared", "acting", "authorized", "refused", "declined", "captured", "void"):
        found["prepare", was] = [(was, "prepared")]
        if was != "captured":
            found["void", was] = [("void", "void")]
    for was in ("authorized", "declined", "captured"):
        found["authorize", was] = found["retrieve", was] = [(was, was)]
    for was in ("void", "declined", "refused"):
        found["capture", was] = [(was, "declined")]
    if scenario.moody:
        found["capture", "authorized"].append(("refused", "declined"))  # for good; the money is still held
    if not rules.prepares:
        found["authorize", "none"] = decided
    return found


def wrong(at: Point) -> str | None:
    """What may never be true, as in the notes: somebody loses money or a seat."""
    if at.provider.count("captured") > 1:
        return "A paid twice"
    if "captured" in at.provider and at.a.status not in (OrderStatus.AWAITING_PAYMENT, OrderStatus.COMPLETED):
        return "A paid, the order does not wait for it"
    if "captured" in at.provider and at.ticket.order_id != "A":
        return "A paid for B's seat"
    return None


def untidy(at: Point) -> str | None:
    """What may never be true either: entities that contradict one another, or that nobody looks after."""
    holds, status, charges = at.entities[Holds.key(holds_id("A", None))], at.a.status, at.charges
    assert isinstance(holds, Holds)
    mine = at.ticket.order_id == "A" and at.ticket.status is not TicketStatus.AVAILABLE
    sold = at.ticket.status is TicketStatus.SOLD
    found = {
        "the order and its ticket disagree": mine == (status is OrderStatus.CANCELLED),
        "the order and its ticket disagree about the sale": sold != (status is OrderStatus.COMPLETED),
        "the count of tickets on hold is off": holds.count != (not status.final),
        "two charges are open": sum(not charge.status.final for charge in charges) > 1,
        "nobody looks after a charge": any((not c.status.final or c.owes_void) and c.due_at is None for c in charges),
        "a void is owed that has no reference": any(c.owes_void and c.reference is None for c in charges),
    }
    return next((why for why, so in found.items() if so), None)


def unfinished(at: Point) -> str | None:
    """What may not stay true, as in the notes."""
    if "authorized" in at.provider or "refused" in at.provider:
        return "money is still held"
    if not at.a.status.final or any(not c.status.final or c.owes_void for c in at.charges):
        return "something never ends"
    if ("captured" in at.provider) != (at.a.status is OrderStatus.COMPLETED):
        return "captured and completed disagree"
    if at.hands:
        return "a worker has an answer in hand"
    return None


def canonical(at: Point) -> Any:
    """The state without ids, times and codes that no decision looks at, and with versions by rank only."""
    orders_told = [told for _, told in at.told if isinstance(told, Order)]
    a, copy, charges = at.a, at.copy, at.charges
    seen = dict(a.seen)
    return (
        at.late,
        (a.status, a.extension, a.charge_id),
        (at.ticket.status, at.ticket.order_id),
        B in at.entities,
        (sum(told.version <= copy.order_version for told in orders_told), copy.open_charge_id),
        tuple((c.status, c.reference is None, c.owes_void, c.due_at is None) for c in charges),
        tuple((told.status, told.extension, told.charge_id) for told in orders_told),
        tuple(_heard_of(at.told, c.id, seen.get(c.id, 0)) for c in charges),
        at.provider,
        at.asked,
        at.hands,
    )


def _heard_of(told: tuple[Told, ...], id: str, seen: int) -> tuple[object, ...]:
    news = [charge for _, charge in told if isinstance(charge, Charge) and charge.id == id]
    return (*((charge.status, charge.declined) for charge in news), sum(charge.version <= seen for charge in news))


def _stuck(came: Came, back: Mapping[Any, list[Any]], ends: Mapping[Any, str | None]) -> Result:
    """A state from which no good end can be reached any more, the earliest there is."""
    left = deque(here for here, why in ends.items() if why is None)
    reach = set(left)
    while left:
        for before in back.get(left.popleft(), ()):
            if before not in reach:
                reach.add(before)
                left.append(before)
    for here, why in ends.items():
        if why is not None and here not in reach:
            return Result(why, trace(came, here), len(came))
    return Result("", "", len(came))


def trace(came: Came, here: Any) -> str:
    """How a state came about."""
    names = []
    while (step := came[here]) is not None:
        name, here = step
        names.append(name)
    return " > ".join(reversed(names))


def _put(pair: tuple[str, str], i: int, value: str) -> tuple[str, str]:
    return (value, pair[1]) if i == 0 else (pair[0], value)


def _order_news(order: Order) -> payments.OrderNews:
    return payments.OrderNews(
        id=order.id,
        buyer_id=order.buyer_id,
        status=order.status,
        reason=order.reason,
        total=order.total,
        expires_at=order.expires_at,
        charge_id=order.charge_id,
        version=order.version,
    )


def _charge_news(charge: Charge) -> settlement.ChargeNews:
    return settlement.ChargeNews(
        id=charge.id,
        order_id=charge.order_id,
        version=charge.version,
        status=charge.status,
        amount=charge.amount,
        declined=charge.declined,
    )
