"""The provider at a Stripe that fails, forgets keys, lets holds run out, and takes money at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import anyio
import httpx
import pytest
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderStatus
from ticketkit.backends.spec import Context
from ticketkit.domain.money import Money
from ticketkit_stripe.provider import SETTLED, StripePayments, open_payments
from ticketkit_stripe.settings import API_VERSION
from ticketkit_stripe.simulator import Control, ControlRefused, Simulator

pytestmark = pytest.mark.anyio

KEY, SECRET, PRICE, PART = "sk_test_simulated", "whsec_simulated", Money(5000, "USD"), Money(2000, "USD")
DAY = 25 * 3600.0
KINDS = ("error", "error_after", "unavailable", "rate_limited", "locked", "lost_answer")
RETURN = "https://t.example/paid"


class Later:
    """The real time, with an offset; pauses are short."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.01))


@pytest.fixture(scope="module")
def stripe() -> Iterator[Simulator]:
    with Simulator(key=KEY, secret=SECRET) as simulator:
        yield simulator


@pytest.fixture
def control(stripe: Simulator) -> Iterator[Control]:
    stripe.control.reset()
    yield stripe.control
    assert stripe.control.books().violations == []


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
async def provider(control: Control, clock: Later) -> AsyncIterator[StripePayments]:
    async with _opened(control, clock) as provider:
        yield provider


def _opened(control: Control, clock: Later, more: str = "") -> AbstractAsyncContextManager[StripePayments]:
    url = f"stripe:?key={KEY}&webhook_secret={SECRET}&base={control.url}&rate=10000&endpoint_rate=10000{more}"
    return open_payments(url, Context(clock=clock))


async def prepare(provider: StripePayments, charge_id: str = "c-1") -> str:
    key = f"{charge_id}:prepare"
    outcome = await provider.prepare(charge_id=charge_id, order_id="o-1", amount=PRICE, key=key)
    assert isinstance(outcome, Done)
    return outcome.reference


async def authorize(provider: StripePayments, reference: str, token: str | None = "tok_visa") -> Outcome:  # noqa: S107
    return await provider.authorize(reference, token=token, key="c-1:authorize")


async def capture(provider: StripePayments, reference: str) -> Outcome:
    return await provider.capture(reference, amount=PRICE, key="c-1:capture")


async def void(provider: StripePayments, reference: str) -> Outcome:
    return await provider.void(reference, key="c-1:void")


async def refund(provider: StripePayments, reference: str) -> Outcome:
    return await provider.refund(reference, refund_id="r-1", amount=PART, key="r-1:refund")


async def paid(provider: StripePayments) -> str:
    reference = await prepare(provider)
    assert await authorize(provider, reference) == Done(reference)
    assert await capture(provider, reference) == Done(reference)
    return reference


async def status(provider: StripePayments, reference: str) -> ProviderStatus:
    found = await provider.retrieve(reference)
    assert found is not None
    return found.status


Call: TypeAlias = Callable[[StripePayments, str], Coroutine[Any, Any, Outcome]]
BEFORE: dict[Call, tuple[Call, ...]] = {
    authorize: (),
    capture: (authorize,),
    void: (authorize,),
    refund: (authorize, capture),
}


async def insist(call: Callable[[], Awaitable[Outcome]], clock: Later) -> Outcome:
    """As the reconciler does: again with the same key, some time later."""
    for _ in range(40):
        try:
            return await call()
        except (Unavailable, OutcomeUnknown):
            clock.offset += timedelta(seconds=SETTLED)
    raise AssertionError("it never came to an answer")


@pytest.mark.parametrize(
    "fault", [f"{kind} {times}" for kind in KINDS for times in (1, 3, 6)], ids=lambda fault: fault.replace(" ", "-")
)
@pytest.mark.parametrize("call", BEFORE, ids=lambda call: call.__name__)
async def test_whatever_fails_however_often_each_step_is_done_once(
    provider: StripePayments, control: Control, clock: Later, call: Call, fault: str
) -> None:
    kind, times = fault.split()
    reference = await prepare(provider)
    for step in BEFORE[call]:
        await step(provider, reference)
    await run_sync(partial(control.fault, kind, on=call.__name__, times=int(times)))
    outcome = await insist(partial(call, provider, reference), clock)
    assert isinstance(outcome, Done), outcome
    assert await call(provider, reference) == outcome
    (line,) = control.books().of(ticketkit_charge_id="c-1")
    expected: dict[Call, tuple[str, int, int]] = {
        authorize: ("requires_capture", 0, 0),
        capture: ("succeeded", 5000, 0),
        void: ("canceled", 0, 0),
        refund: ("succeeded", 5000, 2000),
    }
    assert (line.status, line.captured, line.refunded) == expected[call]
    assert line.captures == (1 if line.captured else 0)


@pytest.mark.parametrize("kind", ["error", "error_after", "lost_answer"])
async def test_a_failed_preparation_leaves_at_most_what_nobody_can_pay(
    provider: StripePayments, control: Control, clock: Later, kind: str
) -> None:
    await run_sync(partial(control.fault, kind, on="prepare"))
    reference = await prepare(provider)
    await authorize(provider, reference)
    await capture(provider, reference)
    lines = control.books().of(ticketkit_charge_id="c-1")
    assert sum(line.captured for line in lines) == 5000
    assert {line.status for line in lines} <= {"succeeded", "requires_payment_method"}


async def test_what_is_repeated_when_keys_are_forgotten_is_not_done_again(
    provider: StripePayments, control: Control, clock: Later
) -> None:
    reference = await paid(provider)
    given = await refund(provider, reference)
    await run_sync(control.advance, DAY)
    clock.offset += timedelta(seconds=DAY)
    assert await authorize(provider, reference) == Done(reference, taken=True)
    assert await capture(provider, reference) == Done(reference)
    assert await refund(provider, reference) == given
    assert isinstance(await void(provider, reference), Declined)
    (line,) = control.books().of(ticketkit_charge_id="c-1")
    assert (line.captured, line.captures, line.refunded) == (5000, 1, 2000)


async def test_a_hold_that_ran_out_is_not_captured(provider: StripePayments, control: Control) -> None:
    reference = await prepare(provider)
    await authorize(provider, reference)
    await run_sync(control.expire, reference)
    outcome = await capture(provider, reference)
    assert isinstance(outcome, Declined)
    assert outcome.code == "voided"
    assert await void(provider, reference) == Done(reference)


async def test_a_bank_that_refuses_the_capture_is_told(provider: StripePayments, control: Control) -> None:
    reference = await prepare(provider)
    await authorize(provider, reference)
    await run_sync(partial(control.fault, "refuse", on="capture", code="insufficient_funds"))
    for _ in range(2):
        outcome = await capture(provider, reference)
        assert isinstance(outcome, Declined)
        assert outcome.code == "insufficient_funds"
    assert await void(provider, reference) == Done(reference)


async def test_the_form_confirms_by_itself_and_a_void_ends_it(provider: StripePayments, control: Control) -> None:
    reference, other = await prepare(provider), await prepare(provider, "c-2")
    outcome = await authorize(provider, reference, None)
    assert isinstance(outcome, ActionRequired)
    await run_sync(control.confirm, outcome.action["client_secret"], "pm_card_visa")
    assert await status(provider, reference) is ProviderStatus.AUTHORIZED
    assert await authorize(provider, reference, None) == Done(reference)
    assert await capture(provider, reference) == Done(reference)
    late = await provider.authorize(other, token=None, key="c-2:authorize")
    assert isinstance(late, ActionRequired)
    assert await provider.void(other, key="c-2:void") == Done(other)
    with pytest.raises(ControlRefused, match="canceled"):
        await run_sync(control.confirm, late.action["client_secret"], "pm_card_visa")
    assert await status(provider, other) is ProviderStatus.VOID


async def test_a_form_whose_card_is_declined_is_declined_and_voided_takes_no_other(
    provider: StripePayments, control: Control
) -> None:
    """Stripe's form would let the buyer try another card on the same payment: the charge that failed owes a void."""
    reference = await prepare(provider)
    outcome = await authorize(provider, reference, None)
    assert isinstance(outcome, ActionRequired)
    secret = outcome.action["client_secret"]
    await run_sync(control.confirm, secret, "pm_card_chargeDeclined")
    found = await provider.retrieve(reference)
    assert found is not None
    assert (found.status, found.code) == (ProviderStatus.DECLINED, "card_declined")
    assert await void(provider, reference) == Done(reference)
    with pytest.raises(ControlRefused, match="canceled"):
        await run_sync(control.confirm, secret, "pm_card_visa")


async def test_money_that_is_taken_at_once_is_told_as_that_and_given_back(control: Control, clock: Later) -> None:
    async with _opened(control, clock, f"&methods=card,ideal&return_url={RETURN}") as provider:
        reference, card = await prepare(provider), await prepare(provider, "c-2")
        assert await authorize(provider, reference, "pm_simulator_takenAtOnce") == Done(reference, taken=True)
        assert await status(provider, reference) is ProviderStatus.CAPTURED
        assert await capture(provider, reference) == Done(reference)
        refused = await void(provider, reference)
        assert isinstance(refused, Declined)
        assert refused.code == "already_captured"
        assert isinstance(await refund(provider, reference), Done)
        held = await provider.authorize(card, token="pm_card_visa", key="c-2:authorize")
        assert held == Done(card)
        assert await status(provider, card) is ProviderStatus.AUTHORIZED


async def test_a_bank_that_sends_the_buyer_away_and_back(control: Control, clock: Later) -> None:
    headers = {"authorization": f"Bearer {KEY}", "stripe-version": API_VERSION}
    async with (
        _opened(control, clock, f"&methods=card,ideal&return_url={RETURN}") as provider,
        httpx.AsyncClient(base_url=control.url, headers=headers) as form,
    ):
        reference = await prepare(provider)
        assert isinstance(await authorize(provider, reference, None), ActionRequired)
        chosen = {"payment_method_data[type]": "ideal", "return_url": RETURN}
        await form.post(f"/v1/payment_intents/{reference}/confirm", data=chosen)
        asked = await authorize(provider, reference, None)
        assert isinstance(asked, ActionRequired)
        assert asked.action["redirect_url"].startswith("http")
        await run_sync(control.authenticate, reference)
        assert await status(provider, reference) is ProviderStatus.CAPTURED
        assert await authorize(provider, reference, None) == Done(reference, taken=True)


async def test_a_bank_that_decides_days_later_is_pending_and_can_not_be_voided_meanwhile(
    control: Control, clock: Later
) -> None:
    more = f"&methods=card,us_bank_account&return_url={RETURN}"
    async with _opened(control, clock, more) as provider:
        reference = await prepare(provider)
        assert await authorize(provider, reference, "pm_usBankAccount_success") == Pending()
        assert await void(provider, reference) == Pending()
        await run_sync(control.decide, reference)
        assert await status(provider, reference) is ProviderStatus.CAPTURED
        assert isinstance(await void(provider, reference), Declined)
        other = await prepare(provider, "c-2")
        await provider.authorize(other, token="pm_usBankAccount_success", key="c-2:authorize")
        assert await provider.void(other, key="c-2:void") == Pending()
        await run_sync(partial(control.decide, other, success=False))
        assert await provider.void(other, key="c-2:void") == Done(other)


async def test_a_refund_that_the_bank_sends_back_is_declined_though_it_was_done(
    provider: StripePayments, control: Control
) -> None:
    reference = await prepare(provider)
    await authorize(provider, reference, "pm_card_refundFail")
    await capture(provider, reference)
    given = await refund(provider, reference)
    assert isinstance(given, Done)
    await run_sync(partial(control.settle, given.reference, success=False))
    outcome = await refund(provider, reference)
    assert isinstance(outcome, Declined)
    found = await provider.retrieve(reference)
    assert found is not None
    assert found.refunded == 0


async def test_what_the_simulator_signs_is_believed(provider: StripePayments, control: Control, served: Any) -> None:
    reference = await paid(provider)
    received: list[tuple[dict[str, str], bytes]] = []

    async def hook(request: Request) -> Response:
        received.append((dict(request.headers), await request.body()))
        return Response()

    async with served(Starlette(routes=[Route("/", hook, methods=["POST"])])) as port:
        await run_sync(partial(control.add_endpoint, f"http://127.0.0.1:{port}/", secrets=[SECRET]))
        await refund(provider, reference)
        assert await run_sync(control.settled)
    notices = [notice for headers, body in received for notice in provider.webhook(headers, body)]
    assert {"charge.refunded", "refund.created"} <= {notice.what for notice in notices}
    assert {(notice.reference, notice.charge_id) for notice in notices} == {(reference, "c-1")}
