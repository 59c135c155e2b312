from __future__ import annotations

import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from hashlib import sha256

import pytest

from ticketkit.backends.errors import BadWebhook, Unavailable
from ticketkit.backends.payments import Done
from ticketkit.backends.spec import Capability
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments, VirtualClock

pytestmark = pytest.mark.anyio
PRICE = Money(5000, "USD")
SECRET = "whsec_test"
VISA = "tok_visa"
BAD_CHARGE = b'{"id":"1","what":"x","reference":null,"charge_id":7}'


class Inbox:
    """Receives webhooks as the runtime does: verifies, and fails when it is told to."""

    def __init__(self, provider: FakePayments) -> None:
        self.provider = provider
        self.notices: list[tuple[str, str, str | None]] = []
        self.failures = 0
        self.last: tuple[Mapping[str, str], bytes] = {}, b""

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable
        self.last = headers, body
        self.notices += [(found.id, found.what, found.reference) for found in self.provider.webhook(headers, body)]

    @property
    def said(self) -> list[str]:
        return [what for _, what, _ in self.notices]


@pytest.fixture
async def provider(clock: VirtualClock, new_id: Callable[[], str]) -> AsyncIterator[FakePayments]:
    async with FakePayments(clock, new_id, secret=SECRET) as provider:
        yield provider


@pytest.fixture
def inbox(provider: FakePayments) -> Inbox:
    inbox = Inbox(provider)
    provider.deliver_to(inbox.take)
    return inbox


async def prepare(provider: FakePayments) -> str:
    outcome = await provider.prepare(charge_id="c", order_id="o", amount=PRICE, key="c:prepare")
    assert isinstance(outcome, Done)
    return outcome.reference


async def pay(provider: FakePayments, *, token: str | None = VISA) -> str:
    reference = await prepare(provider)
    await provider.authorize(reference, token=token, key="c:authorize")
    return reference


def signed(body: bytes, time: object, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{time}.".encode() + body, sha256).hexdigest()
    return {"fake-signature": f"t={time},v1={digest}"}


class TestDelivery:
    async def test_each_step_is_told_once(self, provider: FakePayments, inbox: Inbox, clock: VirtualClock) -> None:
        reference = await pay(provider)
        await provider.capture(reference, amount=PRICE, key="c:capture")
        await provider.capture(reference, amount=PRICE, key="c:capture")
        await provider.refund(reference, refund_id="r", amount=PRICE, key="r:refund")
        await clock.settle()
        assert sorted(inbox.said) == ["payment.authorized", "payment.captured", "refund.completed"]
        assert {about for _, _, about in inbox.notices} == {reference}
        assert len({id for id, _, _ in inbox.notices}) == 3

    async def test_what_the_buyer_and_the_bank_do_is_told(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        reference = await pay(provider, token="tok_threeDSecure")
        await clock.settle()
        await provider.confirm_action(reference)
        await clock.settle()
        assert inbox.said == ["payment.requires_action", "payment.authorized"]

    async def test_money_that_is_taken_at_once_and_refunds_that_come_later_are_told(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        reference = await pay(provider, token="tok_taken")
        provider.faults.delay_refunds(times=2)
        for id, done in (("r", False), ("s", True)):
            await clock.settle()
            await provider.refund(reference, refund_id=id, amount=PRICE, key=f"{id}:refund")
            await clock.settle()
            await provider.resolve_refund(id, done=done)
        await clock.settle()
        refunds = ["refund.created", "refund.failed", "refund.created", "refund.completed"]
        assert inbox.said == ["payment.captured", *refunds]

    async def test_twice_is_the_same_notice_twice(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        provider.faults.webhooks("twice")
        await pay(provider)
        await clock.settle()
        assert len(inbox.notices) == 2
        assert len(set(inbox.notices)) == 1

    async def test_late_is_after_the_time_and_freshly_signed(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        provider.faults.webhooks("late", seconds=3600)
        await pay(provider)
        await clock.advance(minutes=59)
        assert inbox.said == []
        await clock.advance(minutes=1)
        assert inbox.said == ["payment.authorized"]

    async def test_never_is_never_and_once_is_again(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        provider.faults.webhooks("never")
        reference = await pay(provider)
        await clock.advance(days=1)
        assert inbox.said == []
        provider.faults.webhooks("once")
        await provider.void(reference, key="c:void")
        await clock.settle()
        assert inbox.said == ["payment.void"]

    async def test_a_receiver_that_fails_gets_it_again(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        inbox.failures = 2
        with caplog.at_level(logging.ERROR, logger="ticketkit"):
            await pay(provider)
            await clock.advance(seconds=64)
            assert inbox.said == []
            await clock.advance(seconds=1)
        assert inbox.said == ["payment.authorized"]

    async def test_a_receiver_that_fails_for_ever_harms_nobody(
        self, provider: FakePayments, inbox: Inbox, clock: VirtualClock
    ) -> None:
        inbox.failures = 100
        reference = await pay(provider)
        await clock.advance(days=1)
        assert inbox.failures == 96
        inbox.failures = 0
        await provider.capture(reference, amount=PRICE, key="c:capture")
        await clock.settle()
        assert inbox.said == ["payment.captured"]

    async def test_without_a_receiver_payments_work(self, provider: FakePayments, clock: VirtualClock) -> None:
        assert provider.books().charges == ()
        await pay(provider)
        await clock.settle()
        assert len(provider.books().charges) == 1

    async def test_what_is_late_does_not_keep_the_provider_from_closing(self, clock: VirtualClock) -> None:
        provider = FakePayments(clock)
        inbox = Inbox(provider)
        async with provider:
            provider.deliver_to(inbox.take)
            provider.faults.webhooks("late", seconds=3600)
            await pay(provider)
        await clock.advance(hours=2)
        assert inbox.said == []
        await provider.void("fake_unknown", key="still works")


class TestVerification:
    BODY = b'{"id": "n", "what": "payment.authorized", "reference": "fake_1"}'

    async def test_signed_time_is_declared(self, provider: FakePayments) -> None:
        assert Capability.SIGNED_TIME in provider.capabilities

    async def test_what_was_sent_is_read(self, provider: FakePayments, inbox: Inbox, clock: VirtualClock) -> None:
        reference = await pay(provider)
        await clock.settle()
        (notice,) = provider.webhook(*inbox.last)
        assert (notice.what, notice.reference, notice.charge_id) == ("payment.authorized", reference, "c")
        assert json.loads(notice.body)["reference"] == reference

    @pytest.mark.parametrize(("seconds", "good"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
    async def test_old_and_future_ones_are_refused(
        self, provider: FakePayments, clock: VirtualClock, seconds: int, *, good: bool
    ) -> None:
        time = int((clock.now() - timedelta(seconds=seconds)).timestamp())
        if good:
            assert provider.webhook(signed(self.BODY, time), self.BODY)[0].id == "n"
        else:
            with pytest.raises(BadWebhook):
                provider.webhook(signed(self.BODY, time), self.BODY)

    async def test_changed_ones_are_refused(self, provider: FakePayments, clock: VirtualClock) -> None:
        time = int(clock.now().timestamp())
        good = signed(self.BODY, time)
        for headers, body in (
            (good, self.BODY + b" "),
            (signed(self.BODY, time, "another secret"), self.BODY),
            ({"fake-signature": good["fake-signature"].replace(f"t={time}", f"t={time + 1}")}, self.BODY),
            ({"fake-signature": good["fake-signature"].replace("v1=", "v0=")}, self.BODY),
            ({"fake-signature": ""}, self.BODY),
            ({"fake-signature": "t=,v1="}, self.BODY),
            ({"fake-signature": "t=1,v1=é\ud800"}, self.BODY),
            ({}, self.BODY),
        ):
            with pytest.raises(BadWebhook):
                provider.webhook(headers, body)

    @pytest.mark.parametrize("time", ["", "now", "-1", "1e9", "²"])
    async def test_signed_nonsense_is_refused(self, provider: FakePayments, time: str) -> None:
        with pytest.raises(BadWebhook):
            provider.webhook(signed(self.BODY, time), self.BODY)

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{}", b'{"id":1,"what":"x","reference":null}', b'{"id":"1","what":"x"}', BAD_CHARGE, b"\xff"],
    )
    async def test_signed_bodies_that_are_no_notices_are_refused(
        self, provider: FakePayments, clock: VirtualClock, body: bytes
    ) -> None:
        with pytest.raises(BadWebhook):
            provider.webhook(signed(body, int(clock.now().timestamp())), body)

    async def test_a_second_signature_is_for_a_new_secret(self, provider: FakePayments, clock: VirtualClock) -> None:
        headers = signed(self.BODY, int(clock.now().timestamp()))
        headers["fake-signature"] += ",v1=" + "0" * 64
        assert provider.webhook(headers, self.BODY)[0].id == "n"
