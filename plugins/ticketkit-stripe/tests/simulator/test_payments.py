"""PaymentIntents and refunds, driven with stripe-python's own client."""

from __future__ import annotations

from typing import Any

import pytest

from ticketkit_stripe.simulator import Control

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Use .content:DeprecationWarning"),  # stripe-python and its httpx
]


async def test_held_money_is_captured_and_the_books_say_so(client: Any, control: Control, held: Any) -> None:
    made = await client.v1.payment_intents.create_async({**held, "metadata": {"charge": "c1"}})
    assert (made.status, made.amount_capturable, made.amount_received) == ("requires_capture", 4500, 0)
    taken = await client.v1.payment_intents.capture_async(made.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 4500)
    (line,) = control.books().of(charge="c1")
    assert (line.status, line.captured, line.captures, line.refunded) == ("succeeded", 4500, 1, 0)
    assert control.books().violations == []
