"""Logs: JSON lines for programs, text for people, and the ids that tie together what one request caused."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.services.shop import Shop

from ticketkit.events.catalogue import OrderAwaitingPayment, OrderCompleted, OrderCreated, TicketSold
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.logs import JsonFormatter, TextFormatter, configure
from ticketkit.services.correlation import Correlation, correlated, current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ticketkit.events.envelope import Event


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger, and the root's handlers put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield logging.getLogger("test.logs")
    root.handlers[:], root.level = handlers, level


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_of_json_with_its_fields(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure(as_json=True, stream=stream)
    logger.info("charge %s\nfailed: ü", 7, extra={"charge_id": "c", "odd": object})
    [line] = written(stream)
    assert (line["level"], line["logger"], line["message"]) == ("info", "test.logs", "charge 7\nfailed: ü")
    assert line["charge_id"] == "c"
    assert line["time"].endswith("+00:00")
    assert "correlation_id" not in line


def test_a_record_says_what_it_belongs_to(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure(as_json=True, stream=stream)
    with correlated(Correlation("request", "event")):
        logger.warning("inside")
    logger.warning("outside")
    inside, outside = written(stream)
    assert (inside["correlation_id"], inside["causation_id"]) == ("request", "event")
    assert "correlation_id" not in outside


def test_an_error_has_its_traceback_in_the_same_line(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure(as_json=True, stream=stream)
    try:
        dict[str, str]()["lost"]
    except LookupError:
        logger.exception("failed")
    [line] = written(stream)
    assert line["exception"].endswith("KeyError: 'lost'")


def test_text_is_for_people(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure(as_json=False, stream=stream)
    with correlated(Correlation("request")):
        logger.info("the relay pauses", extra={"name_of": "relay"})
    assert stream.getvalue().endswith("info     the relay pauses  name_of=relay correlation_id=request\n")


def test_the_level_is_kept(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure(as_json=True, level="WARNING", stream=stream)
    logger.info("not said")
    logger.error("said")
    assert [line["message"] for line in written(stream)] == ["said"]


def test_configuring_twice_says_everything_once(logger: logging.Logger) -> None:
    streams = [io.StringIO(), io.StringIO()]
    for stream in streams:
        configure(as_json=True, stream=stream)
    logger.error("said")
    assert [len(written(stream)) for stream in streams] == [0, 1]


def test_a_field_cant_take_the_place_of_the_message() -> None:
    record = logging.makeLogRecord({"msg": "said", "levelname": "INFO", "colour": "red"})
    assert json.loads(JsonFormatter().format(record))["colour"] == "red"
    assert "colour=red" in TextFormatter().format(record)


async def test_ids_flow_from_a_request_through_events_to_all_that_they_cause() -> None:
    market = Marketplace(clock=VirtualClock(), drain=0.5)
    heard: dict[str, Event[Any]] = {}
    inside: dict[str, Correlation] = {}

    @market.on(OrderCreated, OrderAwaitingPayment, OrderCompleted, TicketSold, consumer="log")
    async def hear(event: Event[Any]) -> None:
        heard[event.envelope.name] = event
        inside[event.envelope.name] = current()

    async with market:
        shop = Shop(market)
        tickets = await shop.tickets()
        with correlated(Correlation("the order", None, "00-trace")):
            order = (await market.orders.place("buyer", [tickets[0].id])).order
        await shop.clock.settle()
        with correlated(Correlation("the payment")):
            await market.payments.pay("buyer", order.id, token="tok_visa")
        await shop.clock.settle()
    assert heard["order.created"].envelope.correlationid == "the order"
    assert heard["order.created"].envelope.traceparent == "00-trace"
    caused = ("order.awaiting_payment", "order.completed", "ticket.sold")
    assert {heard[name].envelope.correlationid for name in caused} == {"the payment"}
    assert all(heard[name].envelope.causationid for name in caused)
    for name, correlation in inside.items():
        envelope = heard[name].envelope
        assert (correlation.correlation_id, correlation.causation_id) == (envelope.correlationid, envelope.id)


async def test_the_id_of_a_request_is_in_its_answer_and_in_what_it_caused() -> None:
    market = Marketplace(clock=VirtualClock(), identity=lambda _: None, drain=0.5)
    async with market:
        transport = httpx2.ASGITransport(app=market.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as http:
            answer = await http.get("/api/tickets", headers={"x-request-id": "mine"})
            assert answer.headers["x-request-id"] == "mine"
