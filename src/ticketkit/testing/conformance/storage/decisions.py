"""Storage: what one decision does, alone and beside one that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from ticketkit.backends.errors import CapabilityNotSupported, Refused
from ticketkit.backends.ledger import DecisionError
from ticketkit.backends.spec import Backend, Capability
from ticketkit.domain.decision import Changes, Fact, KeyNotHeld, Keys, Need, State
from ticketkit.domain.entities import Holds, LiveEvent, Ticket, key_of
from ticketkit.domain.errors import NotFound
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command, count_up, renamed, write
from ticketkit.testing.conformance.storage.together import sorted_out, together

if TYPE_CHECKING:
    from ticketkit.backends.storage import Storage
    from ticketkit.domain.decision import Decision

_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class StorageDecisions(Conformance):
    """Effects, answers and failures of `decide`."""

    @promise()
    async def test_a_refusal_leaves_no_trace_and_hurts_no_neighbour(self, backend: Storage) -> None:
        """A decision that refuses leaves nothing written and its command not on record; those beside it commit."""

        def refuse(_: State) -> Changes:
            msg = "There is none."
            raise NotFound(msg, code="kit_not_found", kit=1)

        await _fails_alone(backend, refuse, NotFound)

    @promise()
    async def test_a_decision_with_a_bug_fails_alone(self, backend: Storage) -> None:
        """A decision that breaks (say, divides by zero) raises that at its caller, and hurts nobody else."""

        def divide(state: State) -> Changes:
            return Changes(answer=(Holds(id=str(1 // len(state.entities.keys() - state.entities.keys()))),))

        await _fails_alone(backend, divide, ZeroDivisionError)

    @promise()
    async def test_a_decision_that_writes_what_it_does_not_hold_is_refused(self, backend: Storage) -> None:
        """What exists can be written only by who holds it: anybody else is `Refused`, and nothing is written."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        stolen = replace(ticket, title="Stolen")
        for reads in (Keys(), Keys.of(shared=[key_of(ticket)])):
            with pytest.raises(Refused):
                await backend.decide(reads, write(stolen), command())
        assert await bazaar.ticket(ticket.id) == ticket

    @promise()
    async def test_a_fact_of_what_was_not_written_is_refused(self, backend: Storage) -> None:
        """A fact tells of an entity among the changes: otherwise `DecisionError`, and nothing is written."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        await bazaar.publish()
        reads = Keys.of(key_of(ticket), Holds.key("written"))
        decision = write(Holds(id="written"), facts=[Fact("ticket.updated", key_of(ticket))])
        with pytest.raises(DecisionError):
            await backend.decide(reads, decision, command())
        assert await bazaar.counts("written") == [0]
        assert await backend.get([Holds.key("written")]) == {}
        assert await bazaar.publish() == []

    @promise()
    async def test_a_decision_that_reads_what_it_did_not_name_is_told(self, backend: Storage) -> None:
        """A decision sees only what it named; anything else raises `KeyNotHeld` at its caller."""
        (ticket,) = await Bazaar(backend).offer()

        def peek(state: State) -> Changes:
            return Changes(answer=(state.require(Ticket, ticket.id),))

        with pytest.raises(KeyNotHeld):
            await backend.decide(Keys(), peek, command())

    @promise()
    async def test_a_decision_that_asks_for_ever_is_stopped(self, backend: Storage) -> None:
        """A decision that asks for the same again and again ends with `DecisionError`."""

        def ask(_: State) -> Need:
            return Need(Keys.of(Holds.key("again")))

        with pytest.raises(DecisionError):
            await backend.decide(Keys(), ask, command())
        await Bazaar(backend).count("again")

    @promise()
    async def test_an_event_that_is_too_large_is_refused_alone(self, backend: Storage) -> None:
        """A body over 256 KB is `Refused` with all that came with it; those beside it commit."""
        (ticket,) = await Bazaar(backend).offer()
        big = replace(ticket, extra={"kit:big": "x" * 300_000})

        def tell(_: State) -> Changes:
            return renamed(big, "Big")

        await _fails_alone(backend, tell, Refused, reads=Keys.of(key_of(ticket)))
        assert await Bazaar(backend).ticket(ticket.id) == ticket

    @promise()
    async def test_a_cancelled_waiter_leaves_all_or_nothing(self, backend: Storage) -> None:
        """Who stops waiting for a decision leaves all of it or nothing, and neither blocks nor breaks the others."""
        bazaar = Bazaar(backend)
        given = [command() for _ in range(30)]
        async with anyio.create_task_group() as group:
            for number, one in enumerate(given):
                group.start_soon(_count_for_a_while, bazaar, f"c-{number}", one, 0.0002 * (number % 10))
            others, _ = sorted_out(await together(bazaar.count("others") for _ in range(30)))
        assert len(others) == 30
        with anyio.fail_after(10):
            for _ in range(50):
                await bazaar.count("others")
        assert await bazaar.counts("others") == [80]
        for number, one in enumerate(given):
            (count,) = await bazaar.counts(f"c-{number}")
            assert count == (await backend.outcome(one.id) is not None), "state and record disagree"

    @promise()
    async def test_events_carry_the_new_state(self, backend: Storage) -> None:
        """Each fact is an event with fresh id, the storage's time, the command's context and the entity's new state."""
        bazaar = Bazaar(backend)
        (ticket,) = await bazaar.offer()
        await bazaar.publish()
        before = await backend.now()
        given = command(correlation_id="request-1", causation_id="cause-1", actor="buyer", traceparent=_TRACE)
        order = await bazaar.place("buyer", ticket.id, given=given)
        after = await backend.now()
        events = await bazaar.publish()
        assert [event.type for event in events] == ["ticketkit.order.created.v1", "ticketkit.ticket.locked.v1"]
        assert len({event.id for event in events}) == 2
        placed, locked = events
        assert (placed.subject, placed.aggregateversion, placed.source) == (order.id, 1, "/ticketkit/orders")
        assert (locked.subject, locked.aggregateversion, locked.source) == (ticket.id, 2, "/ticketkit/tickets")
        for event in events:
            assert (event.correlationid, event.causationid, event.traceparent) == ("request-1", "cause-1", _TRACE)
            assert event.actor == "buyer"
            assert before <= event.time <= after
            assert event.time.utcoffset() == timedelta(0)
        body = json.loads(locked.data)
        assert (body["id"], body["version"], body["status"], body["orderId"]) == (ticket.id, 2, "locked", order.id)

    @promise()
    async def test_facts_keep_their_order(self, backend: Storage) -> None:
        """The events of one decision, and of one entity, come out of the outbox in the order of their facts."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(30)
        assert [event.subject for event in await bazaar.publish()] == [ticket.id for ticket in tickets]
        mine = tickets[0]
        for number in range(12):
            decision = write(replace(mine, title=f"{number}"), facts=[Fact("ticket.updated", key_of(mine))])
            await backend.decide(Keys.of(key_of(mine)), decision, command())
        assert [event.aggregateversion for event in await bazaar.publish()] == list(range(2, 14))

    @promise()
    async def test_decisions_run_on_the_storage_s_clock(self, backend: Storage) -> None:
        """`State.now` is the storage's own clock, in UTC, and it does not go back."""
        seen = []

        def look(state: State) -> Changes:
            seen.append(state.now)
            return Changes()

        for _ in range(5):
            seen.append(await backend.now())
            await backend.decide(Keys(), look, command())
            seen.append(await backend.now())
        assert seen == sorted(seen)
        assert {time.tzinfo for time in seen} == {UTC}

    @promise()
    async def test_answers_bear_the_new_versions(self, backend: Storage) -> None:
        """What a decision wrote comes back with its new version; what it only read comes back as it is."""
        bazaar = Bazaar(backend)
        event = await bazaar.announce()
        (ticket,) = await bazaar.offer(event_id=event.id)

        def decision(state: State) -> Changes:
            changes = renamed(state.require(Ticket, ticket.id), "New")
            return replace(changes, answer=(state.require(LiveEvent, event.id), *changes.answer))

        reads = Keys.of(key_of(ticket), shared=[key_of(event)])
        answer = await backend.decide(reads, decision, command())
        assert answer.entities == (event, replace(ticket, title="New", version=2))
        assert await bazaar.ticket(ticket.id) == answer.one(Ticket)

    @promise()
    async def test_one_decision_may_name_thousands_of_keys(self, backend: Storage, spec: Backend) -> None:
        """A decision may name and write as many entities as is declared (2,500 without a limit), all or none."""
        most = spec.max_entities or 2500
        ids = [f"many-{number}" for number in range(min(most, 2500))]
        bazaar = Bazaar(backend)
        answer = await bazaar.count(*ids)
        assert len(answer.entities) == len(ids)
        assert await bazaar.counts(*ids) == [1] * len(ids)
        if spec.max_entities is not None:
            with pytest.raises(CapabilityNotSupported):
                await bazaar.count(*(f"too-many-{number}" for number in range(most + 1)))
            assert await bazaar.counts("too-many-0") == [0]

    @promise(lacks=[Capability.OWN_TABLES])
    async def test_own_statements_are_refused_when_not_declared(self, backend: Storage) -> None:
        """Without `own_tables`, statements and transactions of the app are refused with `CapabilityNotSupported`."""
        bazaar = Bazaar(backend)
        reads = Keys.of(Holds.key("own"))
        with pytest.raises(CapabilityNotSupported):
            await backend.decide(reads, write(Holds(id="own"), also=["INSERT INTO own VALUES (1)"]), command())
        with pytest.raises(CapabilityNotSupported):
            await backend.decide(reads, count_up("own"), command(), within=object())
        assert await bazaar.counts("own") == [0]
        assert await backend.get([Holds.key("own")]) == {}
        assert backend.capabilities.isdisjoint({Capability.OWN_TABLES})

    @promise()
    async def test_the_open_backend_says_the_same_as_its_plugin(self, backend: Storage, spec: Backend) -> None:
        """`capabilities` of the open storage are those that the plugin declares."""
        assert backend.capabilities == spec.capabilities


async def _count_for_a_while(bazaar: Bazaar, id: str, given: object, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await bazaar.count(id, given=given)  # type: ignore[arg-type]


async def _fails_alone(
    backend: Storage, decision: Decision, error: type[Exception], *, reads: Keys | None = None
) -> None:
    """Hold a decision that fails to leaving no trace, also among others that reach the backend with it."""
    bazaar = Bazaar(backend)
    await bazaar.publish()
    reads = reads or Keys.of(Holds.key("fails"))
    bad = [command() for _ in range(10)]
    calls = [call for given in bad for call in (backend.decide(reads, decision, given), bazaar.count("good"))]
    results = await together(calls)
    for failed in results[::2]:
        assert isinstance(failed, error), f"{failed!r} came instead of the {error.__name__}"
    good, _ = sorted_out(results[1::2])
    assert len(good) == len(bad)
    assert await bazaar.counts("good") == [len(bad)]
    assert await backend.get([Holds.key("fails")]) == {}
    assert [await backend.outcome(given.id) for given in bad] == [None] * len(bad)
    assert await bazaar.publish() == []
