"""One simulator in a process for all these tests, with empty books for each; and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
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
    yield stripe.StripeClient(
        KEY,
        http_client=http,
        base_addresses={"api": control.url},
        max_network_retries=0,
    )
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
def raw(control: Control) -> Iterator[httpx.Client]:
    """What no good client sends."""
    headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": VERSION}
    with httpx.Client(base_url=control.url, headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def held() -> dict[str, Any]:
    """Parameters of an intent whose money is held, confirmed at once."""
    return {
        "amount": 4500,
        "currency": "usd",
        "capture_method": "manual",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
