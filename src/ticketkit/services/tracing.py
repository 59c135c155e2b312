"""Traces with OpenTelemetry: what one request causes, over HTTP, decisions, the bus and the payment provider.

The trace travels in `Correlation.traceparent`: from a request into the commands it gives, from a command into its
events, and from an event into what its consumers do. So one trace shows a payment from the click to the last event.
Without a tracer provider nothing is recorded, and a `traceparent` that came in is passed on as it is.

Source of names: OpenTelemetry, Semantic conventions for messaging spans.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ticketkit.domain.errors import DomainError
from ticketkit.services.correlation import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext, TracerProvider

_W3C: Final = TraceContextTextMapPropagator()
_NOTHING: Final = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
MOST_LINKS: Final = 128
"""Links of one span; the SDK keeps no more."""


class Tracing:
    """Makes spans, if there is a tracer provider.

    Args:
        provider: Where spans go; default: the global one (`opentelemetry.trace.set_tracer_provider`), as it is when a
            span begins.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._given = provider

    @property
    def provider(self) -> TracerProvider:
        """Where spans go."""
        return self._given or trace.get_tracer_provider()

    @property
    def on(self) -> bool:
        """Whether spans go anywhere."""
        return not isinstance(self.provider, _NOTHING)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str | None = None,
        attributes: Mapping[str, str | int] | None = None,
        links: Iterable[str | None] = (),
    ) -> Iterator[str | None]:
        """Run a block in a span.

        An error ends the span as failed, and goes on; a refusal of a rule (`DomainError`) is no failure: the span has
        its code as `ticketkit.refused`.

        Args:
            name: What is done: `process order.created`.
            kind: Client, producer, consumer or internal.
            parent: Its `traceparent`; default: the span that runs, else what caused what is done now.
            attributes: Details. No personal data.
            links: `traceparent` of others that it works for; the first 128 are kept.

        Yields:
            Its `traceparent`; None when nothing is recorded.
        """
        if not self.on:
            yield None
            return
        tracer = self.provider.get_tracer("ticketkit")
        with tracer.start_as_current_span(
            name,
            context=_context(parent),
            kind=kind,
            attributes=attributes,
            links=_links(links),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield written(span.get_span_context())
            except DomainError as error:
                span.set_attribute("ticketkit.refused", error.code)
                raise
            except Exception as error:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
                raise


def running() -> str | None:
    """The `traceparent` of the span that runs, or None."""
    return written(trace.get_current_span().get_span_context())


def written(span: SpanContext) -> str | None:
    """A span as W3C trace context (version 00), or None when there is none."""
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def _context(parent: str | None) -> Context | None:
    if parent is None:
        if trace.get_current_span().get_span_context().is_valid:
            return None  # OpenTelemetry's own: the span that runs
        parent = current().traceparent
    return _W3C.extract({"traceparent": parent}) if parent else None


def _links(traceparents: Iterable[str | None]) -> list[Link]:
    distinct = [one for one in dict.fromkeys(traceparents) if one is not None][:MOST_LINKS]
    spans = (trace.get_current_span(_W3C.extract({"traceparent": one})).get_span_context() for one in distinct)
    return [Link(span) for span in spans if span.is_valid]
