"""What a payment provider's stage changes: batches, and promises that do not apply without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from ticketkit.backends.clock import SystemClock
from ticketkit.backends.payments import Notice
from ticketkit.ids import new_id
from ticketkit.memory import FakePayments
from ticketkit.testing.conformance import PaymentConformance, PaymentTarget, Stage, Tokens
from ticketkit.testing.conformance.payments import FAKE_TOKENS, FakeStage
from ticketkit.testing.conformance.payments.till import Till

pytestmark = pytest.mark.anyio


class Batching(FakePayments):
    """Reads webhooks with several notices, each as the fake's single one."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        single = FakeStage()
        parts = [json.dumps(part).encode() for part in json.loads(body)]
        now = datetime.now(UTC)
        return [notice for part in parts for notice in super(Batching, self).webhook(single.sign(part, at=now), part)]


class FirstOnly(Batching):
    """Reads the first notice alone."""

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return super().webhook(headers, body)[:1]


class BatchingStage(FakeStage):
    batch: ClassVar[int] = 3

    def notices(self, references: Sequence[str]) -> bytes:
        return json.dumps(
            [{"id": new_id(), "what": "payment.captured", "reference": reference} for reference in references]
        ).encode()


def till(provider: type[FakePayments], stage: Stage, tokens: Tokens = FAKE_TOKENS) -> Till:
    return Till(provider(SystemClock()), PaymentTarget(url="fake:", tokens=tokens, stage=stage))


async def test_a_batching_provider_that_gives_each_notice_keeps_the_promise() -> None:
    kit = PaymentConformance()
    await kit.test_a_webhook_with_several_notices_gives_each_of_them(till(Batching, BatchingStage()))


async def test_a_batching_provider_that_reads_the_first_notice_alone_is_caught() -> None:
    kit = PaymentConformance()
    with pytest.raises(AssertionError):
        await kit.test_a_webhook_with_several_notices_gives_each_of_them(till(FirstOnly, BatchingStage()))


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("test_a_buyer_who_approves_can_be_charged", "no stage for: the buyer's action"),
        ("test_a_bank_that_declines_later_is_not_charged", "no stage for: the bank's decision"),
        ("test_a_lost_answer_is_found_by_repeating_with_the_same_key", "no stage for: losing an answer"),
        ("test_a_call_that_never_arrived_is_not_taken_for_success", "no stage for: losing a call"),
        ("test_a_genuine_webhook_is_read", "no stage for: webhooks"),
        ("test_a_webhook_that_names_its_charge_is_read_with_it", "no stage for: webhooks that name their charge"),
        ("test_a_void_ends_a_declined_payment_that_could_be_tried_again", "no stage for: trying a declined payment"),
        ("test_a_pending_refund_that_fails_gives_nothing_back", "no stage for: a refund that is pending"),
    ],
)
async def test_a_promise_that_needs_more_of_the_stage_does_not_apply(test: str, reason: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=reason):
        await getattr(PaymentConformance(), test)(till(FakePayments, Stage()))


@pytest.mark.parametrize(
    ("test", "token"),
    [
        ("test_a_buyer_who_has_to_act_is_told_how", "action"),
        ("test_a_payment_that_is_not_decided_is_told_as_pending", "pending"),
        ("test_a_void_of_what_was_taken_at_once_is_declined", "taken"),
    ],
)
async def test_a_promise_about_a_token_that_there_is_not_does_not_apply(test: str, token: str) -> None:
    tokens = Tokens(accepted="tok_visa", declined=FAKE_TOKENS.declined)
    with pytest.raises(pytest.skip.Exception, match=f"no token for: {token}"):
        await getattr(PaymentConformance(), test)(till(FakePayments, FakeStage(), tokens))


async def test_a_provider_without_a_budget_of_calls_promises_no_pace() -> None:
    with pytest.raises(pytest.skip.Exception, match="no budget of calls"):
        await PaymentConformance().test_calls_under_way_make_the_wait_longer(till(FakePayments, FakeStage()))
