"""Drives charges and refunds on, step by step, from whatever was committed last."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderStatus
from ticketkit.domain import payments
from ticketkit.domain.decision import Changes, Keys, Need, State
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    Entity,
    Key,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
    Webhook,
)
from ticketkit.domain.errors import ChargeClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.payments import PaymentProvider, ProviderCharge
    from ticketkit.backends.storage import Storage
    from ticketkit.services.commands import Commands
    from ticketkit.services.progress import Progress

log = logging.getLogger(__name__)

AGAIN: Final = timedelta(seconds=5)
"""When a charge that could not be driven on is looked after again."""
BATCH: Final = 200
AT_ONCE: Final = 16
"""Provider calls at once by the reconciler."""


class Driver:
    """Takes the next step of a charge or refund until it is final, or waits for somebody else.

    Args:
        storage: Of the payments boundary.
        commands: Makes commands.
        provider: Moves the money.
        progress: Told after each commit.
    """

    def __init__(self, storage: Storage, commands: Commands, *, provider: PaymentProvider, progress: Progress) -> None:
        self._storage, self._commands = storage, commands
        self._provider, self._progress = provider, progress
        self._busy: set[str] = set()
        self._nudged = anyio.Event()

    def nudge(self) -> None:
        """Something may be due now."""
        self._nudged.set()

    async def nudged(self) -> None:
        """Wait for `nudge`."""
        await self._nudged.wait()
        self._nudged = anyio.Event()

    async def drive(self, charge_id: str) -> None:
        """Drive one charge; a provider that can't be reached leaves it to the reconciler."""
        if charge_id in self._busy:
            return
        self._busy.add(charge_id)
        try:
            while await self._step(charge_id):
                pass
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("charge %s: %s; it is tried again", charge_id, error, extra={"charge_id": charge_id})
            await self._later(charge_id)
        finally:
            self._busy.discard(charge_id)

    async def drive_refund(self, refund_id: str) -> None:
        """Drive one refund; a provider that can't be reached leaves it to the reconciler."""
        key = Refund.key(refund_id)
        refund = (await self._storage.get([key])).get(key)
        if not isinstance(refund, Refund) or refund.status is not RefundStatus.CREATED:
            return
        charge_key = Charge.key(refund.charge_id)
        charge = (await self._storage.get([charge_key]))[charge_key]
        assert isinstance(charge, Charge)
        assert charge.reference is not None
        try:
            outcome = await self._provider.refund(
                charge.reference, refund_id=refund_id, amount=refund.amount, key=f"{refund_id}:refund"
            )
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("refund %s: %s; it is tried again", refund_id, error, extra={"refund_id": refund_id})
            return
        match outcome:
            case Done(reference):
                await self._decide(
                    Refund.key(refund_id), lambda s: payments.refunded(s, refund_id, reference=reference)
                )
            case Declined(code):
                await self._decide(Refund.key(refund_id), lambda s: payments.refund_failed(s, refund_id, code=code))

    async def reconcile(self) -> int:
        """Drive on whatever is past its deadline; returns how many there were."""
        hooks = await self._apply_webhooks()
        charges = await self._storage.due_charges(BATCH)
        refunds = await self._storage.due_refunds(BATCH)
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(work: Callable[[str], Awaitable[None]], id: str) -> None:
            async with limiter:
                await work(id)

        async with anyio.create_task_group() as group:
            for charge in charges:
                group.start_soon(one, self._reconcile_charge, charge.id)
            for refund in refunds:
                group.start_soon(one, self.drive_refund, refund.id)
        return hooks + len(charges) + len(refunds)

    async def store(self, hook: Webhook) -> int:
        """Keep a webhook; 1 when it is new."""

        def decision(state: State) -> Changes:
            known = state.get(Webhook, hook.id)
            return Changes() if known is not None else Changes(put=(hook,), answer=(hook,))

        answer = await self._decide(Webhook.key(hook.id), decision)
        return len(answer)

    async def _reconcile_charge(self, charge_id: str) -> None:
        if charge_id in self._busy:
            return
        await self.drive(charge_id)
        charge = await self._charge(charge_id)
        if charge.due_at is not None and charge.due_at <= await self._storage.now():
            await self._later(charge_id)

    async def _step(self, charge_id: str) -> bool:
        """One step; whether there may be another one."""
        charge = await self._charge(charge_id)
        copy_key = OrderCopy.key(charge.order_id)
        copy = (await self._storage.get([copy_key])).get(copy_key)
        assert isinstance(copy, OrderCopy)
        if charge.owes_void:
            return await self._void(charge)
        match charge.status:
            case ChargeStatus.CREATED if charge.reference is None:
                return await self._prepare(charge, copy)
            case ChargeStatus.CREATED:
                return await self._authorize(charge, copy)
            case ChargeStatus.REQUIRES_ACTION:
                return await self._look(charge)
            case ChargeStatus.AUTHORIZED if payments.may_capture(charge, copy):
                return await self._capture(charge)
        return False

    async def _prepare(self, charge: Charge, copy: OrderCopy) -> bool:
        if await self._late(copy):
            return await self._commit(charge.id, lambda s: payments.give_up(s, charge.id, code="order_expired"))
        outcome = await self._provider.prepare(
            charge_id=charge.id, order_id=charge.order_id, amount=charge.amount, key=f"{charge.id}:prepare"
        )
        match outcome:
            case Done(reference):
                return await self._commit(charge.id, lambda s: payments.prepared(s, charge.id, reference=reference))
            case Declined(code):
                return await self._commit(charge.id, lambda s: payments.declined(s, charge.id, code=code))
        return False

    async def _authorize(self, charge: Charge, copy: OrderCopy) -> bool:
        assert charge.reference is not None
        if await self._late(copy):
            return await self._commit(charge.id, lambda s: payments.give_up(s, charge.id, code="order_expired"))
        outcome = await self._provider.authorize(charge.reference, token=charge.token, key=f"{charge.id}:authorize")
        return await self._note(charge, outcome)

    async def _look(self, charge: Charge) -> bool:
        assert charge.reference is not None
        found = await self._provider.retrieve(charge.reference)
        return False if found is None else await self._note(charge, _outcome(found))

    async def _note(self, charge: Charge, outcome: Outcome) -> bool:
        match outcome:
            case Done():
                return await self._commit(charge.id, lambda s: payments.authorized(s, charge.id))
            case Declined(code):
                return await self._commit(charge.id, lambda s: payments.declined(s, charge.id, code=code))
            case ActionRequired(action) if charge.status is ChargeStatus.CREATED:
                await self._commit(charge.id, lambda s: payments.action_required(s, charge.id, action=action))
        return False

    async def _capture(self, charge: Charge) -> bool:
        assert charge.reference is not None
        outcome = await self._provider.capture(charge.reference, amount=charge.amount, key=f"{charge.id}:capture")
        match outcome:
            case Done():
                return await self._commit(charge.id, lambda s: payments.captured(s, charge.id))
            case Declined(code):
                return await self._commit(charge.id, lambda s: payments.declined(s, charge.id, code=code))
        return False

    async def _void(self, charge: Charge) -> bool:
        assert charge.reference is not None
        outcome = await self._provider.void(charge.reference, key=f"{charge.id}:void")
        match outcome:
            case Done():
                return await self._commit(charge.id, lambda s: payments.voided(s, charge.id))
            case Declined():
                return await self._void_refused(charge)
        return False

    async def _void_refused(self, charge: Charge) -> bool:
        assert charge.reference is not None
        found = await self._provider.retrieve(charge.reference)
        if found is None or found.status in (ProviderStatus.VOID, ProviderStatus.DECLINED):
            return await self._commit(charge.id, lambda s: payments.voided(s, charge.id))
        log.critical(
            "charge %s was given up, but the provider has it as %s: people must look at it",
            charge.id,
            found.status,
            extra={"charge_id": charge.id, "reference": charge.reference},
        )
        await self._later(charge.id)
        return False

    async def _late(self, copy: OrderCopy) -> bool:
        gone = copy.status is not OrderStatus.CREATED
        return gone or await self._storage.now() >= copy.expires_at

    async def _apply_webhooks(self) -> int:
        hooks = await self._storage.unapplied_webhooks(BATCH)
        for hook in hooks:
            await self._apply(hook)
        return len(hooks)

    async def _apply(self, hook: Webhook) -> None:
        charge = None
        if hook.reference is not None:
            charge = await self._storage.charge_by_reference(hook.provider, hook.reference)
        outcome = "unknown charge"
        if charge is not None:
            outcome = "applied"
            if not charge.status.final and charge.reference is not None:
                found = await self._provider.retrieve(charge.reference)
                await self._note_found(charge, found)
                await self.drive(charge.id)
        else:
            log.warning("webhook %s is about a charge that is not known", hook.id, extra={"webhook": hook.id})

        def decision(state: State) -> Changes:
            known = state.require(Webhook, hook.id)
            return Changes(put=(replace(known, outcome=outcome),))

        await self._decide(Webhook.key(hook.id), decision)

    async def _note_found(self, charge: Charge, found: ProviderCharge | None) -> None:
        """Note what the provider's books say of a charge that waits for it."""
        waiting = charge.status in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION)
        decided = found is not None and found.status in (ProviderStatus.AUTHORIZED, ProviderStatus.DECLINED)
        if waiting and decided and found is not None:
            await self._note(charge, _outcome(found))

    async def _charge(self, charge_id: str) -> Charge:
        found = (await self._storage.get([Charge.key(charge_id)]))[Charge.key(charge_id)]
        assert isinstance(found, Charge)
        return found

    async def _later(self, charge_id: str) -> None:
        await self._decide(Charge.key(charge_id), lambda s: payments.look_again(s, charge_id, after=AGAIN))

    async def _commit(self, charge_id: str, decision: Callable[[State], Changes | Need]) -> bool:
        """Commit a step. True: the charge may have another one."""
        try:
            await self._decide(Charge.key(charge_id), decision)
        except ChargeClosed as error:
            log.critical("charge %s: %s", charge_id, error, extra={"charge_id": charge_id})
            return False
        self._progress.tell(charge_id)
        return True

    async def _decide(self, key: Key, decision: Callable[[State], Changes | Need]) -> tuple[Entity, ...]:
        command = self._commands.ask("payments.drive", actor=None)
        answer = await self._storage.decide(Keys.of(key), decision, command)
        return answer.entities


def _outcome(found: ProviderCharge) -> Outcome:
    match found.status:
        case ProviderStatus.AUTHORIZED | ProviderStatus.CAPTURED:
            return Done(found.reference)
        case ProviderStatus.DECLINED | ProviderStatus.VOID:
            return Declined(found.code or found.status.value)
        case ProviderStatus.REQUIRES_ACTION:
            return ActionRequired(found.action or {})
    return Pending()
