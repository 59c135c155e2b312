"""Promises about taking money: what is held, what is taken, what is let go, and what the books say."""

from __future__ import annotations

from functools import partial
from typing import Final

from ticketkit.backends.errors import OutcomeUnknown, Refused, Unavailable
from ticketkit.backends.payments import Declined, Done, ProviderStatus
from ticketkit.backends.spec import Backend
from ticketkit.domain.money import MAX_MINOR, Money
from ticketkit.ids import new_id
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import AFTER, PRICE, Standing, Till, at_once, insist, refuses
from ticketkit.testing.conformance.promise import promise

RACERS: Final = 6
ODD: Final = ("", " ", "../../etc/passwd", "ünïcödé \N{SNAKE}", "a\x00b", "x" * 5000, "' OR 1=1 --", "\ud800")


class MoneyPromises(PaymentPromises):
    """No capture beyond the authorization, nothing after a void, no void after a capture."""

    @promise()
    async def test_the_provider_is_what_its_plugin_says(self, till: Till, spec: Backend) -> None:
        """It declares no capability that its plugin does not, and has a name that fits into a path."""
        assert till.provider.capabilities <= spec.capabilities
        assert till.provider.name.isascii()
        assert till.provider.name.replace("-", "").replace("_", "").isalnum()

    @promise()
    async def test_preparing_moves_no_money(self, till: Till) -> None:
        """A prepared payment is in the books with its charge and amount, holds nothing, and can't be captured."""
        charge_id = new_id()
        reference = await till.done(till.prepare(charge_id=charge_id))
        found = await till.book(reference)
        assert (found.reference, found.charge_id, found.amount) == (reference, charge_id, till.price)
        assert await refuses(till.capture(reference)), "captured without an authorization"
        assert await till.standing(reference) == AFTER["prepare"]

    @promise()
    async def test_the_books_show_each_step_at_once(self, till: Till) -> None:
        """`retrieve` tells status, amounts and charge as they are after each step."""
        charge_id = new_id()
        reference = await till.done(till.prepare(charge_id=charge_id))
        for operation, call in (
            ("prepare", None),
            ("authorize", till.authorize(reference)),
            ("capture", till.capture(reference)),
            ("refund", till.refund(reference)),
        ):
            if call is not None:
                await till.done(call)
            found = await till.book(reference)
            assert Standing(found.status, found.captured, found.refunded) == AFTER[operation], f"after {operation}"
            assert (found.reference, found.charge_id, found.amount) == (reference, charge_id, till.price)
        assert await till.standing(await till.voided()) == AFTER["void"]

    @promise()
    async def test_an_unknown_payment_is_not_in_the_books(self, till: Till) -> None:
        """`retrieve` of a reference that the provider never gave is None."""
        reference = await till.prepared()
        for unknown in (f"{reference[:-1]}{'0' if reference[-1] != '0' else '1'}", "unknown", new_id()):
            assert await till.provider.retrieve(unknown) is None

    @promise()
    async def test_nothing_is_done_to_an_unknown_payment(self, till: Till) -> None:
        """Calls about a payment that the provider never made are refused."""
        for make in (till.authorize, till.capture, till.void, till.refund):
            assert await refuses(make(new_id())), f"{make.__name__} of an unknown payment"

    @promise()
    async def test_a_declined_token_is_declined_with_its_code(self, till: Till) -> None:
        """A token that is declined holds nothing, and answer and books have the provider's code."""
        for token, code in till.target.tokens.declined.items():
            reference = await till.prepared()
            assert (await till.declined(till.authorize(reference, token))).code == code
            found = await till.book(reference)
            assert (found.status, found.code, found.captured) == (ProviderStatus.DECLINED, code, 0)
            assert await refuses(till.capture(reference)), f"captured after {code}"
            assert (await till.book(reference)).captured == 0

    @promise()
    async def test_without_a_token_nothing_is_held_by_itself(self, till: Till) -> None:
        """An authorization without a token is not done before the buyer's form confirms it."""
        reference = await till.prepared()
        outcome = await insist(partial(till.provider.authorize, reference, token=None, key=new_id()))
        assert not isinstance(outcome, Done)
        assert (await till.book(reference)).status is not ProviderStatus.AUTHORIZED

    @promise()
    async def test_no_more_is_captured_than_was_authorized(self, till: Till) -> None:
        """A capture of more than is held, or of nothing, is refused, and takes nothing."""
        reference = await till.authorized()
        for minor in (PRICE + 1, 2 * PRICE, 0):
            assert await refuses(till.capture(reference, Money(minor, till.target.currency))), f"captured {minor}"
            assert await till.standing(reference) == AFTER["authorize"]
        await till.done(till.capture(reference))
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_capture_in_another_currency_is_refused(self, till: Till) -> None:
        """Money that is held in one currency is not taken in another."""
        reference = await till.authorized()
        assert await refuses(till.capture(reference, Money(PRICE, till.other_currency)))
        assert await till.standing(reference) == AFTER["authorize"]

    @promise()
    async def test_a_second_capture_takes_no_more(self, till: Till) -> None:
        """A payment is captured once: a second capture, of as much or more, leaves the books as they are."""
        reference = await till.captured()
        assert await refuses(till.capture(reference, Money(PRICE + 1, till.target.currency)))
        await at_once([till.capture(reference)])  # done or declined, as the provider likes
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_part_can_be_captured_and_the_rest_is_let_go(self, till: Till) -> None:
        """A capture of a part takes just that, or is declined; what is left is never taken after it."""
        reference = await till.authorized()
        part = Money(PRICE - 2000, till.target.currency)
        outcome = await insist(till.capture(reference, part))
        if isinstance(outcome, Declined):
            assert (await till.book(reference)).captured == 0
            return
        taken = Standing(ProviderStatus.CAPTURED, captured=part.minor)
        assert await till.standing(reference) == taken
        await at_once([till.capture(reference, Money(2000, till.target.currency)), till.capture(reference)])
        assert await till.standing(reference) == taken
        assert await refuses(till.refund(reference, till.price)), "refunded more than was captured"
        await till.done(till.refund(reference, part))
        assert await till.standing(reference) == taken._replace(refunded=part.minor)

    @promise()
    async def test_captures_at_once_take_the_money_once(self, till: Till, stress: int) -> None:
        """Captures of one payment that race, each with its own key, take no more than was authorized."""
        reference = await till.authorized()
        ends = await at_once([till.capture(reference) for _ in range(RACERS * stress)])
        assert Done(reference) in ends, f"nobody captured: {ends[0]}"
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_after_a_void_an_authorization_is_declined(self, till: Till) -> None:
        """What was voided, before or after it was authorized, is never authorized again."""
        early = await till.prepared()
        await till.done(till.void(early))
        for reference in (early, await till.voided()):
            await till.declined(till.authorize(reference))
            assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_after_a_void_a_capture_is_refused(self, till: Till) -> None:
        """The money of a voided payment is never taken."""
        reference = await till.voided()
        assert await refuses(till.capture(reference))
        assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_a_void_can_be_asked_for_again(self, till: Till) -> None:
        """A second void, with a key of its own, is done too."""
        reference = await till.voided()
        await till.done(till.void(reference))
        assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_after_a_capture_a_void_is_declined(self, till: Till) -> None:
        """A captured payment can't be voided, and nobody is told that it was."""
        reference = await till.captured()
        await till.declined(till.void(reference))
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_of_void_and_capture_at_once_one_happens(self, till: Till, stress: int) -> None:
        """When void and capture race, one is done and the other is not, and the books agree."""
        for turn in range(RACERS * stress):
            reference = await till.authorized()
            calls = [till.void(reference), till.capture(reference)]
            ends = await at_once(calls if turn % 2 else calls[::-1])
            voided, captured = (isinstance(end, Done) for end in (ends if turn % 2 else ends[::-1]))
            assert voided is not captured, f"void and capture: {ends}"
            assert await till.standing(reference) == AFTER["capture" if captured else "void"]

    @promise()
    async def test_an_authorization_never_outlives_a_void_that_races_it(self, till: Till, stress: int) -> None:
        """Whichever comes first of authorization and void, the payment ends void."""
        for turn in range(RACERS * stress):
            reference = await till.prepared()
            calls = [till.authorize(reference), till.void(reference)]
            await at_once(calls if turn % 2 else calls[::-1])
            await till.declined(till.authorize(reference))
            assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_a_payment_leaves_its_neighbours_alone(self, till: Till) -> None:
        """What is done to one payment shows in no other."""
        first, second, third = await till.authorized(), await till.authorized(), await till.captured()
        await till.done(till.capture(first))
        await till.done(till.void(second))
        await till.done(till.refund(third))
        assert await till.standing(first) == AFTER["capture"]
        assert await till.standing(second) == AFTER["void"]
        assert await till.standing(third) == AFTER["refund"]

    @promise()
    async def test_amounts_are_minor_units_of_their_currency(self, till: Till) -> None:
        """Currencies of no and of three decimals, and the largest amounts, are kept exactly or refused."""
        for amount in (Money(PRICE, "JPY"), Money(PRICE, "KWD"), Money(PRICE + 7, "EUR"), Money(MAX_MINOR, "USD")):
            (outcome,) = await at_once([till.prepare(amount)])
            if isinstance(outcome, Declined | Refused):
                continue
            assert isinstance(outcome, Done), outcome
            assert (await till.book(outcome.reference)).amount == amount
            await till.done(till.authorize(outcome.reference))
            await till.done(till.capture(outcome.reference, amount))
            assert (await till.book(outcome.reference)).captured == amount.minor

    @promise()
    async def test_odd_values_are_refused_by_declared_errors(self, till: Till) -> None:
        """Tokens and references that nobody would send are declined, `Refused` or unknown, and nothing else."""
        for odd in ODD:
            reference = await till.prepared()
            assert await refuses(partial(till.provider.authorize, reference, token=odd, key=new_id())), ascii(odd)
            assert (await till.book(reference)).status is not ProviderStatus.AUTHORIZED
            assert await refuses(till.capture(odd)), ascii(odd)
            try:
                assert await till.provider.retrieve(odd) is None, ascii(odd)
            except (Refused, Unavailable, OutcomeUnknown):
                continue
