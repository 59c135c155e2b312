"""One trace shows all that a request causes, over HTTP, decisions, the bus and the payment provider."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.runtime.test_relay import Post

from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.events.catalogue import OrderCompleted
from ticketkit.events.envelope import Event
from ticketkit.ids import new_id
from ticketkit.marketplace import Marketplace
from ticketkit.memory import VirtualClock
from ticketkit.runtime.relay import Relay
from ticketkit.services.correlation import Correlation, correlated
from ticketkit.services.tracing import MOST_LINKS, Tracing

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(spans))
    yield made
    made.shutdown()


@pytest.fixture
async def market(provider: TracerProvider) -> AsyncIterator[Marketplace]:
    marketplace = Marketplace(clock=VirtualClock(), tracer_provider=provider)

    @marketplace.on(OrderCompleted, consumer="receipts")
    async def receipt(event: Event[OrderCompleted]) -> None:
        logging.getLogger(__name__).info("a receipt for %s", event.data.id)

    async with marketplace:
        yield marketplace


@pytest.fixture
async def browser(market: Marketplace) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=market.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop.example") as client:
        signed_in = await market.auth.sign_up("buyer@example.com", "correct horse")
        client.cookies.set("session", signed_in.token)
        yield client


async def listed(market: Marketplace) -> str:
    seller = (await market.auth.sign_up("seller@example.com", "correct horse")).user.id
    (ticket,) = await market.tickets.list(seller, [Listing(title="A seat", price=Money.parse("20", "USD"))])
    return ticket.id


def names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


async def test_a_payment_is_one_trace_from_the_request_to_the_last_consumer(
    market: Marketplace, browser: httpx2.AsyncClient, spans: InMemorySpanExporter
) -> None:
    order = (await browser.post("/api/orders", json={"ticketId": await listed(market)})).json()
    await market.clock.advance(seconds=1)
    spans.clear()
    paid = await browser.post(
        "/api/payments", json={"orderId": order["id"], "token": "tok_visa"}, headers={"traceparent": CALLER}
    )
    assert paid.status_code == 201
    await market.clock.advance(seconds=1)
    trace = [span for span in spans.get_finished_spans() if span.context.trace_id == TRACE]
    assert {
        "POST /api/payments",
        "decide Payments.begin",
        "prepare fake",
        "authorize fake",
        "capture fake",
        "process charge.authorized",
        "process order.awaiting_payment",
        "process charge.completed",
        "process order.completed",
    } <= set(names(trace))
    receipts = [span for span in trace if (span.attributes or {}).get("messaging.consumer.group.name") == "receipts"]
    assert names(receipts) == ["process order.completed"]
    assert receipts[0].kind is SpanKind.CONSUMER
    known = {span.context.span_id for span in trace}
    orphans = [span.name for span in trace if span.parent is None or span.parent.span_id not in known]
    assert orphans == ["POST /api/payments"], "all others have a parent in the trace"


async def test_what_is_published_is_linked_to_what_it_comes_from(
    spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    post = Post()
    with correlated(Correlation("request", None, CALLER)):
        await post.list_tickets(3)
    await Relay(post.storage, post.bus, clock=post.clock, name="post", tracing=Tracing(provider)).once()
    (sent,) = spans.get_finished_spans()
    assert (sent.name, sent.kind) == ("send post", SpanKind.PRODUCER)
    assert [link.context.trace_id for link in sent.links] == [TRACE]
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3


async def test_a_refusal_is_no_failure_and_says_its_code(
    market: Marketplace, browser: httpx2.AsyncClient, spans: InMemorySpanExporter
) -> None:
    refused = await browser.post("/api/orders", json={"ticketId": new_id()})
    assert refused.status_code == 404
    (decided,) = [span for span in spans.get_finished_spans() if span.name == "decide Orders.place"]
    assert (decided.attributes or {})["ticketkit.refused"] == refused.json()["code"]
    assert decided.status.status_code is StatusCode.UNSET


async def test_what_is_asked_for_all_day_long_is_not_traced(
    browser: httpx2.AsyncClient, spans: InMemorySpanExporter
) -> None:
    spans.clear()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await browser.get(path)).status_code == 200
    assert names(spans.get_finished_spans()) == []


async def test_without_a_tracer_provider_the_trace_that_came_in_goes_on() -> None:
    heard: list[str | None] = []
    market = Marketplace(clock=VirtualClock())
    async with market:
        transport = httpx2.ASGITransport(app=market.asgi())
        async with (
            httpx2.AsyncClient(transport=transport, base_url="http://shop.example") as client,
            market.runtime.backends.bus.broadcast(["live_event.created", "ticket.created"]) as subscription,
        ):
            client.cookies.set("session", (await market.auth.sign_up("seller@example.com", "correct horse")).token)
            await client.post("/api/tickets", json={"title": "A", "price": 5}, headers={"traceparent": CALLER})
            heard += [one.event.traceparent for one in await subscription.receive(10)]
    assert set(heard) == {CALLER}


def test_a_failed_block_ends_its_span_as_failed(provider: TracerProvider, spans: InMemorySpanExporter) -> None:
    with pytest.raises(ZeroDivisionError), Tracing(provider).span("divide"):
        1 / 0  # noqa: B018
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ZeroDivisionError")


def test_links_are_distinct_and_bounded(provider: TracerProvider, spans: InMemorySpanExporter) -> None:
    others = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 200)]
    with Tracing(provider).span("send", links=[None, others[0], *others, "nonsense"]):
        pass
    (span,) = spans.get_finished_spans()
    assert [link.context.span_id for link in span.links] == list(range(1, MOST_LINKS + 1))
