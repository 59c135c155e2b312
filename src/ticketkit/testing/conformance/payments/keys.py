"""Promises about idempotency keys: one key, one effect, one answer, whatever happens to call and answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import pytest

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.payments import Done, PaymentProvider
from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import (
    AFTER,
    BEFORE,
    PART,
    PRICE,
    Call,
    Till,
    at_once,
    insist,
)
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit.testing.conformance.conformance import Opener
    from ticketkit.testing.conformance.payments.stage import PaymentTarget

RACERS: Final = 8


class KeyPromises(PaymentPromises):
    """The same key has one effect and one answer."""

    @promise()
    async def test_the_same_key_has_one_effect_and_one_answer(self, till: Till) -> None:
        """A call that is repeated with its key changes nothing more, and is answered as before."""
        for operation, after in AFTER.items():
            reference, call = await till.call(operation)
            first = await insist(call)
            assert isinstance(first, Done), f"{operation} should be done, and is {first}"
            assert [await insist(call) for _ in range(2)] == [first, first], operation
            assert await till.standing(reference or first.reference) == after, operation

    @promise()
    async def test_the_same_key_at_once_has_one_effect_and_one_answer(self, till: Till, stress: int) -> None:
        """Calls with one key that run at once have one effect, and all get its answer."""
        for operation, after in AFTER.items():
            reference, call = await till.call(operation)
            answers = await at_once([call] * RACERS * stress)
            assert isinstance(answers[0], Done), f"{operation} should be done, and is {answers[0]}"
            assert answers == [answers[0]] * len(answers), f"{operation}: one key got several answers"
            assert await till.standing(reference or answers[0].reference) == after, operation

    @promise()
    async def test_an_old_key_is_answered_as_before_after_later_steps(self, till: Till) -> None:
        """A key that comes again when the payment has moved on is still answered as at first, and moves nothing."""
        prepare = till.prepare()
        reference = await till.done(prepare)
        steps = [till.authorize(reference), till.capture(reference), till.refund(reference)]
        answers = [await insist(step) for step in steps]
        assert [await insist(step) for step in (prepare, *steps)] == [Done(reference), *answers]
        assert await till.standing(reference) == AFTER["refund"]

    @promise(needs=[Capability.DURABLE])
    async def test_the_same_key_is_known_after_the_provider_was_opened_again(
        self, opener: Opener, target: PaymentTarget
    ) -> None:
        """Answers and books are the same when the provider is opened again."""
        made = []
        async with opener() as first:
            till = Till(first, target)
            for operation, after in AFTER.items():
                reference, call = await till.call(operation)
                made.append((operation, after, reference, call, await insist(call)))
        async with opener() as second:
            till = Till(second, target)
            for operation, after, reference, call, outcome in made:
                assert isinstance(outcome, Done), f"{operation} should be done, and is {outcome}"
                assert await till.standing(reference or outcome.reference) == after, operation
                assert await insist(_by(second, call)) == outcome, operation
                assert await till.standing(reference or outcome.reference) == after, operation

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_the_same_key_from_two_openings_at_once_has_one_effect(
        self, till: Till, opener: Opener, stress: int
    ) -> None:
        """Calls with one key through two openings at once have one effect, and all get its answer."""
        async with opener() as other:
            for operation, after in AFTER.items():
                reference, call = await till.call(operation)
                answers = await at_once([call, _by(other, call)] * (RACERS // 2) * stress)
                assert isinstance(answers[0], Done), f"{operation} should be done, and is {answers[0]}"
                assert answers == [answers[0]] * len(answers), f"{operation}: one key got several answers"
                assert await till.standing(reference or answers[0].reference) == after, operation
                assert await till.standing(reference or answers[0].reference, other) == after, operation

    @promise()
    async def test_a_key_with_other_parameters_is_refused(self, till: Till) -> None:
        """A key that was used is `Refused` for another amount, payment, token or operation, and has no effect."""
        reference, other = await till.authorized(), await till.authorized()
        key = new_id()
        await till.done(till.capture(reference, key=key))
        less = Money(PART, till.target.currency)
        for call in (
            till.capture(reference, less, key=key),
            till.capture(other, key=key),
            till.void(other, key=key),
            till.refund(reference, less, key=key),
        ):
            await _is_refused(call)
        assert await till.standing(reference) == AFTER["capture"]
        assert await till.standing(other) == AFTER["authorize"]
        fresh, (code, *_) = await till.prepared(), till.target.tokens.declined
        key = new_id()
        await insist(till.authorize(fresh, code, key=key))
        await _is_refused(till.authorize(fresh, key=key))

    @promise()
    async def test_a_key_with_other_parameters_at_once_has_one_effect(self, till: Till, stress: int) -> None:
        """Of calls that use one key for several amounts at once, one amount moves, and the others are `Refused`."""
        reference = await till.captured()
        key, refund_id = new_id(), new_id()
        amounts = [Money(minor, till.target.currency) for minor in (PART, PART + 1, PART + 2)] * stress
        calls = [
            partial(till.provider.refund, reference, refund_id=refund_id, amount=amount, key=key) for amount in amounts
        ]
        moved = {
            amount.minor
            for amount, end in zip(amounts, await at_once(calls), strict=True)
            if not isinstance(end, Refused)
        }
        assert len(moved) == 1, f"one key gave back {sorted(moved)}"
        assert (await till.standing(reference)).refunded == moved.pop()

    @promise()
    async def test_a_decline_is_repeated_for_its_key(self, till: Till) -> None:
        """A call that was declined is declined again with its key, by the same code."""
        reference = await till.prepared()
        call = till.authorize(reference, next(iter(till.target.tokens.declined)))
        first = await till.declined(call)
        assert await till.declined(call) == first
        assert {await insist(again) for again in [call] * 3} == {first}

    @promise()
    async def test_equal_calls_with_other_keys_have_effects_of_their_own(self, till: Till) -> None:
        """Two refunds of one amount with keys of their own are two refunds; two payments alike are two."""
        reference = await till.captured()
        first, second = await till.done(till.refund(reference)), await till.done(till.refund(reference))
        assert first != second, "two refunds have one reference"
        assert (await till.standing(reference)).refunded == 2 * PART
        assert await till.prepared() != await till.prepared(), "two payments have one reference"

    @promise()
    async def test_a_lost_answer_is_found_by_repeating_with_the_same_key(self, till: Till) -> None:
        """When an answer is lost after the effect, the call raises `OutcomeUnknown`; repeated, it has one effect."""
        for operation, after in AFTER.items():
            reference, call = await till.call(operation)
            await till.target.stage.lose_answer(till.provider, operation)
            try:
                lost = await call()
            except OutcomeUnknown:
                lost = None  # a provider that repeats by itself gives the answer instead
            outcome = await insist(call)
            assert isinstance(outcome, Done), f"{operation} should be done, and is {outcome}"
            assert lost in (None, outcome), operation
            assert await till.standing(reference or outcome.reference) == after, operation

    @promise()
    async def test_a_decline_whose_answer_was_lost_is_not_taken_for_success(self, till: Till) -> None:
        """When the answer of a decline is lost, nobody is told that it is done, and repeated it is declined."""
        reference = await till.prepared()
        token, code = next(iter(till.target.tokens.declined.items()))
        call = till.authorize(reference, token)
        await till.target.stage.lose_answer(till.provider, "authorize")
        try:
            told = await call()
        except OutcomeUnknown:
            told = None
        declined = await till.declined(call)
        assert declined.code == code
        assert told in (None, declined), f"an answer that was lost was told as {told}"

    @promise()
    async def test_a_call_that_never_arrived_is_not_taken_for_success(self, till: Till) -> None:
        """When a call never arrives it raises `Unavailable` or `OutcomeUnknown`; repeated with its key, it is done."""
        for operation, before in BEFORE.items():
            reference, call = await till.call(operation)
            assert reference is not None
            await till.target.stage.lose_call(till.provider, operation)
            try:
                told = await call()
            except (Unavailable, OutcomeUnknown):
                assert await till.standing(reference) == before, f"{operation} had an effect without arriving"
            else:  # it repeated by itself
                assert await till.standing(reference) == AFTER[operation], f"{operation} was told as {told}"
            await till.done(call)
            assert await till.standing(reference) == AFTER[operation], operation

    @promise()
    async def test_a_cancelled_call_is_ended_by_repeating_with_the_same_key(self, till: Till) -> None:
        """A call that is cancelled at any point, and repeated with its key, has one effect."""
        for turns in (0, 1, 2, 3, 5, 8, 13, 34):
            for operation, after in AFTER.items():
                reference, call = await till.call(operation)
                async with anyio.create_task_group() as group:
                    group.start_soon(insist, call)
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
                outcome = await insist(call)
                assert isinstance(outcome, Done), f"{operation} should be done, and is {outcome}"
                assert await till.standing(reference or outcome.reference) == after, f"{operation} after {turns} turns"

    @promise(needs=[Capability.DURABLE])
    async def test_what_a_killed_process_was_told_is_still_in_the_books(
        self, opener: Opener, target: PaymentTarget
    ) -> None:
        """A process that is killed after an answer leaves books and keys as it was told."""
        function = f"{__name__}:take_money"
        key = new_id()
        async with Worker(
            BackendKind.PAYMENTS, target, function, target.tokens.accepted, target.currency, key
        ) as worker:
            reference = await worker.hear()
            worker.kill()
            await worker.ended()
        async with opener() as again:
            till = Till(again, target)
            assert await till.standing(reference) == AFTER["capture"]
            assert await till.done(till.capture(reference, key=key)) == reference
            assert await till.standing(reference) == AFTER["capture"]


def _by(provider: PaymentProvider, call: Call) -> Call:
    """The same call through another opening."""
    assert isinstance(call, partial)
    return partial(getattr(provider, call.func.__name__), *call.args, **call.keywords)


async def _is_refused(call: Call) -> None:
    with pytest.raises(Refused):
        await insist(call)


async def take_money(
    provider: PaymentProvider, say: Callable[[object], None], token: str, currency: str, key: str
) -> None:
    """What the process that is killed runs: it takes money, says so, and waits for its end."""
    price = Money(PRICE, currency)
    prepared = await provider.prepare(charge_id=new_id(), order_id=new_id(), amount=price, key=new_id())
    assert isinstance(prepared, Done), prepared
    await provider.authorize(prepared.reference, token=token, key=new_id())
    captured = await provider.capture(prepared.reference, amount=price, key=key)
    assert isinstance(captured, Done), captured
    say(prepared.reference)
    await anyio.sleep_forever()
