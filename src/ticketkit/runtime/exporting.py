"""Sends the spans of a program to a collector, over OTLP and HTTP; needs the extra `ticketkit[otel]`."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ticketkit.runtime.settings import Settings

PATIENCE: Final = 5
"""Seconds that the collector has to answer; spans that it does not take are dropped, aloud."""


@contextmanager
def exporting(settings: Settings, service: str) -> Iterator[None]:
    """Send spans to `TICKETKIT_TRACES_URL` while the block runs; without that setting nothing is recorded.

    For programs, not for libraries: the tracer provider that it sets is that of the whole process. An app that has one
    of its own needs none of this.

    Args:
        settings: Where to, and how much of it.
        service: `service.name` of the spans.

    Raises:
        Misconfigured: The setting is there, and what it needs is not installed.
    """
    if settings.traces_url is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError:
        msg = "TICKETKIT_TRACES_URL is set, and what sends traces is not installed."
        raise Misconfigured(msg, mend="Run `pip install 'ticketkit[otel]'`.") from None
    from opentelemetry import trace

    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": version("ticketkit")}),
        sampler=ParentBasedTraceIdRatio(settings.traces_sampled),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=settings.traces_url.get_secret_value(), timeout=PATIENCE)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
