"""The fake payment provider keeps what every provider promises."""

from pathlib import Path

import pytest

from ticketkit.testing.conformance import PaymentConformance, PaymentTarget
from ticketkit.testing.conformance.payments import FAKE_TOKENS, FakeStage


class TestFakePayments(PaymentConformance):
    @pytest.fixture
    def target(self, tmp_path: Path) -> PaymentTarget:
        return PaymentTarget(url=f"fake://{tmp_path}/books.jsonl", tokens=FAKE_TOKENS, stage=FakeStage())
