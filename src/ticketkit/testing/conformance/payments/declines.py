"""Promises about declined payments: a void ends them for good, also where the buyer could try them again."""

from __future__ import annotations

from typing import Final

import anyio

from ticketkit.backends.payments import ProviderStatus
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.stage import Stage
from ticketkit.testing.conformance.payments.till import AFTER, Till, refuses
from ticketkit.testing.conformance.promise import promise

RACERS: Final = 6
OVER: Final = (ProviderStatus.VOID, ProviderStatus.DECLINED)


class DeclinePromises(PaymentPromises):
    """A declined payment that was voided stays ended, whoever tries it again."""

    @promise()
    async def test_a_void_of_a_declined_payment_is_done(self, till: Till) -> None:
        """A declined payment can be voided, also twice; nothing is held or taken of it from then on."""
        reference = await till.turned_down()
        for _ in range(2):
            assert await till.done(till.void(reference)) == reference, "Done names another payment"
        await _is_over(till, reference)

    @promise()
    async def test_a_declined_payment_that_is_tried_again_is_in_the_books(self, till: Till) -> None:
        """What the buyer holds by trying again is in the books as that, and a void lets it go."""
        reference = await till.turned_down()
        await till.target.stage.revive(till.provider, reference)
        await till.becomes(reference, ProviderStatus.AUTHORIZED)
        await till.done(till.void(reference))
        assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_a_void_ends_a_declined_payment_that_could_be_tried_again(self, till: Till) -> None:
        """A declined payment that was voided stays ended, though the buyer tries it again later."""
        reference = await till.turned_down()
        await till.done(till.void(reference))
        await till.target.stage.revive(till.provider, reference)
        await _is_over(till, reference)

    @promise()
    async def test_a_void_that_races_another_try_ends_it(self, till: Till, stress: int) -> None:
        """When a void races the buyer who tries a declined payment again, it is done, and nothing is held after it."""
        if type(till.target.stage).revive is Stage.revive:  # it would skip inside the task group
            await till.target.stage.revive(till.provider, "")
        for turn in range(RACERS * stress):
            reference = await till.turned_down()
            async with anyio.create_task_group() as group:
                if turn % 2:
                    group.start_soon(till.done, till.void(reference))
                group.start_soon(till.target.stage.revive, till.provider, reference)
                if not turn % 2:
                    group.start_soon(till.done, till.void(reference))
            await _is_over(till, reference)


async def _is_over(till: Till, reference: str) -> None:
    await till.declined(till.authorize(reference))
    assert await refuses(till.capture(reference)), "captured after it was declined and voided"
    found = await till.book(reference)
    assert found.status in OVER, f"after its void it is {found.status}"
    assert found.captured == 0
