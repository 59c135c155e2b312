"""Webhooks of the payment provider: stored before they are answered, applied later."""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.domain.decision import Changes, Keys, State
from ticketkit.domain.entities import Charge, Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit.backends.payments import Notice, PaymentProvider
    from ticketkit.backends.storage import Storage
    from ticketkit.services.commands import Commands
    from ticketkit.services.driver import Driver

log = logging.getLogger(__name__)

BATCH: Final = 200
AT_ONCE: Final = 16
"""Payments at once that the provider's books are read for."""


class WebhookOutcome(StrEnum):
    """What became of a webhook."""

    APPLIED = "applied"
    IGNORED = "ignored"
    UNKNOWN_CHARGE = "unknown charge"
    FAILED = "failed"


class Webhooks:
    """Takes webhooks, and applies each: a hint to look into the provider's books.

    Args:
        storage: Of the payments boundary.
        commands: Makes commands.
        provider: Verifies them.
        driver: Looks, and drives the charge on.
    """

    def __init__(self, storage: Storage, commands: Commands, *, provider: PaymentProvider, driver: Driver) -> None:
        self._storage, self._commands = storage, commands
        self._provider, self._driver = provider, driver

    async def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify and store a webhook; nothing is lost once this has returned.

        Args:
            headers: Names in lower case.
            body: Raw, as received.

        Returns:
            How many notices in it were new.

        Raises:
            BadWebhook: It can't be trusted.
        """
        new = 0
        for notice in self._provider.webhook(headers, body):
            new += await self._store(notice)
        if new:
            self._driver.nudge()
        return new

    async def apply(self) -> int:
        """Apply what was stored; returns how many were applied.

        Those of one payment together: they all say that its books are worth a look. One that can't be applied now,
        since the provider can't be reached, stays for the next time.
        """
        by_payment: dict[str, list[Webhook]] = {}
        for hook in await self._storage.unapplied_webhooks(BATCH):
            by_payment.setdefault(hook.reference or hook.id, []).append(hook)
        limiter = anyio.CapacityLimiter(AT_ONCE)
        applied: list[int] = []

        async def one(hooks: Sequence[Webhook]) -> None:
            async with limiter:
                applied.append(await self._apply_together(hooks))

        async with anyio.create_task_group() as group:
            for hooks in by_payment.values():
                group.start_soon(partial(one, hooks))
        return sum(applied)

    async def apply_again(self, hook: Webhook) -> WebhookOutcome:
        """Apply one whose charge was unknown, or that failed; returns what became of it now.

        Raises:
            Unavailable, OutcomeUnknown: The provider can't be reached now.
        """
        outcome = await self._outcome(hook)
        if outcome != hook.outcome:
            await self._note(hook, outcome)
        return outcome

    async def _apply_together(self, hooks: Sequence[Webhook]) -> int:
        try:
            # One that names its charge finds it also before the reference is on record.
            outcome = await self._outcome(max(hooks, key=lambda hook: hook.charge_id is not None))
        except (Unavailable, OutcomeUnknown) as error:
            ids = ", ".join(hook.id for hook in hooks)
            log.warning("webhook %s: %s It is tried again.", ids, error, extra={"webhook": ids})
            return 0
        for hook in hooks:
            await self._note(hook, outcome)
        return len(hooks)

    async def _store(self, notice: Notice) -> int:
        hook = Webhook(
            id=f"{self._provider.name}:{notice.id}",
            provider=self._provider.name,
            reference=notice.reference,
            charge_id=notice.charge_id,
            what=notice.what,
            body=notice.body,
            received_at=await self._storage.now(),
        )

        def decision(state: State) -> Changes:
            known = state.get(Webhook, hook.id)
            return Changes() if known is not None else Changes(put=(hook,), answer=(hook,))

        command = self._commands.ask("payments.webhook", actor=None)
        return len((await self._storage.decide(Keys.of(Webhook.key(hook.id)), decision, command)).entities)

    async def _outcome(self, hook: Webhook) -> WebhookOutcome:
        try:
            return await self._apply(hook)
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception:  # the loop of a runner: a bad one holds up no other, and the reconciler comes anyway
            log.exception("webhook %s could not be applied", hook.id, extra={"webhook": hook.id})
            return WebhookOutcome.FAILED

    async def _apply(self, hook: Webhook) -> WebhookOutcome:
        if hook.reference is None:
            return WebhookOutcome.IGNORED
        charge = await self._charge(hook, hook.reference)
        if charge is None:
            log.warning("webhook %s is about a charge that is not known", hook.id, extra={"webhook": hook.id})
            return WebhookOutcome.UNKNOWN_CHARGE
        await self._driver.look(charge)
        return WebhookOutcome.APPLIED

    async def _charge(self, hook: Webhook, reference: str) -> Charge | None:
        charge = await self._storage.charge_by_reference(hook.provider, reference)
        if charge is None and hook.charge_id is not None:  # it came before the reference was committed
            found = (await self._storage.get([Charge.key(hook.charge_id)])).get(Charge.key(hook.charge_id))
            charge = found if isinstance(found, Charge) and found.provider == hook.provider else None
        return charge

    async def _note(self, hook: Webhook, outcome: WebhookOutcome) -> None:
        command = self._commands.ask("payments.webhook", actor=None)
        await self._storage.decide(
            Keys.of(Webhook.key(hook.id)),
            lambda state: Changes(put=(replace(state.require(Webhook, hook.id), outcome=outcome.value),)),
            command,
        )
