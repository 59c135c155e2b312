"""What is asked of Stripe, and what its answers mean: kept failures, refusals whose reason is gone, lost answers."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import pytest

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Paced, Pending, ProviderStatus
from ticketkit.backends.spec import Context
from ticketkit.domain.money import Money
from ticketkit_stripe.provider import REFUND_SPELL, SETTLED, SPELL, StripePayments, open_payments
from ticketkit_stripe.settings import API_VERSION

pytestmark = pytest.mark.anyio

KEY, PRICE = "sk_test_made4up", Money(5000, "USD")
CREATE = "POST /v1/payment_intents"
CONFIRM, CAPTURE, CANCEL = (f"{CREATE}/pi_1/{verb}" for verb in ("confirm", "capture", "cancel"))
READ = "GET /v1/payment_intents/pi_1"
REFUND, REFUNDS = "POST /v1/refunds", "GET /v1/refunds"
REPLAYED = {"idempotent-replayed": "true"}
Wire: TypeAlias = Any  # of conftest


class Hasty:
    """A clock on which pauses take no time, and are noted."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.later += timedelta(seconds=seconds)


def error(status: int, code: str | None = None, headers: dict[str, str] | None = None, /, **values: Any) -> Any:
    return status, {"error": {"type": "invalid_request_error", "code": code, "message": "no", **values}}, headers or {}


UNEXPECTED = error(400, "payment_intent_unexpected_state")
FAILED = error(500)


@pytest.fixture
def clock() -> Hasty:
    return Hasty()


@pytest.fixture
def more() -> str:
    """Further parameters of the URL."""
    return ""


@pytest.fixture
async def provider(wire: Wire, clock: Hasty, more: str) -> AsyncIterator[StripePayments]:
    url = f"stripe:?key={KEY}&base={wire.url}&timeout=0.5&connect_timeout=0.5&rate=1000&endpoint_rate=1000{more}"
    async with open_payments(url, Context(clock=clock)) as provider:
        yield provider


async def prepare(provider: StripePayments) -> Outcome:
    return await provider.prepare(charge_id="c-1", order_id="o-1", amount=PRICE, key="k")


async def authorize(provider: StripePayments, token: str | None = "pm_card_visa") -> Outcome:  # noqa: S107 - a test card
    return await provider.authorize("pi_1", token=token, key="k")


async def capture(provider: StripePayments, amount: Money = PRICE) -> Outcome:
    return await provider.capture("pi_1", amount=amount, key="k")


async def void(provider: StripePayments) -> Outcome:
    return await provider.void("pi_1", key="k")


async def refund(provider: StripePayments, minor: int = 2000) -> Outcome:
    return await provider.refund("pi_1", refund_id="r-1", amount=Money(minor, "USD"), key="k")


def refunded(status: str = "succeeded", amount: int = 2000, **values: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": amount,
        "currency": "usd",
        "status": status,
        "metadata": {"ticketkit_refund_id": "r-1"},
        **values,
    }


def listed(*refunds: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(refunds), "has_more": more, "url": "/v1/refunds"}


# What is asked


async def test_a_payment_is_prepared_with_its_charge_and_captured_by_hand(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CREATE, wire.intent("requires_payment_method"))
    assert await prepare(provider) == Done("pi_1")
    (asked,) = wire.asked
    assert asked.fields == {
        "amount": "5000",
        "currency": "usd",
        "capture_method": "manual",
        "allowed_payment_method_types[0]": "card",
        "metadata[ticketkit_charge_id]": "c-1",
        "metadata[ticketkit_order_id]": "o-1",
    }
    assert asked.key == "k"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["stripe-version"] == API_VERSION
    assert "stripe-account" not in asked.headers


@pytest.mark.parametrize(
    "more", ["&methods=card,link,ideal&return_url=https://t.example/paid&account=acct_1"], ids=["methods"]
)
async def test_methods_that_take_money_at_once_do_while_the_others_hold_it(
    provider: StripePayments, wire: Wire
) -> None:
    wire.answer(CREATE, wire.intent("requires_payment_method"))
    wire.answer(CONFIRM, wire.intent("succeeded", capture_method="automatic"))
    await prepare(provider)
    assert await authorize(provider) == Done("pi_1", taken=True)
    created, confirmed = wire.asked
    assert created.fields["capture_method"] == "automatic"
    assert created.fields["payment_method_options[card][capture_method]"] == "manual"
    assert created.fields["payment_method_options[link][capture_method]"] == "manual"
    assert "payment_method_options[ideal][capture_method]" not in created.fields
    assert created.headers["stripe-account"] == "acct_1"
    assert confirmed.fields == {"payment_method": "pm_card_visa", "return_url": "https://t.example/paid"}


@pytest.mark.parametrize(
    ("token", "fields"),
    [
        ("pm_1", {"payment_method": "pm_1"}),
        ("tok_visa", {"payment_method_data[type]": "card", "payment_method_data[card][token]": "tok_visa"}),
        ("ctoken_1", {"confirmation_token": "ctoken_1"}),
    ],
)
async def test_what_the_form_gave_confirms_the_payment(
    provider: StripePayments, wire: Wire, token: str, fields: dict[str, str]
) -> None:
    wire.answer(CONFIRM, wire.intent())
    assert await authorize(provider, token) == Done("pi_1")
    assert wire.asked[0].fields == fields


async def test_the_amount_of_a_payment_is_asked_for_once(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent())
    wire.answer(CAPTURE, wire.intent("succeeded"))
    for _ in range(2):
        assert await capture(provider) == Done("pi_1")
    assert len(wire.of(READ)) == 1
    assert [asked.fields for asked in wire.of(CAPTURE)] == [{"amount_to_capture": "5000"}] * 2


async def test_only_so_many_amounts_are_remembered(
    provider: StripePayments, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticketkit_stripe.provider.REMEMBERED", 2)
    for number in range(4):
        wire.answer(CREATE, wire.intent("requires_payment_method", id=f"pi_{number}"))
        await prepare(provider)
    assert list(provider._amounts) == ["pi_2", "pi_3"]


async def test_what_can_not_be_captured_is_not_asked_for(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent())
    for amount in (Money(5001, "USD"), Money(5000, "EUR"), Money(0, "USD")):
        assert isinstance(await capture(provider, amount), Declined)
    assert wire.of(CAPTURE) == []


async def test_a_provider_with_a_budget_is_paced(provider: StripePayments) -> None:
    assert isinstance(provider, Paced)
    assert provider.wait_for(3) == 0
    assert provider.wait_for(5000) == pytest.approx(4.75, abs=0.1)


# What answers mean


async def test_without_a_token_the_form_is_given_its_secret_and_nothing_moves(
    provider: StripePayments, wire: Wire
) -> None:
    wire.answer(READ, wire.intent("requires_payment_method"))
    assert await authorize(provider, None) == ActionRequired(
        {"type": "stripe_payment_element", "client_secret": "pi_1_secret_2"}
    )
    assert {asked.method for asked in wire.asked} == {"GET"}
    wire.answer(READ, wire.intent())
    assert await authorize(provider, None) == Done("pi_1")


@pytest.mark.parametrize("more", ["&publishable_key=pk_test_1&account=acct_1"], ids=["key"])
async def test_three_d_secure_is_an_action_that_the_books_have_too(provider: StripePayments, wire: Wire) -> None:
    asks = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example"}}
    wire.answer(CONFIRM, wire.intent("requires_action", next_action=asks))
    wire.answer(READ, wire.intent("requires_action", next_action=asks))
    action = {
        "type": "stripe_next_action",
        "client_secret": "pi_1_secret_2",
        "publishable_key": "pk_test_1",
        "account": "acct_1",
        "redirect_url": "https://bank.example",
    }
    assert await authorize(provider) == ActionRequired(action)
    found = await provider.retrieve("pi_1")
    assert found is not None
    assert (found.status, found.action) == (ProviderStatus.REQUIRES_ACTION, action)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (("card_declined", "generic_decline"), "card_declined"),
        (("card_declined", "insufficient_funds"), "insufficient_funds"),
        (("card_declined", "stolen_card"), "card_declined"),
        (("card_declined", "fraudulent"), "card_declined"),
        (("card_declined", None), "card_declined"),
        (("expired_card", "expired_card"), "expired_card"),
        (("incorrect_cvc", "incorrect_cvc"), "incorrect_cvc"),
    ],
)
async def test_a_decline_has_the_banks_reason_and_none_that_warns_a_thief(
    provider: StripePayments, wire: Wire, failure: tuple[str, str | None], told: str
) -> None:
    said = {"type": "card_error", "code": failure[0], "decline_code": failure[1], "message": "no"}
    wire.answer(CONFIRM, (402, {"error": said}))
    wire.answer(READ, wire.intent("requires_payment_method", last_payment_error=said))
    outcome = await authorize(provider)
    assert isinstance(outcome, Declined)
    assert outcome.code == told
    found = await provider.retrieve("pi_1")
    assert found is not None
    assert (found.status, found.code) == (ProviderStatus.DECLINED, told)
    assert "stolen" not in outcome.message


@pytest.mark.parametrize(
    ("status", "values", "expected"),
    [
        ("requires_payment_method", {}, ProviderStatus.PREPARED),
        ("requires_confirmation", {}, ProviderStatus.PREPARED),
        ("processing", {}, ProviderStatus.PENDING),
        ("requires_capture", {}, ProviderStatus.AUTHORIZED),
        ("succeeded", {}, ProviderStatus.CAPTURED),
        ("canceled", {}, ProviderStatus.VOID),
        ("canceled", {"last_payment_error": {"code": "card_declined"}}, ProviderStatus.VOID),
        ("a_state_of_the_future", {}, ProviderStatus.PENDING),
    ],
)
async def test_each_state_of_stripe_is_one_of_ours(
    provider: StripePayments, wire: Wire, status: str, values: dict[str, Any], expected: ProviderStatus
) -> None:
    wire.answer(READ, wire.intent(status, **values))
    found = await provider.retrieve("pi_1")
    assert found is not None
    assert (found.status, found.charge_id, found.amount) == (expected, "c-1", PRICE)
    assert found.captured == (5000 if status == "succeeded" else 0)


async def test_a_hold_that_was_let_go_is_no_refund(provider: StripePayments, wire: Wire) -> None:
    """Stripe books the end of a hold as refunded, of a charge that was never captured."""
    charge = {"id": "ch_1", "object": "charge", "amount_captured": 0, "captured": False, "amount_refunded": 5000}
    wire.answer(READ, wire.intent("canceled", latest_charge=charge))
    found = await provider.retrieve("pi_1")
    assert found is not None
    assert (found.status, found.captured, found.refunded) == (ProviderStatus.VOID, 0, 0)


async def test_what_stripe_does_not_know_is_not_there(provider: StripePayments, wire: Wire) -> None:
    assert await provider.retrieve("pi_1") is None
    for outcome in (await authorize(provider), await authorize(provider, None), await capture(provider)):
        assert isinstance(outcome, Declined)
        assert outcome.code == "no_such_payment"
    for outcome in (await void(provider), await refund(provider)):
        assert isinstance(outcome, Declined)
        assert outcome.code == "no_such_payment"
    asked = len(wire.asked)
    for odd in ("", "pi_1/../../accounts", "pi_1?x=1", "ch_1", "pi_\n"):
        assert await provider.retrieve(odd) is None
    assert len(wire.asked) == asked


async def test_a_payment_that_is_gone_from_the_books_is_not_there(provider: StripePayments, wire: Wire) -> None:
    for path, call in ((CONFIRM, authorize), (CANCEL, void)):
        wire.answer(path, error(500, None, REPLAYED))
        outcome = await call(provider)
        assert isinstance(outcome, Declined)
        assert outcome.code == "no_such_payment"


async def test_a_request_that_stripe_does_not_take_is_not_taken_for_nothing(
    provider: StripePayments, wire: Wire
) -> None:
    wire.answer(READ, error(400, "parameter_unknown"))
    with pytest.raises(Refused, match="parameter_unknown"):
        await provider.retrieve("pi_1")


async def test_what_stripe_can_not_charge_is_declined_and_not_asked_for(provider: StripePayments, wire: Wire) -> None:
    amount = Money(5124, "KWD")
    outcome = await provider.prepare(charge_id="c-1", order_id="o-1", amount=amount, key="k")
    assert isinstance(outcome, Declined)
    assert outcome.code == "amount_not_expressible"
    assert wire.asked == []


async def test_a_token_that_stripe_does_not_know_is_declined(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CONFIRM, error(400, "resource_missing", param="payment_method"))
    wire.answer(READ, wire.intent("requires_payment_method"))
    outcome = await authorize(provider)
    assert isinstance(outcome, Declined)
    assert outcome.code == "invalid_token"
    asked = len(wire.asked)
    for odd in ("", "card", "tok_ x", "pm_1&x=y"):
        assert isinstance(await authorize(provider, odd), Declined)
    assert len(wire.asked) == asked


@pytest.mark.parametrize(
    ("call", "status", "expected"),
    [
        (authorize, "requires_capture", Done("pi_1")),
        (authorize, "succeeded", Done("pi_1", taken=True)),
        (authorize, "processing", Pending()),
        (authorize, "canceled", "voided"),
        (capture, "succeeded", Done("pi_1")),
        (capture, "canceled", "voided"),
        (capture, "requires_action", "not_authorized"),
        (void, "canceled", Done("pi_1")),
        (void, "succeeded", "already_captured"),
        (void, "processing", Pending()),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
async def test_a_step_that_is_refused_for_the_state_is_answered_by_the_books(
    provider: StripePayments,
    wire: Wire,
    call: Callable[[StripePayments], Awaitable[Outcome]],
    status: str,
    expected: Outcome | str,
) -> None:
    path = {authorize: CONFIRM, capture: CAPTURE, void: CANCEL}[call]
    wire.answer(path, UNEXPECTED)
    wire.answer(READ, wire.intent(status))
    outcome = await call(provider)
    assert (outcome.code if isinstance(outcome, Declined) else outcome) == expected
    assert len(wire.of(path)) == 1


async def test_a_capture_of_another_amount_than_was_taken_is_declined(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CAPTURE, UNEXPECTED)
    wire.answer(READ, wire.intent("succeeded"))
    outcome = await capture(provider, Money(4000, "USD"))
    assert isinstance(outcome, Declined)
    assert outcome.code == "already_captured"


# Keys


class Step(NamedTuple):
    call: Callable[[StripePayments], Awaitable[Outcome]]
    path: str
    before: str
    after: str


@pytest.mark.parametrize(
    "step",
    [
        Step(authorize, CONFIRM, "requires_payment_method", "requires_capture"),
        Step(capture, CAPTURE, "requires_capture", "succeeded"),
        Step(void, CANCEL, "requires_capture", "canceled"),
    ],
    ids=["authorize", "capture", "void"],
)
class TestAKeptAnswer:
    """Stripe answers a key as it did at first, for a day: also with a failure, and a refusal that is out of date."""

    async def test_a_kept_failure_after_the_effect_is_answered_by_the_books(
        self, provider: StripePayments, wire: Wire, step: Step
    ) -> None:
        wire.answer(step.path, FAILED, error(500, None, REPLAYED))
        wire.answer(READ, wire.intent(step.after))
        assert await step.call(provider) == Done("pi_1")
        assert {asked.key for asked in wire.of(step.path)} == {"k"}

    async def test_a_kept_failure_without_effect_goes_on_with_another_key(
        self, provider: StripePayments, wire: Wire, step: Step
    ) -> None:
        wire.answer(step.path, error(500, None, REPLAYED), wire.intent(step.after))
        wire.answer(READ, wire.intent(step.before))
        assert await step.call(provider) == Done("pi_1")
        assert keys(wire, step.path) == ["k", "k~"]

    async def test_a_kept_refusal_whose_reason_is_gone_goes_on_with_another_key(
        self, provider: StripePayments, wire: Wire, step: Step
    ) -> None:
        wire.answer(step.path, UNEXPECTED, wire.intent(step.after))
        wire.answer(READ, wire.intent(step.before))
        assert await step.call(provider) == Done("pi_1")
        assert keys(wire, step.path) == ["k", "k~"]

    async def test_an_outage_spends_one_key_a_spell_and_ends(
        self, provider: StripePayments, wire: Wire, clock: Hasty, step: Step
    ) -> None:
        wire.answer(step.path, error(500, None, REPLAYED))
        wire.answer(READ, wire.intent(step.before))
        for _ in range(10):
            with pytest.raises(OutcomeUnknown):
                await step.call(provider)
            clock.later += timedelta(seconds=1)
        assert len({asked.key for asked in wire.of(step.path)}) <= 3
        kept = error(500, None, REPLAYED)
        wire.answer(step.path, kept, wire.intent(step.after))
        clock.later += timedelta(seconds=SPELL)
        assert await step.call(provider) == Done("pi_1")


def keys(wire: Wire, path: str) -> list[str]:
    """The keys of the calls, without the number of the spell."""
    return [re.sub(r"~\d+$", "~", asked.key) for asked in wire.of(path)]


async def test_a_kept_failure_of_a_preparation_makes_another_payment(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CREATE, FAILED, error(500, None, REPLAYED), wire.intent("requires_payment_method"))
    assert await prepare(provider) == Done("pi_1")
    assert keys(wire, CREATE) == ["k", "k", "k~"]


async def test_a_key_that_was_used_for_another_request_is_refused(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CANCEL, error(400, type="idempotency_error"))
    with pytest.raises(Refused):
        await void(provider)
    assert len(wire.asked) == 1


# Refunds


async def test_a_refund_is_marked_with_its_id(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed())
    wire.answer(REFUND, refunded())
    assert await refund(provider) == Done("re_1")
    assert wire.of(REFUND)[0].fields == {
        "payment_intent": "pi_1",
        "amount": "2000",
        "metadata[ticketkit_refund_id]": "r-1",
        "metadata[ticketkit_charge_id]": "c-1",
    }


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (refunded(), Done("re_1")),
        (refunded("pending"), Pending()),
        (refunded("requires_action"), Pending()),
        (refunded("failed", failure_reason="lost_or_stolen_card"), "lost_or_stolen_card"),
        (refunded("canceled"), "canceled"),
    ],
    ids=["succeeded", "pending", "requires_action", "failed", "canceled"],
)
async def test_a_refund_that_was_made_is_answered_and_not_made_again(
    provider: StripePayments, wire: Wire, known: dict[str, Any], expected: Outcome | str
) -> None:
    """Stripe keeps keys for a day; the metadata stay."""
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed(refunded(id="re_0", metadata={}), more=True), listed(known))
    outcome = await refund(provider)
    assert (outcome.code if isinstance(outcome, Declined) else outcome) == expected
    assert wire.of(REFUND) == []
    assert wire.of(REFUNDS)[1].fields["starting_after"] == "re_0"


async def test_a_refund_that_was_made_of_another_amount_is_refused(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed(refunded(amount=1000)))
    with pytest.raises(Refused):
        await refund(provider)


async def test_what_was_not_taken_is_not_given_back(provider: StripePayments, wire: Wire) -> None:
    wire.answer(REFUNDS, listed())
    for status in ("requires_payment_method", "requires_capture", "canceled"):
        wire.answer(READ, wire.intent(status))
        assert isinstance(await refund(provider), Declined)
    assert wire.of(REFUND) == []


async def test_a_refund_that_is_refused_is_declined_with_stripes_code(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed())
    wire.answer(REFUND, error(400, "charge_already_refunded"))
    outcome = await refund(provider)
    assert isinstance(outcome, Declined)
    assert outcome.code == "charge_already_refunded"


async def test_a_refund_at_which_stripe_failed_is_made_anew_only_when_it_had_time_to_appear(
    provider: StripePayments, wire: Wire, clock: Hasty
) -> None:
    kept = error(500, None, REPLAYED)
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed())
    wire.answer(REFUND, kept)
    begun = clock.now()
    for _ in range(REFUND_SPELL):
        with pytest.raises(OutcomeUnknown):
            await refund(provider)
        if len(set(keys(wire, REFUND))) > 1:
            break
        clock.later += timedelta(seconds=10)
    assert clock.now() - begun >= timedelta(seconds=SETTLED)
    assert clock.now().timestamp() % REFUND_SPELL >= SETTLED
    clock.later += timedelta(seconds=REFUND_SPELL)
    wire.answer(REFUND, kept, refunded())
    assert await refund(provider) == Done("re_1")


async def test_a_refund_that_appears_after_a_failure_is_found(provider: StripePayments, wire: Wire) -> None:
    wire.answer(READ, wire.intent("succeeded"))
    wire.answer(REFUNDS, listed(), listed(refunded()))
    wire.answer(REFUND, error(500, None, REPLAYED))
    assert await refund(provider) == Done("re_1")
    assert len(wire.of(REFUND)) == 1


# What is repeated, and how often


@pytest.mark.parametrize(
    "trouble",
    [
        "hang up",
        "garbage",
        FAILED,
        error(503),
        error(429, "rate_limit"),
        error(429, "lock_timeout"),
        error(409, "idempotency_key_in_use", type="idempotency_error"),
    ],
    ids=["hang up", "garbage", "500", "503", "429", "lock", "409"],
)
async def test_a_call_is_repeated_with_its_key_after_a_pause(
    provider: StripePayments, wire: Wire, clock: Hasty, trouble: Any
) -> None:
    wire.answer(CREATE, trouble, trouble, wire.intent())
    assert await prepare(provider) == Done("pi_1")
    assert [asked.key for asked in wire.asked] == ["k"] * 3
    first, second = (pause for pause in clock.pauses if pause > 0.05)
    assert 0.1 <= first <= 0.3
    assert 0.2 <= second <= 0.6


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("hang up", OutcomeUnknown),
        ("garbage", OutcomeUnknown),
        (FAILED, OutcomeUnknown),
        (error(409, "idempotency_key_in_use"), OutcomeUnknown),
        (error(429, "rate_limit"), Unavailable),
    ],
    ids=["hang up", "garbage", "500", "409", "429"],
)
async def test_a_call_that_keeps_failing_is_told_as_what_is_known_of_it(
    provider: StripePayments, wire: Wire, trouble: Any, expected: type[Exception]
) -> None:
    wire.answer(CREATE, trouble)
    with pytest.raises(expected):
        await prepare(provider)
    assert len(wire.asked) == 4


async def test_one_lost_answer_makes_the_whole_call_unknown(provider: StripePayments, wire: Wire) -> None:
    wire.answer(CREATE, "hang up", error(429, "rate_limit"))
    with pytest.raises(OutcomeUnknown):
        await prepare(provider)


@pytest.mark.parametrize("trouble", ["hang", "trickle"])
async def test_a_call_that_is_never_answered_ends_in_time(provider: StripePayments, wire: Wire, trouble: str) -> None:
    wire.answer(CREATE, trouble)
    with pytest.raises(OutcomeUnknown):
        await prepare(provider)
    assert len(wire.asked) == 4


@pytest.mark.parametrize(
    ("first", "expected"), [("hang up", OutcomeUnknown), (error(429, "rate_limit"), Unavailable)], ids=["lost", "busy"]
)
async def test_a_call_without_another_turn_is_told_as_what_is_known_of_it(
    wire: Wire, clock: Hasty, first: Any, expected: type[Exception]
) -> None:
    wire.answer(CREATE, first)
    url = f"stripe:?key={KEY}&base={wire.url}&rate=0.01"
    async with open_payments(url, Context(clock=clock)) as provider:
        with pytest.raises(expected):
            await prepare(provider)
    assert len(wire.asked) == 1


async def test_books_that_can_not_be_read_are_unavailable(provider: StripePayments, wire: Wire) -> None:
    for trouble in ("hang up", FAILED, error(500, None, REPLAYED)):
        wire.answer(READ, trouble)
        with pytest.raises(Unavailable):
            await provider.retrieve("pi_1")


async def test_a_server_that_is_not_there_is_unavailable(wire: Wire, clock: Hasty) -> None:
    url = f"stripe:?key={KEY}&base=http://127.0.0.1:1&connect_timeout=0.5"
    async with open_payments(url, Context(clock=clock)) as provider:
        with pytest.raises(Unavailable):
            await prepare(provider)
    assert len([pause for pause in clock.pauses if pause > 0.05]) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_told_to_the_operator_and_not_shown(
    provider: StripePayments, wire: Wire, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    wire.answer(CREATE, (status, {"error": {"type": "invalid_request_error", "message": f"Invalid key {KEY}"}}))
    with pytest.raises(Unavailable, match="doctor") as refused:
        await prepare(provider)
    assert len(wire.asked) == 1
    ours = [record for record in caplog.records if record.name.startswith("ticketkit")]
    assert [record.levelno for record in ours] == [logging.CRITICAL]
    assert KEY not in str(refused.value) + " ".join(record.getMessage() for record in ours)


@pytest.mark.parametrize(
    ("trouble", "slower"),
    [
        (error(429, "rate_limit"), {"create", "read"}),
        (error(429, "rate_limit", {"Stripe-Rate-Limited-Reason": "global-rate"}), {"create", "read"}),
        (error(429, "rate_limit", {"Stripe-Rate-Limited-Reason": "endpoint-rate"}), {"create"}),
        (error(429, "lock_timeout"), set()),
    ],
    ids=["unsaid", "global", "endpoint", "lock"],
)
async def test_a_refusal_for_the_rate_slows_what_was_refused(
    provider: StripePayments, wire: Wire, trouble: Any, slower: set[str]
) -> None:
    wire.answer(CREATE, trouble, wire.intent())
    wire.answer(READ, wire.intent())
    await prepare(provider)
    budget = provider._calls.budget
    lowered = {"create"} if budget._endpoints["payment_intents.create"]._part < 1 else set()
    assert (lowered if budget._all._part == 1 else {"create", "read"}) == slower
