"""The conformance of payment providers: keys, money, answers that come later, webhooks."""

from ticketkit.testing.conformance.payments.declines import DeclinePromises
from ticketkit.testing.conformance.payments.keys import KeyPromises
from ticketkit.testing.conformance.payments.money import MoneyPromises
from ticketkit.testing.conformance.payments.pace import PacePromises
from ticketkit.testing.conformance.payments.refunds import RefundPromises
from ticketkit.testing.conformance.payments.taken import TakenPromises
from ticketkit.testing.conformance.payments.waiting import WaitingPromises
from ticketkit.testing.conformance.payments.webhooks import WebhookPromises

__all__ = ["PaymentConformance"]


class PaymentConformance(
    KeyPromises,
    MoneyPromises,
    RefundPromises,
    TakenPromises,
    DeclinePromises,
    WaitingPromises,
    WebhookPromises,
    PacePromises,
):
    """What every payment provider promises. The fixture `target` returns a `PaymentTarget`.

    class TestFake(PaymentConformance):
        @pytest.fixture
        def target(self, tmp_path):
            return PaymentTarget(url=f"fake://{tmp_path}/books.jsonl", tokens=FAKE_TOKENS, stage=FakeStage())
    """
