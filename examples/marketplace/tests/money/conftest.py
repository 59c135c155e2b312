"""Stripe's simulator, as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ticketkit_stripe.simulator import Simulator


@pytest.fixture
def stripe() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator
