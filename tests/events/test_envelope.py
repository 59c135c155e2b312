"""An event travels as CloudEvents and comes back as it was."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketkit.events.envelope import Envelope, MalformedEvent, split_type

EVENT = Envelope(
    id="0198c1a2-0000-7000-8000-000000000001",
    type="ticketkit.order.created.v1",
    source="/ticketkit/orders",
    subject="order-1",
    time=datetime(2026, 11, 20, 19, 30, 0, 123456, tzinfo=UTC),
    aggregateversion=3,
    correlationid="request-1",
    causationid="event-0",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data='{"title":"Beyoncé „Ω“","id":"order-1"}'.encode(),
)
BARE = replace(EVENT, correlationid="", causationid=None, traceparent=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("event", [EVENT, BARE], ids=["full", "bare"])
def test_an_event_comes_back_from_headers_and_body(event: Envelope) -> None:
    assert Envelope.of(event.attributes(), event.data) == event


@pytest.mark.parametrize("event", [EVENT, BARE], ids=["full", "bare"])
def test_an_event_comes_back_from_one_json_object(event: Envelope) -> None:
    assert Envelope.from_json(event.to_json()) == event


@given(body=json_values)
def test_any_body_comes_back_from_one_json_object(body: object) -> None:
    event = replace(EVENT, data=json.dumps(body).encode())
    assert json.loads(Envelope.from_json(event.to_json()).data) == body


def test_attributes_are_those_of_cloudevents() -> None:
    attributes = EVENT.attributes()
    assert attributes["specversion"] == "1.0"
    assert attributes["time"] == "2026-11-20T19:30:00.123456+00:00"
    assert all(name.isalnum() and name.islower() for name in attributes)  # CloudEvents 1.0: naming of attributes
    assert all(isinstance(value, str) for value in attributes.values())


def test_attributes_without_a_value_are_left_out() -> None:
    assert BARE.attributes().keys() == {
        "specversion", "id", "type", "source", "subject", "time", "aggregateversion"
    }  # fmt: skip


def test_attributes_that_are_not_known_are_ignored() -> None:
    assert Envelope.of({**EVENT.attributes(), "partitionkey": "7"}, EVENT.data) == EVENT


@pytest.mark.parametrize("name", ["id", "type", "source", "subject", "time", "aggregateversion"])
def test_an_attribute_that_is_missing_makes_it_no_event(name: str) -> None:
    attributes = EVENT.attributes()
    del attributes[name]
    with pytest.raises(MalformedEvent, match=name):
        Envelope.of(attributes, EVENT.data)


@pytest.mark.parametrize(("name", "value"), [("time", "at noon"), ("aggregateversion", "third")])
def test_an_attribute_that_does_not_parse_makes_it_no_event(name: str, value: str) -> None:
    with pytest.raises(MalformedEvent):
        Envelope.of({**EVENT.attributes(), name: value}, EVENT.data)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"data": {}}', b"\xff"])
def test_what_is_no_json_object_of_an_event_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedEvent):
        Envelope.from_json(text)


def test_an_attribute_of_another_type_makes_it_no_event() -> None:
    found = json.loads(EVENT.to_json())
    with pytest.raises(MalformedEvent):
        Envelope.from_json(json.dumps({**found, "time": 7}))


def test_name_and_version_come_from_the_type() -> None:
    assert (EVENT.name, EVENT.version) == ("order.created", 1)
    assert split_type("ticketkit.live_event.on.sale.v12") == ("live_event.on.sale", 12)


@pytest.mark.parametrize("type", ["order.created.v1", "ticketkit.order.created", "ticketkit.order.v", "ticketkit.a.v²"])
def test_a_type_of_somebody_else_is_refused(type: str) -> None:
    with pytest.raises(MalformedEvent, match="not an event type"):
        split_type(type)
