"""One simulator in a process for all these tests, with empty books for each; clients of it, and an endpoint."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import stripe

from ticketkit_stripe.simulator import Control, Simulator
from ticketkit_stripe.simulator.simulation import KEY, VERSION


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def control(simulator: Simulator) -> Control:
    simulator.control.reset()
    return simulator.control


@pytest.fixture
async def client(control: Control) -> AsyncIterator[Any]:
    """stripe-python's own client."""
    http = stripe.HTTPXClient(timeout=5)
    yield stripe.StripeClient(KEY, http_client=http, base_addresses={"api": control.url}, max_network_retries=0)
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
def raw(control: Control) -> Iterator[httpx.Client]:
    """What no good client sends."""
    headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": VERSION}
    with httpx.Client(base_url=control.url, headers=headers, trust_env=False) as client:
        yield client


CARDS_ONLY = {"enabled": True, "allow_redirects": "never"}


@pytest.fixture
def asked() -> dict[str, Any]:
    """Parameters of an intent that takes cards and holds their money."""
    return {"amount": 4500, "currency": "usd", "capture_method": "manual", "automatic_payment_methods": CARDS_ONLY}


@pytest.fixture
def held(asked: dict[str, Any]) -> dict[str, Any]:
    """Of one that is confirmed at once."""
    return {**asked, "confirm": True, "payment_method": "pm_card_visa"}


@pytest.fixture
def taken(asked: dict[str, Any]) -> dict[str, Any]:
    """Of one whose money is taken at once."""
    return {**asked, "capture_method": "automatic", "confirm": True, "payment_method": "pm_card_visa"}


class Receiver:
    """An endpoint for webhooks, with what came to it."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        """Of the next answers; then 200."""
        self.came: list[tuple[str, bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((self.headers.get("Stripe-Signature", ""), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.came]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def copies(self) -> Counter[str]:
        return Counter(event["id"] for event in self.events)


@pytest.fixture
def receiver(control: Control) -> Iterator[Receiver]:
    """An endpoint that the simulator sends to."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    endpoint = control.add_endpoint(receiver.url)
    yield receiver
    control.remove_endpoint(endpoint)
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()
