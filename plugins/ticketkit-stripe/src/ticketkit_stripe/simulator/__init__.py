"""A Stripe of one's own: PaymentIntents, refunds, webhooks and books over HTTP, for tests and demonstrations.

with Simulator(webhooks=[url]) as stripe:
    ...  # stripe.url is the address of the API
    stripe.control.authenticate(intent)
    assert stripe.control.books().violations == []
"""

from ticketkit_stripe.simulator.chaos import Chaos
from ticketkit_stripe.simulator.control import Control, ControlRefused
from ticketkit_stripe.simulator.faults import Kind
from ticketkit_stripe.simulator.process import Simulator
from ticketkit_stripe.simulator.statement import Statement

__all__ = ["Chaos", "Control", "ControlRefused", "Kind", "Simulator", "Statement"]
