"""Storage: who comes at the same time, and gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ticketkit.backends.storage import Answer
from ticketkit.domain.decision import Changes, Keys, Need, State
from ticketkit.domain.entities import Holds, Order, Ticket, TicketStatus, holds_id
from ticketkit.domain.errors import LimitReached, TicketUnavailable
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, count_up, counted_up
from ticketkit.testing.conformance.storage.together import sorted_out, together
from ticketkit.testing.conformance.storage.workers import take_effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit.backends.storage import Storage


class TornStateError(AssertionError):
    """A decision saw two entities that are always changed together, one newer than the other."""


class StorageRaces(Conformance):
    """Exclusive access: the heart of `decide`."""

    @promise()
    async def test_of_many_buyers_of_one_ticket_one_gets_it(self, backend: Storage, stress: int) -> None:
        """Of many buyers who want one ticket at once exactly one gets it, and the others are told that it is gone."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        calls = [bazaar.place(f"buyer-{n}", ticket.id) for n in range(50 * stress)]
        (order,), refused = sorted_out(await together(calls), TicketUnavailable)
        assert len(refused) == 50 * stress - 1
        stored = await bazaar.ticket(ticket.id)
        assert (stored.status, stored.order_id, stored.version) == (TicketStatus.LOCKED, order.id, 2)

    @promise()
    async def test_no_update_of_an_entity_is_lost(self, backend: Storage, stress: int) -> None:
        """Decisions on one entity build on each other: each sees what the one before committed."""
        number = 60 * stress
        bazaar = Bazaar(backend)
        answers, _ = sorted_out(await together(bazaar.count("counter") for _ in range(number)))
        assert await bazaar.counts("counter") == [number]
        versions = sorted(answer.one(Holds).version for answer in answers)
        assert versions == list(range(1, number + 1)), "each commit stamps the stored version + 1"

    @promise()
    async def test_each_decision_has_one_effect(self, backend: Storage, stress: int) -> None:
        """Under load each decision is written once: one effect, one event, and its own answer."""
        names = [f"effect-{number}" for number in range(40 * stress)]
        answers, _ = sorted_out(await together(take_effect(backend, name) for name in names))
        assert [answer.every(Holds)[0].id for answer in answers] == [f"{name}-a" for name in names]
        bazaar = Bazaar(backend)
        assert await bazaar.counts(*(f"{name}-b" for name in names)) == [1] * len(names)
        subjects = [event.subject for event in await bazaar.publish()]
        assert sorted(subjects) == sorted(f"ticket-{name}" for name in names)

    @promise()
    async def test_the_limit_of_a_buyer_who_was_never_seen_holds(self, backend: Storage, stress: int) -> None:
        """What does not exist yet is held too: a new buyer's first orders, all at once, don't pass the limit."""
        bazaar = Bazaar(backend)
        for round_ in range(3 * stress):
            event = await bazaar.announce()
            tickets = await bazaar.offer(16, event_id=event.id)
            calls = [bazaar.place(f"new-{round_}", ticket.id) for ticket in tickets]
            won, _ = sorted_out(await together(calls), LimitReached)
            assert len(won) == 10, f"{len(won)} tickets for a limit of 10"
            key = Holds.key(holds_id(f"new-{round_}", event.id))
            holds = (await backend.get([key]))[key]
            assert isinstance(holds, Holds)
            assert {id for id, _ in holds.orders} == {order.id for order in won}

    @promise()
    async def test_a_new_command_given_many_times_at_once_has_one_effect(self, backend: Storage, stress: int) -> None:
        """The same new command given many times at once is carried out once, and all get the one answer."""
        bazaar = Bazaar(backend)
        for _ in range(3 * stress):
            (ticket,) = await bazaar.offer()
            given = command()
            calls = [bazaar.placed("buyer", ticket.id, given=given) for _ in range(12)]
            answers, _ = sorted_out(await together(calls))
            assert all(answer.one(Order) == answers[0].one(Order) for answer in answers)
            assert sum(not answer.replayed for answer in answers) == 1
            assert (await bazaar.ticket(ticket.id)).version == 2

    @promise()
    async def test_orders_that_overlap_in_opposite_order_sell_no_half(self, backend: Storage, stress: int) -> None:
        """Orders of several tickets that overlap, asked for in opposite order, neither wait forever nor get a part."""
        bazaar = Bazaar(backend)
        ids = [ticket.id for ticket in await bazaar.offer(12)]
        wishes = [ids[n : n + 3][:: 1 if n % 2 else -1] for n in range(10)] * 2 * stress
        calls = [bazaar.place(f"buyer-{n}", *wish) for n, wish in enumerate(wishes)]
        won, _ = sorted_out(await together(calls), TicketUnavailable)
        assert won, "somebody is first"
        owners = dict(zip(ids, await bazaar.of_orders(ids), strict=True))
        for order in won:
            assert {owners[id] for id in order.ticket_ids} == {order.id}
        assert set(owners.values()) - {None} == {order.id for order in won}

    @promise()
    async def test_what_is_shared_does_not_change_meanwhile(self, backend: Storage, stress: int) -> None:
        """What a decision only reads is not changed by another one before it has committed."""
        for pair in range(8 * stress):
            calls = [
                _take_unless(backend, mine=f"{pair}-{mine}", other=f"{pair}-{other}")
                for mine, other in (("a", "b"), ("b", "a"), ("a", "b"), ("b", "a"))
            ]
            sorted_out(await together(calls))
            counts = await Bazaar(backend).counts(f"{pair}-a", f"{pair}-b")
            assert sorted(map(bool, counts)) == [False, True], "both sides saw the other one empty"

    @promise()
    async def test_a_decision_that_asks_for_more_sees_one_newest_state(self, backend: Storage, stress: int) -> None:
        """When a decision asks for more, it runs again on the newest state of all its keys, all of them held."""
        bazaar = Bazaar(backend)
        await bazaar.count("first", "second")
        decisions = [_in_two_steps(backend, "first", "second") for _ in range(15 * stress)]
        plain = [bazaar.count("first", "second") for _ in range(15 * stress)]
        calls = [call for pair in zip(decisions, plain, strict=True) for call in pair]
        sorted_out(await together(calls))
        assert await bazaar.counts("first", "second") == [30 * stress + 1] * 2

    @promise()
    async def test_decisions_that_find_keys_in_opposite_order_all_end(self, backend: Storage, stress: int) -> None:
        """Decisions that ask for each other's keys one after the other don't wait for each other forever."""
        bazaar = Bazaar(backend)
        await bazaar.count("first", "second")
        calls = [_in_two_steps(backend, *names) for names in (("first", "second"), ("second", "first")) * 12 * stress]
        sorted_out(await together(calls))
        assert await bazaar.counts("first", "second") == [24 * stress + 1] * 2

    @promise()
    async def test_runs_that_asked_for_more_leave_nothing(self, backend: Storage) -> None:
        """Only the last run of a decision is written, once, however many came before it."""
        steps = [f"step-{n}" for n in range(6)]

        def decision(state: State) -> Changes | Need:
            for step in steps:
                if Holds.key(step) not in state.entities:
                    return Need(Keys.of(Holds.key(step)))
            return _changes(count_up(*steps), state)

        given = command()
        answer = await backend.decide(Keys(), decision, given)
        assert [counter.version for counter in answer.every(Holds)] == [1] * len(steps)
        assert await Bazaar(backend).counts(*steps) == [1] * len(steps)

    @promise(long=True, limit=60)
    async def test_a_crowd_buys_everything_once(self, backend: Storage, stress: int) -> None:
        """Hundreds of buyers with overlapping wishes, who also cancel, leave each ticket one live order or none."""
        bazaar = Bazaar(backend)
        ids = [ticket.id for ticket in await bazaar.offer(40)]

        async def shop(number: int) -> Order | None:
            wish = [ids[(number * 7 + step * 3) % len(ids)] for step in range(1 + number % 3)]
            order = await bazaar.place(f"buyer-{number}", *wish)
            if number % 4:
                return order
            await bazaar.cancel(order)
            return None

        kept, _ = sorted_out(await together(map(shop, range(300 * stress))), TicketUnavailable)
        owners = await bazaar.of_orders(ids)
        live = {order.id: order for order in kept if order is not None}
        assert set(owners) - {None} == set(live)
        found = await backend.get(Ticket.key(id) for id in ids)
        for ticket in found.values():
            assert isinstance(ticket, Ticket)
            assert ticket.order_id is None or ticket.id in live[ticket.order_id].ticket_ids


async def _take_unless(backend: Storage, *, mine: str, other: str) -> Answer:
    def decision(state: State) -> Changes:
        if state.get(Holds, other) or state.get(Holds, mine):
            return Changes()
        return _changes(count_up(mine), state)

    reads = Keys.of(Holds.key(mine), shared=[Holds.key(other)])
    return await backend.decide(reads, decision, command())


async def _in_two_steps(backend: Storage, first: str, second: str) -> Answer:
    def decision(state: State) -> Changes | Need:
        one = state.get(Holds, first)
        if need := state.missing([Holds.key(second)]):
            return need
        two = state.get(Holds, second)
        if one is None or two is None or one.count != two.count:
            raise TornStateError
        counted = counted_up(one, first), counted_up(two, second)
        return Changes(put=counted, answer=counted)

    return await backend.decide(Keys.of(Holds.key(first)), decision, command())


def _changes(decision: Callable[[State], Changes], state: State) -> Changes:
    return decision(state)
