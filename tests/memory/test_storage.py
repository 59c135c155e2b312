from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from ticketkit.backends.errors import CapabilityNotSupported, CommandReused
from ticketkit.backends.ledger import DecisionError
from ticketkit.backends.storage import Answer
from ticketkit.domain import orders, tickets
from ticketkit.domain.decision import Changes, Command, Fact, Keys, Need, State
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Key,
    Order,
    OrderStatus,
    Refund,
    Session,
    Ticket,
    TicketStatus,
    Webhook,
    key_of,
)
from ticketkit.domain.errors import TicketUnavailable
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.memory import MemoryStorage, VirtualClock

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


@pytest.fixture
def storage(clock: VirtualClock, new_id: Callable[[], str]) -> MemoryStorage:
    return MemoryStorage(clock, new_id)


async def list_ticket(storage: MemoryStorage, id: str = "ticket-1", *, price: int = 1000) -> Ticket:
    command = Command(id=f"list {id}", fresh=(id,))
    listing = tickets.Listing(title="Seat", price=Money(price, "USD"))
    answer = await storage.decide(
        Keys(), lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=[listing]), command
    )
    return answer.one(Ticket)


async def place(storage: MemoryStorage, buyer: str, *ticket_ids: str, id: str | None = None) -> Answer:
    command = Command(id=id or f"{buyer} orders", fresh=(f"order of {buyer}",), fingerprint=",".join(ticket_ids))
    return await storage.decide(
        Keys.of(*(Ticket.key(id) for id in ticket_ids)),
        lambda state: orders.place(state, command, buyer_id=buyer, ticket_ids=ticket_ids, policy=Policy()),
        command,
    )


async def put(storage: MemoryStorage, *entities: Charge | Order | Refund | Session | Ticket | Webhook) -> None:
    """Write entities as they are."""
    command = Command(id="put " + " ".join(f"{entity.id} {entity.version}" for entity in entities))
    await storage.decide(Keys.of(*map(key_of, entities)), lambda _: Changes(put=entities), command)


async def ticket_of(storage: MemoryStorage, id: str = "ticket-1") -> Ticket:
    found = (await storage.get([Ticket.key(id)]))[Ticket.key(id)]
    assert isinstance(found, Ticket)
    return found


class TestDecide:
    async def test_what_was_written_can_be_read_with_its_version(self, storage: MemoryStorage) -> None:
        listed = await list_ticket(storage)
        assert listed.version == 1
        assert await storage.get([Ticket.key("ticket-1"), Ticket.key("other")]) == {Ticket.key("ticket-1"): listed}

    async def test_of_100_who_want_one_ticket_one_gets_it(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        won: list[str] = []
        lost: list[str] = []

        async def buy(buyer: str) -> None:
            try:
                await place(storage, buyer, "ticket-1")
                won.append(buyer)
            except TicketUnavailable:
                lost.append(buyer)

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(buy, f"buyer-{number}")
        assert (len(won), len(lost)) == (1, 99)
        assert (await ticket_of(storage)).order_id == f"order of {won[0]}"
        assert (await ticket_of(storage)).version == 2
        assert (await storage.totals()).by_status["order", "created"] == 1

    async def test_a_command_that_comes_again_gets_its_answer_and_writes_nothing(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        first = await place(storage, "buyer", "ticket-1")
        unpublished = (await storage.totals()).unpublished
        again = await place(storage, "buyer", "ticket-1")
        assert (again.entities, first.replayed, again.replayed) == (first.entities, False, True)
        assert (await storage.totals()).unpublished == unpublished
        outcome = await storage.outcome("buyer orders")
        assert outcome is not None
        assert outcome.entities == first.entities

    async def test_a_command_id_for_another_request_is_refused(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        await list_ticket(storage, "ticket-2")
        await place(storage, "buyer", "ticket-1")
        with pytest.raises(CommandReused):
            await place(storage, "buyer", "ticket-2")
        assert (await ticket_of(storage, "ticket-2")).status is TicketStatus.AVAILABLE

    async def test_a_refusal_leaves_no_trace(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        await place(storage, "first", "ticket-1")
        before = await storage.totals()
        with pytest.raises(TicketUnavailable):
            await place(storage, "second", "ticket-1")
        assert await storage.totals() == before
        assert await storage.outcome("second orders") is None

    async def test_a_refused_command_is_decided_anew(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        await list_ticket(storage)
        await place(storage, "first", "ticket-1")
        with pytest.raises(TicketUnavailable):
            await place(storage, "second", "ticket-1")
        await clock.advance(minutes=15)
        assert (await place(storage, "second", "ticket-1")).one(Order).buyer_id == "second"
        assert (await ticket_of(storage)).order_id == "order of second"

    async def test_a_decision_that_needs_more_runs_again_on_the_union(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        await list_ticket(storage, "ticket-2")
        seen: list[set[Key]] = []

        def decision(state: State) -> Changes | Need:
            seen.append(set(state.entities))
            if need := state.missing([Ticket.key("ticket-2")], shared=[Ticket.key("ticket-1")]):
                return need
            return Changes(answer=(state.require(Ticket, "ticket-2"),))

        answer = await storage.decide(Keys.of(Ticket.key("ticket-1")), decision, Command(id="look"))
        assert seen == [{Ticket.key("ticket-1")}, {Ticket.key("ticket-1"), Ticket.key("ticket-2")}]
        assert answer.one(Ticket).id == "ticket-2"

    async def test_a_decision_that_asks_for_what_it_holds_is_stopped(self, storage: MemoryStorage) -> None:
        key = Ticket.key("ticket-1")
        with pytest.raises(DecisionError):
            await storage.decide(Keys.of(key), lambda _: Need(Keys.of(key)), Command(id="again and again"))

    async def test_what_exists_is_not_overwritten_as_if_it_were_new(self, storage: MemoryStorage) -> None:
        listed = await list_ticket(storage)
        with pytest.raises(DecisionError):
            await storage.decide(Keys(), lambda _: Changes(put=(replace(listed, title="Mine"),)), Command(id="x"))
        assert (await ticket_of(storage)).title == "Seat"

    async def test_statements_of_an_app_are_refused(self, storage: MemoryStorage) -> None:
        with pytest.raises(CapabilityNotSupported):
            await storage.decide(Keys(), lambda _: Changes(also=("INSERT",)), Command(id="x"))

    async def test_events_carry_what_was_written_and_why(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        listed = await list_ticket(storage)
        command = Command(id="lock", correlation_id="request", causation_id="click", traceparent="00-1-1-00")
        sold = replace(listed, status=TicketStatus.LOCKED, order_id="order-1")
        await storage.decide(
            Keys.of(key_of(sold)), lambda _: Changes(put=(sold,), facts=(Fact("ticket.locked", key_of(sold)),)), command
        )
        event = (await storage.claim_events(10, LEASE))[-1].event
        assert (event.name, event.subject, event.aggregateversion) == ("ticket.locked", "ticket-1", 2)
        assert (event.correlationid, event.causationid, event.time) == ("request", "click", clock.now())
        assert b'"orderId":"order-1"' in event.data

    async def test_a_cancelled_caller_leaves_no_trace_and_harms_nobody(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        async with anyio.create_task_group() as group:
            group.start_soon(place, storage, "first", "ticket-1")
            group.cancel_scope.cancel()
        assert await storage.outcome("first orders") is None
        assert (await place(storage, "second", "ticket-1")).one(Order).buyer_id == "second"


class TestOutbox:
    async def test_events_are_claimed_in_order_and_by_one_relay_only(self, storage: MemoryStorage) -> None:
        for number in range(3):
            await list_ticket(storage, f"ticket-{number}")
        first, second = await storage.claim_events(2, LEASE), await storage.claim_events(2, LEASE)
        assert [claim.event.subject for claim in first] == ["ticket-0", "ticket-1"]
        assert [claim.event.subject for claim in second] == ["ticket-2"]
        assert await storage.claim_events(2, LEASE) == []

    async def test_what_is_published_is_not_claimed_again(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        await list_ticket(storage)
        await storage.mark_published(await storage.claim_events(1, LEASE))
        await clock.advance(hours=1)
        assert await storage.claim_events(1, LEASE) == []
        assert (await storage.totals()).unpublished == 0

    async def test_a_lease_that_ran_out_is_taken_over_and_late_marks_are_void(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        await list_ticket(storage)
        (old,) = await storage.claim_events(1, LEASE)
        await clock.advance(seconds=29)
        assert await storage.claim_events(1, LEASE) == []
        await clock.advance(seconds=1)
        (new,) = await storage.claim_events(1, LEASE)
        await storage.mark_published([old])
        await storage.mark_failed(old, error="late", retry_in=None)
        totals = await storage.totals()
        assert (totals.unpublished, totals.dead) == (1, 0)
        await storage.mark_published([new])
        assert (await storage.totals()).unpublished == 0

    async def test_a_lease_that_ran_out_but_was_not_taken_over_still_counts(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        await list_ticket(storage)
        claims = await storage.claim_events(1, LEASE)
        await clock.advance(minutes=1)
        await storage.mark_published(claims)
        assert (await storage.totals()).unpublished == 0

    async def test_a_failed_event_waits_for_its_next_try(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        await list_ticket(storage)
        (claim,) = await storage.claim_events(1, LEASE)
        await storage.mark_failed(claim, error="too big", retry_in=timedelta(seconds=5))
        assert await storage.claim_events(1, LEASE) == []
        await clock.advance(seconds=5)
        (claim,) = await storage.claim_events(1, LEASE)
        assert claim.attempts == 1

    async def test_an_unavailable_bus_does_not_count_as_an_attempt(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        (claim,) = await storage.claim_events(1, LEASE)
        await storage.mark_failed(claim, error="no bus", retry_in=timedelta(), counted=False)
        (claim,) = await storage.claim_events(1, LEASE)
        assert claim.attempts == 0

    async def test_a_dead_event_can_be_seen_and_replayed(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        (claim,) = await storage.claim_events(1, LEASE)
        await storage.mark_failed(claim, error="never", retry_in=None)
        (dead,) = await storage.dead_events(10)
        assert (dead.event, dead.attempts, dead.error) == (claim.event, 1, "never")
        assert (await storage.totals()).dead == 1
        assert await storage.replay_event(dead.event.id)
        assert await storage.dead_events(10) == []
        (again,) = await storage.claim_events(1, LEASE)
        assert (again.event, again.attempts) == (claim.event, 0)

    async def test_a_dead_event_can_be_dropped(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        (claim,) = await storage.claim_events(1, LEASE)
        assert not await storage.drop_event(claim.event.id)
        await storage.mark_failed(claim, error="never", retry_in=None)
        assert await storage.drop_event(claim.event.id)
        assert not await storage.drop_event(claim.event.id)
        assert not await storage.replay_event(claim.event.id)

    async def test_a_published_event_can_be_published_again(self, storage: MemoryStorage) -> None:
        await list_ticket(storage)
        (claim,) = await storage.claim_events(1, LEASE)
        await storage.mark_published([claim])
        assert await storage.replay_event(claim.event.id)
        assert [again.event for again in await storage.claim_events(1, LEASE)] == [claim.event]

    async def test_who_waits_for_events_wakes_at_a_commit(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        woken = anyio.Event()

        async def wait() -> None:
            await storage.wait_for_events(3600)
            woken.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await clock.settle()
            assert not woken.is_set()
            await list_ticket(storage)
            await clock.settle()
            assert woken.is_set()

    async def test_who_waits_for_events_wakes_after_the_time_or_when_a_try_is_due(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        async def wait() -> float:
            before = after = clock.now()
            async with anyio.create_task_group() as group:
                group.start_soon(_advance, clock, 60)
                await storage.wait_for_events(60)
                after = clock.now()
            return (after - before).total_seconds()

        assert await wait() == 60
        await list_ticket(storage)
        await storage.wait_for_events(60)  # at once: there is one
        (claim,) = await storage.claim_events(1, LEASE)
        assert await wait() == 30
        await storage.mark_failed(claim, error="", retry_in=timedelta(seconds=7))
        assert await wait() == 7


async def _advance(clock: VirtualClock, seconds: float) -> None:
    await clock.advance(seconds=seconds)


class TestDue:
    async def test_orders_are_due_when_their_time_is_past(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        for number in range(2):
            await list_ticket(storage, f"ticket-{number}")
            await place(storage, f"buyer-{number}", f"ticket-{number}")
            await clock.advance(minutes=1)
        assert await storage.due_orders(10) == []
        await clock.advance(minutes=13)
        assert await storage.due_orders(10) == ["order of buyer-0"]
        await clock.advance(minutes=1)
        assert await storage.due_orders(10) == ["order of buyer-0", "order of buyer-1"]
        assert await storage.due_orders(1) == ["order of buyer-0"]
        assert (await storage.totals()).overdue_locks == 2
        (order,) = (await storage.get([Order.key("order of buyer-0")])).values()
        assert isinstance(order, Order)
        await put(storage, replace(order, status=OrderStatus.CANCELLED))
        assert await storage.due_orders(10) == ["order of buyer-1"]

    async def test_charges_and_refunds_are_due_until_nothing_is_open(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        now = clock.now()
        money = Money(100, "USD")
        charges = [
            Charge(
                id=f"charge-{n}",
                order_id="o",
                buyer_id="b",
                amount=money,
                provider="fake",
                due_at=now + timedelta(seconds=9 - n),
                created_at=now,
            )
            for n in range(3)
        ]
        refund = Refund(id="refund", charge_id="c", order_id="o", amount=money, due_at=now, created_at=now)
        await put(storage, *charges, refund)
        assert [found.id for found in await storage.due_refunds(10)] == ["refund"]
        assert await storage.due_charges(10) == []
        await clock.advance(seconds=8)
        assert [charge.id for charge in await storage.due_charges(10)] == ["charge-2", "charge-1"]
        assert [charge.id for charge in await storage.due_charges(1)] == ["charge-2"]
        await put(storage, replace(charges[2], due_at=None, version=1))
        assert [charge.id for charge in await storage.due_charges(10)] == ["charge-1"]

    async def test_a_charge_is_found_by_its_providers_reference(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        charge = Charge(
            id="charge",
            order_id="o",
            buyer_id="b",
            amount=Money(1, "USD"),
            provider="fake",
            reference="pay_1",
            created_at=clock.now(),
        )
        await put(storage, charge)
        await put(storage, replace(charge, status=ChargeStatus.AUTHORIZED, version=1))
        found = await storage.charge_by_reference("fake", "pay_1")
        assert found is not None
        assert (found.id, found.status) == ("charge", ChargeStatus.AUTHORIZED)
        assert await storage.charge_by_reference("other", "pay_1") is None

    async def test_webhooks_wait_until_they_are_applied(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        hooks = [
            Webhook(
                id=id,
                provider="fake",
                reference=None,
                what="",
                body="",
                received_at=clock.now() + timedelta(seconds=seconds),
            )
            for id, seconds in (("a", 2), ("b", 1))
        ]
        await put(storage, *hooks)
        assert [hook.id for hook in await storage.unapplied_webhooks(10)] == ["b", "a"]
        await put(storage, replace(hooks[1], outcome="applied", version=1))
        assert [hook.id for hook in await storage.unapplied_webhooks(10)] == ["a"]

    async def test_revoked_sessions_are_listed_until_they_expire(
        self, storage: MemoryStorage, clock: VirtualClock
    ) -> None:
        now = clock.now()
        for id, revoked, lives in (("a", 1, 60), ("b", 2, 90), ("c", None, 90)):
            await put(
                storage,
                Session(
                    id=id,
                    user_id="u",
                    expires_at=now + timedelta(minutes=lives),
                    revoked_at=None if revoked is None else now + timedelta(seconds=revoked),
                    created_at=now,
                ),
            )
        assert [session.id for session in await storage.revoked_sessions(10)] == ["b", "a"]
        await clock.advance(minutes=60)
        assert [session.id for session in await storage.revoked_sessions(10)] == ["b"]


class TestPurge:
    async def test_only_what_was_kept_long_enough_is_deleted(self, storage: MemoryStorage, clock: VirtualClock) -> None:
        await list_ticket(storage, "old")
        await storage.mark_published(await storage.claim_events(10, LEASE))
        await storage.decide(Keys(), lambda _: Changes(), Command(id="mark", consumer="payments", event_id="e"))
        await clock.advance(days=2)
        await list_ticket(storage, "new")
        yesterday, long_ago = clock.now() - timedelta(days=1), clock.now() - timedelta(days=30)
        assert await storage.purge(events_before=yesterday, commands_before=yesterday, marks_before=long_ago) == 2
        assert await storage.outcome("list old") is None
        assert await storage.outcome("list new") is not None
        assert await storage.outcome("mark") is not None
        assert (await storage.totals()).unpublished == 1
        assert await storage.purge(events_before=long_ago, commands_before=long_ago, marks_before=clock.now()) == 1


async def test_totals_say_how_old_the_oldest_unpublished_event_is(storage: MemoryStorage, clock: VirtualClock) -> None:
    assert (await storage.totals()).oldest is None
    began = clock.now()
    await list_ticket(storage)
    await clock.advance(minutes=1)
    await list_ticket(storage, "ticket-2")
    totals = await storage.totals()
    assert (totals.oldest, totals.unpublished) == (began, 2)
    assert totals.by_status["ticket", "available"] == 2


async def test_its_time_is_the_clocks(storage: MemoryStorage, clock: VirtualClock) -> None:
    await clock.advance(hours=1)
    assert await storage.now() == clock.now()
