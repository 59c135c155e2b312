"""`TICKETKIT_TRACES_URL` sends the spans of a program to a collector."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import SecretStr
from tests.runtime.processes import processes

from ticketkit.backends.errors import Misconfigured
from ticketkit.runtime.exporting import exporting
from ticketkit.runtime.settings import Settings


class Collector:
    """Takes spans over OTLP on a free port."""

    def __init__(self) -> None:
        self.received: list[ExportTraceServiceRequest] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                received.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def named(self) -> set[tuple[str, str]]:
        """(service, span) of all that came."""
        return {
            (attribute.value.string_value, span.name)
            for request in self.received
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_program_sends_its_spans_to_the_collector_at_the_latest_when_it_stops(
    collector: Collector, tmp_path: Path
) -> None:
    env = {"TICKETKIT_TRACES_URL": collector.url, "TICKETKIT_DATA_DIR": str(tmp_path)}
    env["TICKETKIT_STORAGE_URL"] = "memory:"
    with processes(env, "") as running:
        url = running[""].url()
        assert httpx2.get(f"{url}/api/tickets", trust_env=False).status_code == 200
        assert running[""].stop() == 0
    assert ("ticketkit", "GET /api/tickets") in collector.named()


def test_without_the_setting_nothing_is_recorded() -> None:
    before = trace.get_tracer_provider()
    with exporting(Settings(), "ticketkit"):
        assert trace.get_tracer_provider() is before


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = Settings(traces_url=SecretStr("http://127.0.0.1:1/v1/traces"))
    with pytest.raises(Misconfigured, match=r"ticketkit\[otel\]"), exporting(settings, "ticketkit"):
        pass
