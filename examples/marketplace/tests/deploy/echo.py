"""A server that says what it was asked, for looking at what a gateway sends on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.stack import HOST


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if self.path == "/live":
            self._stream()
            return
        told = {"name": self.server.name, "path": self.path, "body": len(body), "headers": dict(self.headers)}
        answer = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _stream(self) -> None:
        """One event at once, another when somebody says so."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        self.server.go_on.wait(30)
        self.wfile.write(b"data: second\n\n")
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 http.server looks for these

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Echo(ThreadingHTTPServer):
    """Answers on the loopback, in threads of this process."""

    def __init__(self, name: str, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.name = name
        self.go_on = threading.Event()
        self.place = f"{HOST}:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A gateway that refused a body does not wait for the answer."""


@contextmanager
def echoing(name: str, port: int = 0) -> Iterator[Echo]:
    """Run one."""
    with Echo(name, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
