"""The fake payment provider by way of the plugin that the planted ones come by, without a bug."""

from __future__ import annotations

from tests.planted.payments_plugin import PaymentsPlugin

from ticketkit.memory import FakePayments

ORIGINAL = PaymentsPlugin("planted-nothing", FakePayments)
