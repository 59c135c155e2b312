"""Commands: what makes a request the same request."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from ticketkit.domain.errors import InvalidInput
from ticketkit.events.envelope import Envelope
from ticketkit.services.commands import Commands
from ticketkit.services.correlation import Correlation, correlated


@pytest.fixture
def commands() -> Commands:
    numbers = itertools.count(1)
    return Commands(lambda: f"id-{next(numbers)}")


def test_without_a_key_each_command_is_new(commands: Commands) -> None:
    first, second = (commands.ask("orders.place", actor="buyer", request=["t"]) for _ in range(2))
    assert first.id != second.id


def test_a_key_names_one_command_of_one_actor_and_one_operation(commands: Commands) -> None:
    asked = [
        commands.ask(operation, actor=actor, key=key).id
        for operation in ("orders.place", "orders.keep")
        for actor in ("buyer", "rival", None)
        for key in ("1", "2")
    ]
    assert len(set(asked)) == len(asked)
    assert commands.ask("orders.place", actor="buyer", key="1").id == asked[0]


def test_actor_and_key_cant_be_mixed_up(commands: Commands) -> None:
    pairs = [("a", "b,c"), ("a,b", "c"), ('a","x', "c"), ("", "a")]
    assert len({commands.ask("x", actor=actor, key=key).id for actor, key in pairs}) == len(pairs)


def test_the_same_key_with_another_request_has_another_fingerprint(commands: Commands) -> None:
    requests = [["a", "b"], ["b", "a"], ["ab"], [], {"a": 1}, None, ["a", None], ["ü"]]
    prints = [commands.ask("x", actor="buyer", key="1", request=request).fingerprint for request in requests]
    assert len(set(prints)) == len(requests)
    again = [commands.ask("x", actor="buyer", key="1", request=request).fingerprint for request in requests]
    assert again == prints


def test_a_request_is_the_same_whatever_the_order_of_its_fields(commands: Commands) -> None:
    first, second = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    prints = {commands.ask("x", actor="b", key="1", request=request).fingerprint for request in (first, second)}
    assert len(prints) == 1


def test_times_and_broken_text_can_be_part_of_a_request(commands: Commands) -> None:
    command = commands.ask("x", actor="b", key="\udc80", request=[datetime(2026, 1, 1, tzinfo=UTC), "\ud800"])
    assert command.fingerprint


@pytest.mark.parametrize("key", ["", "x" * 256], ids=["empty", "256"])
def test_a_key_out_of_bounds_is_refused(commands: Commands, key: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        commands.ask("x", actor="buyer", key=key)
    assert refused.value.code == "bad_idempotency_key"


def test_a_command_brings_as_many_fresh_ids_as_asked_for(commands: Commands) -> None:
    command = commands.ask("x", actor="buyer", fresh=3)
    assert len({*command.fresh, command.id}) == 4


def test_a_command_carries_what_caused_it(commands: Commands) -> None:
    with correlated(Correlation("request", "event", "00-trace")):
        command = commands.ask("x", actor="buyer")
    assert (command.correlation_id, command.causation_id, command.traceparent) == ("request", "event", "00-trace")
    assert commands.ask("x", actor="buyer").correlation_id == ""


def test_the_command_of_a_handler_is_its_mark_on_the_event(commands: Commands) -> None:
    event = Envelope(
        id="event",
        type="ticketkit.order.created.v1",
        source="/ticketkit/orders",
        subject="order",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        aggregateversion=1,
        correlationid="request",
        traceparent="00-trace",
        data=b"{}",
    )
    command = commands.handle("payments", event, fresh=1)
    assert (command.consumer, command.event_id) == ("payments", "event")
    assert (command.correlation_id, command.causation_id, command.traceparent) == ("request", "event", "00-trace")
    assert command.id == commands.handle("payments", event).id != commands.handle("orders", event).id
