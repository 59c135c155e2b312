"""Stripe's simulator, as a process of its own: one for all tests, with empty books for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ticketkit_stripe.simulator import Simulator


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def stripe(simulator: Simulator) -> Simulator:
    simulator.control.reset()
    return simulator
