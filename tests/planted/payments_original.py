"""The fake payment provider by way of the plugin that the planted ones come by, with a pace, and without a bug."""

from __future__ import annotations

from tests.planted.payments_pace import PacedPayments
from tests.planted.payments_plugin import PaymentsPlugin

ORIGINAL = PaymentsPlugin("planted-nothing", PacedPayments)
