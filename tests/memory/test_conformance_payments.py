"""The fake payment provider keeps what every provider promises."""

from dataclasses import replace
from pathlib import Path

import pytest

from ticketkit.testing.conformance import PaymentConformance, PaymentTarget
from ticketkit.testing.conformance.payments import FAKE_TOKENS, FakeStage
from ticketkit.testing.conformance.payments.taken import TakenPromises


class TestFakePayments(PaymentConformance):
    @pytest.fixture
    def target(self, tmp_path: Path) -> PaymentTarget:
        return PaymentTarget(url=f"fake://{tmp_path}/books.jsonl", tokens=FAKE_TOKENS, stage=FakeStage())


@pytest.mark.parametrize("token", ["tok_taken_threeDSecure", "tok_taken_pending"])
class TestFakePaymentsThatAreTakenLater(TakenPromises):
    @pytest.fixture
    def target(self, tmp_path: Path, token: str) -> PaymentTarget:
        tokens = replace(FAKE_TOKENS, taken=token)
        return PaymentTarget(url=f"fake://{tmp_path}/books.jsonl", tokens=tokens, stage=FakeStage())
