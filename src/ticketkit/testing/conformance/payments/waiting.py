"""Promises about answers that come later: the buyer has to act, or the bank decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from ticketkit.backends.payments import ActionRequired, InProcessWebhooks, Notice, Pending, ProviderStatus
from ticketkit.testing.conformance.payments.promises import PaymentPromises
from ticketkit.testing.conformance.payments.till import AFTER, PATIENCE, Till, insist, refuses
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from collections.abc import Mapping

WAITING = {"action": ProviderStatus.REQUIRES_ACTION, "pending": ProviderStatus.PENDING}


class WaitingPromises(PaymentPromises):
    """What is not decided yet is told as that, takes no money, and ends."""

    @promise()
    async def test_a_buyer_who_has_to_act_is_told_how(self, till: Till) -> None:
        """`ActionRequired` says which `type` of action it is, and `retrieve` has the same action."""
        token, reference = till.token("action"), await till.prepared()
        outcome = await insist(till.authorize(reference, token))
        assert isinstance(outcome, ActionRequired), outcome
        assert isinstance(outcome.action.get("type"), str), "an action has a type"
        assert outcome.action["type"], "an action has a type"
        found = await till.book(reference)
        assert (found.status, found.action) == (ProviderStatus.REQUIRES_ACTION, outcome.action)

    @promise()
    async def test_a_payment_that_is_not_decided_is_told_as_pending(self, till: Till) -> None:
        """`Pending` is the answer and the status in the books, not done and not declined."""
        token, reference = till.token("pending"), await till.prepared()
        assert await insist(till.authorize(reference, token)) == Pending()
        assert (await till.book(reference)).status is ProviderStatus.PENDING

    @promise()
    async def test_what_waits_for_the_buyer_is_not_captured(self, till: Till) -> None:
        """Before the buyer has acted no money is taken."""
        await _is_not_captured(till, await till.waiting("action"), "action")

    @promise()
    async def test_what_waits_for_the_bank_is_not_captured(self, till: Till) -> None:
        """Before the bank has decided no money is taken."""
        await _is_not_captured(till, await till.waiting("pending"), "pending")

    @promise()
    async def test_a_buyer_who_approves_can_be_charged(self, till: Till) -> None:
        """After the buyer has approved, the books say authorized, and the money can be taken."""
        reference = await till.waiting("action")
        await till.target.stage.act(till.provider, reference, approved=True)
        assert (await till.becomes(reference, ProviderStatus.AUTHORIZED)).action is None
        await till.done(till.capture(reference))
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_buyer_who_refuses_is_not_charged(self, till: Till) -> None:
        """After the buyer has refused, the books say declined, with a code, and no money can be taken."""
        reference = await till.waiting("action")
        await till.target.stage.act(till.provider, reference, approved=False)
        await _is_declined(till, reference)

    @promise()
    async def test_a_bank_that_authorizes_later_can_be_charged(self, till: Till) -> None:
        """After the bank has authorized, the books say so, and the money can be taken."""
        reference = await till.waiting("pending")
        await till.target.stage.decide(till.provider, reference, authorized=True)
        await till.becomes(reference, ProviderStatus.AUTHORIZED)
        await till.done(till.capture(reference))
        assert await till.standing(reference) == AFTER["capture"]

    @promise()
    async def test_a_bank_that_declines_later_is_not_charged(self, till: Till) -> None:
        """After the bank has declined, the books say so, with a code, and no money can be taken."""
        reference = await till.waiting("pending")
        await till.target.stage.decide(till.provider, reference, authorized=False)
        await _is_declined(till, reference)

    @promise()
    async def test_a_void_ends_what_waits_for_the_buyer(self, till: Till) -> None:
        """A payment that is voided while it waits stays void, though the buyer approves it later."""
        reference = await till.waiting("action")
        await till.done(till.void(reference))
        await till.target.stage.act(till.provider, reference, approved=True)
        await till.declined(till.authorize(reference))
        assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_a_void_ends_what_waits_for_the_bank(self, till: Till) -> None:
        """A payment that is voided while it waits stays void, though the bank authorizes it later."""
        reference = await till.waiting("pending")
        await till.done(till.void(reference))
        await till.target.stage.decide(till.provider, reference, authorized=True)
        await till.declined(till.authorize(reference))
        assert await till.standing(reference) == AFTER["void"]

    @promise()
    async def test_a_later_answer_is_told_by_a_webhook_in_this_process(self, till: Till) -> None:
        """A provider that hands its webhooks over by a call tells of a later answer by one that it takes itself."""
        reference, heard = await _later_answer(till)
        assert {notice.reference for notice in heard} == {reference}

    @promise()
    async def test_a_webhook_in_this_process_names_no_other_charge(self, till: Till) -> None:
        """The charge that a webhook names is the one for which its payment was prepared, if it names one."""
        reference, heard = await _later_answer(till)
        assert {notice.charge_id for notice in heard} <= {None, (await till.book(reference)).charge_id}


async def _later_answer(till: Till) -> tuple[str, list[Notice]]:
    """A payment that is authorized later, and what its provider says of that by a call."""
    if not isinstance(till.provider, InProcessWebhooks):
        pytest.skip("its webhooks come over HTTP")
    kind = "action" if till.target.tokens.action else "pending"
    reference = await till.waiting(kind)
    heard: list[Notice] = []
    told = anyio.Event()

    async def receive(headers: Mapping[str, str], body: bytes) -> None:
        heard.extend(till.provider.webhook(headers, body))
        told.set()

    till.provider.deliver_to(receive)
    if kind == "action":
        await till.target.stage.act(till.provider, reference, approved=True)
    else:
        await till.target.stage.decide(till.provider, reference, authorized=True)
    with anyio.fail_after(PATIENCE):
        await told.wait()
    return reference, heard


async def _is_not_captured(till: Till, reference: str, kind: str) -> None:
    assert await refuses(till.capture(reference)), "captured before it was authorized"
    found = await till.book(reference)
    assert (found.status, found.captured) == (WAITING[kind], 0)


async def _is_declined(till: Till, reference: str) -> None:
    found = await till.becomes(reference, ProviderStatus.DECLINED)
    assert found.code, "a declined payment has a code"
    assert await refuses(till.capture(reference)), "captured after it was declined"
    assert (await till.book(reference)).captured == 0
