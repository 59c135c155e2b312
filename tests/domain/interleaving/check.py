"""Explores every interleaving of a scenario, and finds what goes wrong or never ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from tests.domain.interleaving.point import (
    CHARGES,
    COPY,
    LIVE,
    TICKET,
    UNDECIDED,
    A,
    B,
    Call,
    Hand,
    Point,
    Told,
    canonical,
    refund_id,
)
from tests.domain.interleaving.provider import answers, by_itself
from tests.domain.interleaving.rules import Rules, Scenario
from tests.domain.interleaving.verdicts import unfinished, untidy, untimely, wrong
from tests.domain.world import START

from ticketkit.domain import payments, settlement
from ticketkit.domain.decision import Changes, Command, Need, State
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Entity,
    Key,
    LiveEvent,
    Order,
    OrderStatus,
    Refund,
    RefundStatus,
    Ticket,
    key_of,
)
from ticketkit.domain.errors import DomainError
from ticketkit.domain.money import Money

NOBODY: Final = Command(id="")
HALF: Final = Money(1000, "USD")

Came = dict[Any, tuple[str, Any] | None]
"""How each state was first reached: by which step, from where."""
Step = tuple[str, Point, bool]
"""Its name, where it leads, and whether a healthy system takes it by itself sooner or later."""
Decide = Callable[[State], Changes | Need]


class Result(NamedTuple):
    """What a check found: `why` is empty when nothing is wrong."""

    why: str
    trace: str
    states: int


class Check:
    """Explores all states of a scenario under some rules."""

    def __init__(self, rules: Rules | None = None, scenario: Scenario | None = None) -> None:
        self.rules = rules or Rules()
        self.scenario = scenario or Scenario()
        self.times = self.scenario.times
        # Decisions are pure: what one found on the very same entities, it finds again.
        self._ran: dict[Hashable, Changes | Need | DomainError] = {}
        self._written: dict[Hashable, tuple[dict[Key, Entity], tuple[Told, ...]]] = {}

    # --- running decisions ---

    def decide(self, at: Point, name: Hashable, decision: Decide, *keys: Key) -> Point | None:
        """The state after a commit; None when nothing was written. `name` tells one decision from another."""
        reads, found = list(keys), None
        while not isinstance(found, Changes):
            if found is not None:
                reads += sorted(found.keys.all - set(reads))
            found = self._run(at, name, decision, reads)
        if not found.put:
            return None
        entities, news = self._stamp(at, found)
        return at._replace(entities={**at.entities, **entities}, told=at.told + news)

    def attempt(self, at: Point, name: Hashable, decision: Decide, *keys: Key) -> Point | None:
        """The same, for what may be refused."""
        try:
            return self.decide(at, name, decision, *keys)
        except DomainError:
            return None

    def _run(self, at: Point, name: Hashable, decision: Decide, reads: list[Key]) -> Changes | Need:
        this = (at.late, name, *(id(at.entities.get(key)) for key in reads))
        found = self._ran.get(this)
        if found is None:
            try:
                found = decision(State(START + self.times[at.late], {key: at.entities.get(key) for key in reads}))
            except DomainError as error:
                found = error
            self._ran[this] = found
        if isinstance(found, DomainError):
            raise found
        return found

    def _stamp(self, at: Point, found: Changes) -> tuple[dict[Key, Entity], tuple[Told, ...]]:
        """As a storage does. What was stamped once stays alive, so that ids of objects name entities."""
        olds = [at.entities.get(key_of(entity)) for entity in found.put]
        this = (id(found), *map(id, olds))
        if this not in self._written:
            entities = {
                key_of(entity): replace(entity, version=(old.version if old else 0) + 1)
                for entity, old in zip(found.put, olds, strict=True)
            }
            heard = [(name, key) for name, key in found.facts if key.kind in ("order", "charge") and key != B]
            self._written[this] = entities, tuple((name, entities[key]) for name, key in heard)
        return self._written[this]

    def start(self) -> Point:
        """A has ordered the ticket, payments knows, and the scenario's first steps are taken."""
        at = self.decide(Point(self._world()), "A orders", self._order("A"), TICKET)
        assert at is not None
        at = self.decide(at, "first", self._heard(at, at.a), COPY)
        assert at is not None
        for name in self.scenario.start:
            at = next((to for step, to, _ in self.steps(at) if step == name), None)
            assert at is not None, f"there is no step {name!r}"
        return at._replace(asked=frozenset(self._reasons(at)))

    def _world(self) -> dict[Key, Entity]:
        event_id = "e" if self.scenario.cancels else None
        ticket = Ticket(
            id="t",
            title="Row A",
            price=Money(2000, "USD"),
            seller_id="S",
            event_id=event_id,
            created_at=START,
            version=1,
        )
        if event_id is None:
            return {TICKET: ticket}
        event = LiveEvent(
            id=event_id,
            name="Hamlet",
            venue="Globe",
            starts_at=START + timedelta(days=30),
            owner_id="S",
            created_at=START,
            version=1,
        )
        return {TICKET: ticket, LIVE: event}

    # --- what may happen ---

    def steps(self, at: Point) -> Iterator[Step]:
        """All that may happen next."""
        for part in (self._people_and_time, self._operations, self._deliveries, self._provider, self._commits):
            for name, to, helps in part(at):
                if to is not None:
                    yield name, self._reached(to), helps

    def _reached(self, to: Point) -> Point:
        """Where a step leads, without the calls and answers of which nothing can come any more."""
        old = {call for call in to.asked if not self._idle(to, call)} if self.scenario.stragglers else frozenset()
        hands = frozenset(hand for hand in to.hands if not _stale(to, hand))
        return to._replace(asked=frozenset(old | self._reasons(to)), hands=hands)

    def _idle(self, at: Point, call: Call) -> bool:
        i, _ = call
        return all(now == at.provider[i] and _stale(at, (i, answer)) for now, answer in self._answers(at, call))

    def _answers(self, at: Point, call: Call) -> Iterator[tuple[Any, str]]:
        return answers(call[1], at.provider[call[0]], self.scenario, prepares=self.rules.prepares)

    def _people_and_time(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        if at.late + 1 < len(self.times):
            yield "time passes", at._replace(late=at.late + 1), True
        cancel = partial(self.rules.cancel, order_id="A", buyer_id="A")
        yield "A cancels", self.attempt(at, "A cancels", cancel, A), False
        yield "expiry", self.decide(at, "expiry", partial(self.rules.expire, order_id="A"), A), True
        if at.b is None and not self.scenario.cancels:
            yield "B orders", self.attempt(at, "B orders", self._order("B"), TICKET), True
        elif self.scenario.refunds and at.b and at.b.status is OrderStatus.CREATED:
            yield "B pays", self._b_pays(at), True
        i = len(at.charges)
        if i < self.scenario.charges:
            begin = partial(
                self.rules.begin,
                command=replace(NOBODY, fresh=(f"c{i}",)),
                order_id="A",
                buyer_id="A",
                provider="fake",
                token=None,
            )
            yield f"A pays with c{i}", self.attempt(at, ("begin", i), begin, COPY), True
        yield from self._refunds_asked(at)

    def _operations(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        """The live event is cancelled; and a walk, or another one after a crash, comes by."""
        if not self.scenario.cancels:
            return
        call_off = partial(self.rules.call_off, event_id="e", owner_id=None)
        yield "the live event is cancelled", self.attempt(at, "call off", call_off, LIVE), False
        if at.off:
            yield "a walk voids A", self.decide(at, "void", partial(self.rules.void, order_id="A"), A), True
            take_off = partial(self.rules.take_off, ticket_ids=["t"])
            yield "a walk withdraws the ticket", self.decide(at, "take off", take_off, TICKET), True

    def _order(self, who: str) -> Decide:
        command = replace(NOBODY, fresh=(who,))
        return partial(self.rules.place, command=command, buyer_id=who, ticket_ids=["t"], policy=self.scenario.policy)

    def _b_pays(self, at: Point) -> Point | None:
        to: Point | None = at
        for version, status in enumerate((ChargeStatus.AUTHORIZED, ChargeStatus.COMPLETED), 1):
            news = settlement.ChargeNews(
                id="cB", order_id="B", version=version, status=status, amount=Money(2000, "USD")
            )
            heard = partial(self.rules.charge_heard, news=news)
            to = to and self.decide(to, ("B pays", version), heard, B)
        return to if to is not None and to.b is not None and to.b.status is OrderStatus.COMPLETED else None

    def _refunds_asked(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        """By the seller, at any time; and by an operator, who has to when the provider refused to give money back."""
        asked = sum(len(charge.refund_ids) for charge in at.charges)
        for i, charge in enumerate(at.charges):
            stuck = (
                charge.status is ChargeStatus.FAILED and charge.taken and not charge.owes_void and not charge.refunded
            ) or (at.off and charge.status is ChargeStatus.COMPLETED and charge.due_at is not None)
            if asked >= self.scenario.refunds and not stuck:
                continue
            for amount in (None, HALF) if self.scenario.halves else (None,):
                ask = partial(
                    self.rules.refund,
                    command=self._refund_command(charge),
                    charge_id=charge.id,
                    seller_id=None if stuck else "S",
                    amount=amount,
                )
                name = f"{'half' if amount else 'all'} of {charge.id} is asked back"
                yield name, self.attempt(at, (name, stuck), ask, CHARGES[i]), stuck and amount is None

    def _refund_command(self, charge: Charge) -> Command:
        return replace(NOBODY, fresh=(refund_id(int(charge.id[1:]), len(charge.refund_ids)),))

    def _deliveries(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        for _, told in at.told:
            if isinstance(told, Order):
                heard = self._heard(at, told)
                said = f"{told.status}{', void' if told.reason and told.released else ''}"
                yield f"payments hears that the order is {said}", self.decide(at, id(told), heard, COPY), True
            elif isinstance(told, Charge):
                news = partial(self.rules.charge_heard, news=_charge_news(told))
                said = f"{told.status}{f', {told.given_back} given back' if told.given_back else ''}"
                yield f"orders hears that {told.id} is {said}", self.decide(at, id(told), news, A), True

    def _heard(self, at: Point, told: Order) -> Decide:
        i = int(told.charge_id[1:]) if told.charge_id else 0
        number = len(at.charges[i].refund_ids) if i < len(at.charges) else 0
        return partial(
            self.rules.order_heard, command=replace(NOBODY, fresh=(refund_id(i, number),)), news=_order_news(told)
        )

    def _reasons(self, at: Point) -> set[Call]:
        """The calls that a worker has reason to make now."""
        found: set[Call] = set()
        for i, charge in enumerate(at.charges):
            if charge.reference is None:
                if charge.status in UNDECIDED:
                    found.add((i, "prepare" if self.rules.prepares else "authorize"))
                continue
            if charge.status is ChargeStatus.CREATED:
                found.add((i, "authorize"))
            if charge.status in UNDECIDED:
                found.add((i, "retrieve"))
            if self.rules.may_capture(charge, at.copy):
                found.add((i, "capture"))
            if charge.owes_void:
                found.add((i, "void"))
            found.update((i, f"refund {n}") for n, r in enumerate(at.refunds(i)) if r.status is RefundStatus.CREATED)
            found.update(self._looks(i, charge))
        return found

    def _looks(self, i: int, charge: Charge) -> Iterator[Call]:
        """A webhook makes a worker look for money of a charge that failed, but no webhook has to come."""
        if charge.status is ChargeStatus.FAILED and not charge.owes_void and not charge.refund_ids:
            yield i, "look"

    def _provider(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        reasons = self._reasons(at)
        for i, call in sorted(at.asked):
            for now, answer in self._answers(at, (i, call)):
                to = at.booked(i, now)
                name = f"the provider answers {call} of c{i}: {answer}"
                if len(at.hands) < self.scenario.hands:
                    helps = (i, call) in reasons and call != "look"
                    yield name, to._replace(hands=at.hands | {(i, answer)}), helps
                elif now != at.provider[i] and self.scenario.stragglers:
                    yield f"{name} (lost)", to, False
        for i, was in enumerate(at.provider):
            for name, now in by_itself(was, self.scenario):
                yield f"{name} (c{i})", at.booked(i, now), False

    def _commits(self, at: Point) -> Iterator[tuple[str, Point | None, bool]]:
        for i, charge in enumerate(at.charges):
            if charge.status in UNDECIDED:  # its own deadline may come at any time
                give_up = partial(self.rules.give_up, charge_id=charge.id, code="timeout")
                yield f"payments gives up {charge.id}", self.decide(at, ("give up", i), give_up, CHARGES[i]), True
        for i, answer in sorted(at.hands):
            empty = at._replace(hands=at.hands - {(i, answer)})
            yield f"a worker crashes with c{i} {answer}", empty, False
            if not self.rules.prepares and at.charges[i].reference is None:  # the answer brings the reference as well
                yield f"payments notes c{i}", self._commit(at, i, "prepared"), True
            else:
                yield f"payments commits c{i} {answer}", self._commit(empty, i, answer) or empty, True

    def _commit(self, at: Point, i: int, answer: str) -> Point | None:  # noqa: C901 - one an answer
        rules, id, (what, _, number) = self.rules, f"c{i}", answer.rpartition(" ")
        key: Key = CHARGES[i]
        if number.isdigit():
            key = Refund.key(refund_id(i, int(number)))
        decision: Decide
        match what or answer:
            case "prepared":
                decision = partial(rules.prepared, charge_id=id, reference=f"ref-{id}")
            case "authorized" | "taken":
                decision = partial(rules.authorized, charge_id=id, taken=answer == "taken")
            case "action":
                decision = partial(rules.action_required, charge_id=id, action={"type": "redirect"})
            case "declined":
                decision = partial(rules.declined, charge_id=id, code="card_declined")
            case "capture":
                decision = partial(rules.capture_refused, charge_id=id, code="card_declined")
            case "captured":
                decision = partial(rules.captured, charge_id=id)
            case "void":
                decision = partial(rules.voided, charge_id=id)
            case "kept":
                decision = partial(rules.give_back, command=self._refund_command(at.charges[i]), charge_id=id)
            case "given":
                decision = partial(rules.refunded, refund_id=key.id, reference=f"re-{key.id}")
            case _:
                decision = partial(rules.refund_failed, refund_id=key.id, code="no")
        return self.attempt(at, ("commit", i, answer), decision, key)

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
                if not self.scenario.money_only and (why := untimely(at, to, self.times[at.late])):
                    return Result(why, f"{trace(came, here)} > {name}", len(came))
                if helps:
                    back.setdefault(there, []).append(here)
                if there not in came:
                    came[there] = (name, here)
                    todo.append((there, to))
        return _stuck(came, back, ends)


def _stale(at: Point, hand: Hand) -> bool:
    """Whether nothing can ever come of committing an answer any more."""
    i, answer = hand
    number = answer.rpartition(" ")[2]
    if number.isdigit():
        return at.refund(i, int(number)).status is not RefundStatus.CREATED
    charge = at.charges[i]
    match answer:
        case "prepared":
            return charge.reference is not None
        case "action":
            return charge.status is not ChargeStatus.CREATED
        case "declined" | "capture refused":
            return charge.status.final
        case "authorized" | "taken" | "captured" | "void" | "kept":
            return charge.status is ChargeStatus.COMPLETED
    return False


def _stuck(came: Came, back: dict[Any, list[Any]], ends: dict[Any, str | None]) -> Result:
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
        sellers=("S",),
        released=order.released,
    )


def _charge_news(charge: Charge) -> settlement.ChargeNews:
    return settlement.ChargeNews(
        id=charge.id,
        order_id=charge.order_id,
        version=charge.version,
        status=charge.status,
        amount=charge.amount,
        declined=charge.declined,
        given_back=charge.given_back,
    )
