from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments, VirtualClock

pytestmark = pytest.mark.anyio
PRICE = Money(5000, "USD")


@pytest.fixture
def provider(clock: VirtualClock, new_id: Callable[[], str]) -> FakePayments:
    return FakePayments(clock, new_id)


async def prepare(provider: FakePayments, charge_id: str = "charge", amount: Money = PRICE) -> str:
    outcome = await provider.prepare(charge_id=charge_id, order_id="order", amount=amount, key=f"{charge_id}:prepare")
    assert isinstance(outcome, Done)
    return outcome.reference


async def authorized(provider: FakePayments, charge_id: str = "charge") -> str:
    reference = await prepare(provider, charge_id)
    assert await provider.authorize(reference, token="tok_visa", key=f"{charge_id}:authorize") == Done(reference)
    return reference


async def captured(provider: FakePayments, charge_id: str = "charge") -> str:
    reference = await authorized(provider, charge_id)
    assert await provider.capture(reference, amount=PRICE, key=f"{charge_id}:capture") == Done(reference)
    return reference


async def taken(provider: FakePayments) -> str:
    reference = await prepare(provider)
    await provider.authorize(reference, token="tok_taken", key="charge:authorize")
    return reference


async def is_declined(provider: FakePayments, charge_id: str = "charge") -> str:
    reference = await prepare(provider, charge_id)
    await provider.authorize(reference, token="tok_chargeDeclined", key=f"{charge_id}:authorize")
    return reference


async def book(provider: FakePayments, reference: str) -> ProviderCharge:
    found = await provider.retrieve(reference)
    assert found is not None
    return found


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Declined), outcome
    return outcome.code


class TestTokens:
    async def test_a_prepared_payment_moves_no_money(self, provider: FakePayments) -> None:
        charge = await book(provider, await prepare(provider))
        assert (charge.status, charge.amount, charge.charge_id) == (ProviderStatus.PREPARED, PRICE, "charge")
        assert (charge.captured, charge.refunded) == (0, 0)

    async def test_visa_pays(self, provider: FakePayments) -> None:
        charge = await book(provider, await captured(provider))
        assert (charge.status, charge.captured) == (ProviderStatus.CAPTURED, 5000)

    @pytest.mark.parametrize(
        ("token", "expected"),
        [
            ("tok_chargeDeclined", "card_declined"),
            ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("tok_chargeDeclinedExpiredCard", "expired_card"),
            ("tok_unheard_of", "invalid_token"),
            ("", "invalid_token"),
        ],
    )
    async def test_other_tokens_decline_with_stripes_codes(
        self, provider: FakePayments, token: str, expected: str
    ) -> None:
        reference = await prepare(provider)
        outcome = await provider.authorize(reference, token=token, key="charge:authorize")
        assert code(outcome) == expected
        assert isinstance(outcome, Declined)
        assert outcome.message.endswith(".")
        charge = await book(provider, reference)
        assert (charge.status, charge.code) == (ProviderStatus.DECLINED, expected)
        assert code(await provider.capture(reference, amount=PRICE, key="charge:capture")) == expected

    @pytest.mark.parametrize("token", ["tok_threeDSecure", None])
    async def test_a_buyer_who_has_to_act_is_waited_for(self, provider: FakePayments, token: str | None) -> None:
        reference = await prepare(provider)
        outcome = await provider.authorize(reference, token=token, key="charge:authorize")
        assert isinstance(outcome, ActionRequired)
        assert outcome.action["reference"] == reference
        charge = await book(provider, reference)
        assert (charge.status, charge.action) == (ProviderStatus.REQUIRES_ACTION, outcome.action)
        assert code(await provider.capture(reference, amount=PRICE, key="too early")) == "not_authorized"
        assert await provider.confirm_action(reference) == Done(reference)
        charge = await book(provider, reference)
        assert (charge.status, charge.action) == (ProviderStatus.AUTHORIZED, None)
        assert await provider.capture(reference, amount=PRICE, key="charge:capture") == Done(reference)

    async def test_a_buyer_can_refuse_to_act(self, provider: FakePayments) -> None:
        reference = await prepare(provider)
        await provider.authorize(reference, token="tok_threeDSecure", key="charge:authorize")
        assert code(await provider.confirm_action(reference, approved=False)) == "authentication_failed"
        assert code(await provider.confirm_action(reference)) == "authentication_failed"
        assert (await book(provider, reference)).status is ProviderStatus.DECLINED

    async def test_a_pending_payment_is_resolved_by_the_bank(self, provider: FakePayments) -> None:
        yes, no = await prepare(provider, "yes"), await prepare(provider, "no")
        for reference in (yes, no):
            assert await provider.authorize(reference, token="tok_pending", key=reference) == Pending()
            assert (await book(provider, reference)).status is ProviderStatus.PENDING
        assert await provider.resolve(yes) == Done(yes)
        assert code(await provider.resolve(no, authorized=False, code="insufficient_funds")) == "insufficient_funds"
        assert (await book(provider, yes)).status is ProviderStatus.AUTHORIZED
        assert (await book(provider, no)).code == "insufficient_funds"

    async def test_nobody_resolves_what_does_not_exist(self, provider: FakePayments) -> None:
        for call in (provider.resolve, provider.confirm_action, provider.revive, provider.resolve_refund):
            with pytest.raises(LookupError, match="fake_unknown"):
                await call("fake_unknown")


class TestTakenAtOnce:
    async def test_the_money_is_taken_and_the_answer_says_so(self, provider: FakePayments) -> None:
        reference = await prepare(provider)
        for _ in range(2):
            assert await provider.authorize(reference, token="tok_taken", key="charge:authorize") == Done(
                reference, taken=True
            )
        assert await provider.authorize(reference, token="tok_taken", key="another key") == Done(reference, taken=True)
        charge = await book(provider, reference)
        assert (charge.status, charge.captured) == (ProviderStatus.CAPTURED, 5000)

    @pytest.mark.parametrize(
        ("token", "waits"),
        [
            ("tok_taken_threeDSecure", ProviderStatus.REQUIRES_ACTION),
            ("tok_taken_pending", ProviderStatus.PENDING),
        ],
    )
    async def test_or_when_the_buyer_or_the_bank_has_agreed(
        self, provider: FakePayments, token: str, waits: ProviderStatus
    ) -> None:
        yes, no, late = [await prepare(provider, name) for name in ("yes", "no", "late")]
        for reference in (yes, no, late):
            await provider.authorize(reference, token=token, key=f"{reference}:authorize")
            charge = await book(provider, reference)
            assert (charge.status, charge.captured) == (waits, 0)
        assert await provider.resolve(yes) == Done(yes, taken=True)
        await provider.resolve(no, authorized=False)
        assert await provider.void(late, key="late:void") == Done(late)
        assert code(await provider.resolve(late)) == "voided"
        found = [await book(provider, reference) for reference in (yes, no, late)]
        assert [charge.captured for charge in found] == [5000, 0, 0]
        assert found[0].status is ProviderStatus.CAPTURED

    async def test_it_can_not_be_voided_and_capturing_it_takes_nothing_more(self, provider: FakePayments) -> None:
        reference = await taken(provider)
        assert code(await provider.void(reference, key="charge:void")) == "already_captured"
        assert await provider.capture(reference, amount=PRICE, key="charge:capture") == Done(reference)
        assert code(await provider.capture(reference, amount=Money(1, "USD"), key="more")) == "already_captured"
        charge = await book(provider, reference)
        assert (charge.status, charge.captured) == (ProviderStatus.CAPTURED, 5000)

    async def test_it_is_given_back_by_a_refund(self, provider: FakePayments) -> None:
        reference = await taken(provider)
        assert isinstance(await provider.refund(reference, refund_id="r", amount=PRICE, key="r:refund"), Done)
        assert code(await provider.refund(reference, refund_id="s", amount=PRICE, key="s")) == "refund_exceeds_capture"
        assert (await book(provider, reference)).refunded == 5000


class TestDeclined:
    async def test_a_declined_payment_can_be_voided_and_its_books_still_say_why(self, provider: FakePayments) -> None:
        reference = await is_declined(provider)
        for key in ("charge:void", "another"):
            assert await provider.void(reference, key=key) == Done(reference)
        charge = await book(provider, reference)
        assert (charge.status, charge.code) == (ProviderStatus.VOID, "card_declined")

    async def test_the_buyers_browser_can_try_it_again_until_it_is_voided(self, provider: FakePayments) -> None:
        reference, voided = await is_declined(provider, "charge"), await is_declined(provider, "voided")
        await provider.void(voided, key="voided:void")
        assert code(await provider.revive(reference, token="tok_chargeDeclinedExpiredCard")) == "expired_card"
        assert await provider.revive(reference) == Done(reference)
        assert code(await provider.revive(voided)) == "voided"
        charge = await book(provider, reference)
        assert (charge.status, charge.code) == (ProviderStatus.AUTHORIZED, None)
        assert (await book(provider, voided)).status is ProviderStatus.VOID
        assert await provider.void(reference, key="charge:void") == Done(reference)

    async def test_another_method_may_take_the_money_at_once(self, provider: FakePayments) -> None:
        reference = await is_declined(provider)
        assert await provider.revive(reference, token="tok_taken") == Done(reference, taken=True)
        assert (await book(provider, reference)).captured == 5000

    async def test_what_is_not_declined_is_left_as_it_is(self, provider: FakePayments) -> None:
        fresh, paid = await prepare(provider, "fresh"), await captured(provider, "paid")
        before = provider.books()
        for reference in (fresh, paid):
            await provider.revive(reference)
        assert provider.books() == before


class TestPendingRefunds:
    async def test_the_bank_gives_it_back_later(self, provider: FakePayments) -> None:
        reference = await captured(provider)
        provider.faults.delay_refunds()

        async def refund(id: str) -> Outcome:
            return await provider.refund(reference, refund_id=id, amount=Money(3000, "USD"), key=f"{id}:refund")

        assert [await refund("r"), await refund("r")] == [Pending(), Pending()]
        assert code(await refund("too much")) == "refund_exceeds_capture"
        assert (provider.books().refunds, [one.refund_id for one in provider.books().pending]) == ((), ["r"])
        done = await provider.resolve_refund("r")
        assert isinstance(done, Done)
        assert await refund("r") == done
        assert await provider.resolve_refund("r", done=False) == done
        (given,) = provider.books().refunds
        assert (given.reference, given.amount.minor, provider.books().pending) == (done.reference, 3000, ())
        assert (await book(provider, reference)).refunded == 3000

    async def test_or_fails_for_good_and_it_can_be_tried_by_another_refund(self, provider: FakePayments) -> None:
        reference = await captured(provider)
        provider.faults.delay_refunds()
        await provider.refund(reference, refund_id="r", amount=PRICE, key="r:refund")
        assert code(await provider.resolve_refund("r", done=False)) == "refund_failed"
        for _ in range(2):
            again = await provider.refund(reference, refund_id="r", amount=PRICE, key="r:refund")
            assert code(again) == "refund_failed"
        assert (await book(provider, reference)).refunded == 0
        assert (provider.books().refunds, provider.books().pending) == ((), ())
        assert isinstance(await provider.refund(reference, refund_id="s", amount=PRICE, key="s:refund"), Done)
        assert (await book(provider, reference)).refunded == 5000


class TestMoney:
    async def test_not_more_is_captured_than_was_authorized(self, provider: FakePayments) -> None:
        reference = await authorized(provider)
        for number, amount in enumerate((Money(5001, "USD"), Money(5000, "EUR"), Money(0, "USD"))):
            outcome = await provider.capture(reference, amount=amount, key=f"capture {number}")
            assert code(outcome) == "amount_not_authorized"
        assert (await book(provider, reference)).captured == 0

    async def test_money_is_captured_once(self, provider: FakePayments) -> None:
        reference = await captured(provider)
        assert await provider.capture(reference, amount=PRICE, key="another key") == Done(reference)
        assert code(await provider.capture(reference, amount=Money(1, "USD"), key="a third")) == "already_captured"
        assert (await book(provider, reference)).captured == 5000

    async def test_after_a_void_nothing_is_authorized_or_captured(self, provider: FakePayments) -> None:
        early, late = await prepare(provider, "early"), await authorized(provider, "late")
        for reference in (early, late):
            assert await provider.void(reference, key=f"{reference}:void") == Done(reference)
            assert await provider.void(reference, key=f"{reference}:void again") == Done(reference)
            assert code(await provider.authorize(reference, token="tok_visa", key=f"{reference} later")) == "voided"
            assert code(await provider.capture(reference, amount=PRICE, key=f"{reference}:capture")) == "voided"
            assert (await book(provider, reference)).status is ProviderStatus.VOID

    async def test_a_void_ends_what_waits_for_the_buyer(self, provider: FakePayments) -> None:
        reference = await prepare(provider)
        await provider.authorize(reference, token="tok_threeDSecure", key="charge:authorize")
        await provider.void(reference, key="charge:void")
        assert code(await provider.confirm_action(reference)) == "voided"
        charge = await book(provider, reference)
        assert (charge.status, charge.action) == (ProviderStatus.VOID, None)

    async def test_what_is_captured_can_not_be_voided(self, provider: FakePayments) -> None:
        reference = await captured(provider)
        assert code(await provider.void(reference, key="charge:void")) == "already_captured"
        assert (await book(provider, reference)).status is ProviderStatus.CAPTURED

    async def test_refunds_never_exceed_what_was_captured(self, provider: FakePayments) -> None:
        reference = await authorized(provider)

        async def refund(id: str, minor: int, currency: str = "USD") -> Outcome:
            return await provider.refund(reference, refund_id=id, amount=Money(minor, currency), key=f"{id}:refund")

        assert code(await refund("early", 1)) == "not_captured"
        await provider.capture(reference, amount=PRICE, key="charge:capture")
        one, two = await refund("one", 3000), await refund("two", 2000)
        assert isinstance(one, Done)
        assert isinstance(two, Done)
        assert one.reference != two.reference
        for id, minor, currency in (("three", 1, "USD"), ("none", 0, "USD"), ("euros", 1, "EUR")):
            assert code(await refund(id, minor, currency)) == "refund_exceeds_capture"
        assert (await book(provider, reference)).refunded == 5000
        books = provider.books()
        assert [(refund.refund_id, refund.amount.minor, refund.payment) for refund in books.refunds] == [
            ("one", 3000, reference),
            ("two", 2000, reference),
        ]

    async def test_what_does_not_exist_is_declined_and_not_found(self, provider: FakePayments) -> None:
        assert code(await provider.authorize("fake_unknown", token="tok_visa", key="a")) == "no_such_payment"
        assert code(await provider.void("fake_unknown", key="b")) == "no_such_payment"
        assert await provider.retrieve("fake_unknown") is None

    async def test_nothing_is_no_amount(self, provider: FakePayments) -> None:
        outcome = await provider.prepare(charge_id="c", order_id="o", amount=Money(0, "USD"), key="c:prepare")
        assert code(outcome) == "amount_too_small"
        assert provider.books().charges == ()


class TestIdempotency:
    async def test_the_same_key_has_one_effect_and_one_answer(self, provider: FakePayments) -> None:
        assert await prepare(provider) == await prepare(provider)
        assert len(provider.books().charges) == 1
        reference = await captured(provider)
        answers = [
            await provider.refund(reference, refund_id="r", amount=Money(2000, "USD"), key="r:refund") for _ in range(3)
        ]
        assert answers == [answers[0]] * 3
        assert (await book(provider, reference)).refunded == 2000

    async def test_also_concurrently(self, provider: FakePayments, clock: VirtualClock) -> None:
        provider.faults.slow(1)
        answers: list[Outcome] = []

        async def call() -> None:
            answers.append(await provider.prepare(charge_id="c", order_id="o", amount=PRICE, key="c:prepare"))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call)
            await clock.advance(seconds=1)
        assert answers == [answers[0]] * 20
        assert len(provider.books().charges) == 1

    async def test_the_same_key_with_other_parameters_is_refused(self, provider: FakePayments) -> None:
        reference = await authorized(provider)
        with pytest.raises(Refused):
            await provider.authorize(reference, token="tok_chargeDeclined", key="charge:authorize")
        with pytest.raises(Refused):
            await provider.void(reference, key="charge:authorize")
        with pytest.raises(Refused):
            await prepare(provider, amount=Money(1, "USD"))
        assert (await book(provider, reference)).status is ProviderStatus.AUTHORIZED

    async def test_a_decline_is_remembered_as_well(self, provider: FakePayments) -> None:
        reference = await prepare(provider)
        assert code(await provider.capture(reference, amount=PRICE, key="k")) == "not_authorized"
        await provider.authorize(reference, token="tok_visa", key="charge:authorize")
        assert code(await provider.capture(reference, amount=PRICE, key="k")) == "not_authorized"


class TestFaults:
    async def test_a_slow_provider_answers_after_its_time(self, provider: FakePayments, clock: VirtualClock) -> None:
        provider.faults.slow(10)
        began, took = clock.now(), []

        async def call() -> None:
            await prepare(provider)
            took.append((clock.now() - began).total_seconds())

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await clock.advance(seconds=9)
            assert provider.books().charges == ()
            await clock.advance(seconds=60)
        assert took == [10]
        provider.faults.slow(0)
        await prepare(provider, "another")

    async def test_a_lost_answer_can_be_asked_for_again(self, provider: FakePayments) -> None:
        reference = await authorized(provider)
        provider.faults.time_out_after_effect("capture", times=2)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await provider.capture(reference, amount=PRICE, key="charge:capture")
            assert provider.books().charges[0].status is ProviderStatus.CAPTURED
        assert await provider.capture(reference, amount=PRICE, key="charge:capture") == Done(reference)
        assert provider.books().charges[0].captured == 5000

    @pytest.mark.parametrize("times", [2, None])
    async def test_an_unavailable_provider_does_nothing(self, provider: FakePayments, times: int | None) -> None:
        reference = await prepare(provider)
        provider.faults.unavailable(times)
        with pytest.raises(Unavailable):
            await provider.authorize(reference, token="tok_visa", key="charge:authorize")
        with pytest.raises(Unavailable):
            await provider.retrieve(reference)
        assert provider.books().charges[0].status is ProviderStatus.PREPARED
        if times is None:
            with pytest.raises(Unavailable):
                await prepare(provider, "another")
            provider.faults.available()
        assert await provider.authorize(reference, token="tok_visa", key="charge:authorize") == Done(reference)

    async def test_a_capture_can_be_declined_for_good(self, provider: FakePayments) -> None:
        reference = await authorized(provider)
        provider.faults.decline("capture", code="expired_card")
        for key in ("charge:capture", "charge:capture", "another"):
            assert code(await provider.capture(reference, amount=PRICE, key=key)) == "expired_card"
        assert (await book(provider, reference)).status is ProviderStatus.DECLINED
        await captured(provider, "next one")

    @pytest.mark.parametrize("operation", ["prepare", "authorize", "void", "refund"])
    async def test_so_can_everything_else_once(self, provider: FakePayments, operation: str) -> None:
        reference = await captured(provider)
        provider.faults.decline(operation, code="because")
        calls: dict[str, Callable[[], Any]] = {
            "prepare": lambda: provider.prepare(charge_id="c", order_id="o", amount=PRICE, key="k"),
            "authorize": lambda: provider.authorize(reference, token="tok_visa", key="k"),
            "void": lambda: provider.void(reference, key="k"),
            "refund": lambda: provider.refund(reference, refund_id="r", amount=PRICE, key="k"),
        }
        assert code(await calls[operation]()) == "because"
        assert provider.books().charges == (await book(provider, reference),)
        assert (await book(provider, reference)).refunded == 0

    async def test_an_operation_that_does_not_exist_is_refused(self, provider: FakePayments) -> None:
        with pytest.raises(ValueError, match="charge"):
            provider.faults.time_out_after_effect("charge")
