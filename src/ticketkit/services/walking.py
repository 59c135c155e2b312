"""A walk over all charges: each is held against the provider's books, driven on, and what is left is reported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import Paced
from ticketkit.domain.entities import Charge, Entity, Kind, Webhook
from ticketkit.services.comparison import Finding, Needs, Record, Trouble, compare, has_money, settled, unfinished
from ticketkit.services.reconciliation import stopping
from ticketkit.services.till import OtherProvider
from ticketkit.services.webhooks import WebhookOutcome

if TYPE_CHECKING:
    from ticketkit.backends.payments import ProviderCharge
    from ticketkit.backends.storage import Storage
    from ticketkit.services.driver import Driver
    from ticketkit.services.reconciliation import Reconciler
    from ticketkit.services.webhooks import Webhooks

AT_ONCE: Final = 8
"""Charges at once: buyers who pay meanwhile come first."""
CALLS: Final = 3
"""Calls of the provider for one charge, about."""
NO_WAIT: Final = 1.0
"""Seconds that a provider with a budget may be behind before the walk waits for it."""
SECOND_LOOK: Final = 3.0
"""Seconds that orders, where it runs, has to answer before a charge that waits for it is reported."""
TRIES: Final = 3
"""How often a charge is read again that changed while its books were read."""

_WAITING: Final = frozenset({Trouble.WAITS_FOR_ORDERS, Trouble.ORDERS_SILENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A charge that was not over, or not as the books say, and is now.

    Attributes:
        troubles: What there was.
        status: Of the charge, now.
    """

    charge_id: str
    order_id: str
    troubles: tuple[Trouble, ...]
    status: str


@dataclass(slots=True)
class Report:
    """What a walk has found so far.

    Attributes:
        charges: Those that were looked at.
        webhooks: Those that were applied; with `dry_run`, that wait to be.
        findings: What is left.
    """

    charges: int = 0
    webhooks: int = 0
    finished: list[Finished] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing needs people."""
        return all(finding.needs is not Needs.PEOPLE for finding in self.findings)


class Walk:
    """Goes through all charges, and webhooks that found none.

    Args:
        storage: Of the payments boundary.
        reconciler: Reads what is on record.
        driver: Takes the steps.
        webhooks: Applies webhooks.
        dry_run: Only look.
        every: Look at charges that are over, too.
        adopt: Put refunds on record that were made at the provider.
        pace: Charges a second; None for no limit.
        on_look: Told how many charges and webhooks were passed, and of how many, about.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        reconciler: Reconciler,
        driver: Driver,
        webhooks: Webhooks,
        dry_run: bool = False,
        every: bool = False,
        adopt: bool = False,
        pace: float | None = None,
        on_look: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> None:
        self._storage, self._reconciler, self._driver = storage, reconciler, driver
        self._till, self._clock, self._webhooks = driver.till, driver.till.clock, webhooks
        self._dry_run, self._every, self._adopt = dry_run, every, adopt
        self._pace, self._on_look = pace, on_look
        self._passed = self._of = 0
        self._waiting: dict[str, tuple[Trouble, ...]] = {}
        self._unknown_payments: set[str | None] = set()
        self.report = Report()

    async def run(self) -> Report:
        """Walk; `report` has what was found so far, also when it is cancelled.

        Raises:
            Unavailable, OutcomeUnknown: The storage can't be reached.
        """
        counts = (await self._storage.totals()).by_status
        self._of = sum(number for (kind, _), number in counts.items() if kind in ("charge", "webhook"))
        await self._apply_webhooks()
        await self._charges()
        await self._second_look()
        async for hook in self._entities("webhook"):
            if isinstance(hook, Webhook):
                await self._webhook(hook)
        return self.report

    async def _charges(self) -> None:
        limiter = anyio.CapacityLimiter(AT_ONCE)
        away: list[Exception] = []

        async def one(charge: Charge) -> None:
            try:
                await self._charge(charge)
            except (Unavailable, OutcomeUnknown) as error:  # raised below, outside of the task group
                away.append(error)
            finally:
                limiter.release_on_behalf_of(charge.id)

        async with anyio.create_task_group() as group:
            async for charge in self._entities("charge"):
                if isinstance(charge, Charge) and (self._every or not settled(charge)):
                    await limiter.acquire_on_behalf_of(charge.id)
                    await self._wait_for_turn()
                    group.start_soon(one, charge)
                if away:
                    break
        if away:
            raise away[0]

    async def _entities(self, kind: Kind) -> AsyncIterator[Entity]:
        cursor: str | None = None
        while True:
            page = await self._storage.scan(kind, cursor=cursor)
            for entity in page.items:
                yield entity
                self._passed += 1
                self._on_look(self._passed, self._of)
            if (cursor := page.next) is None:
                return

    async def _wait_for_turn(self) -> None:
        provider = self._till.provider
        if isinstance(provider, Paced):
            while (wait := provider.wait_for(CALLS)) > NO_WAIT:
                await self._clock.sleep(wait - NO_WAIT)
        if self._pace is not None:
            await self._clock.sleep(1 / self._pace)

    async def _charge(self, charge: Charge) -> None:
        self.report.charges += 1
        record, before = await self._look(charge.id)
        found = before
        if not self._dry_run and any(self._can(one) for one in before):
            record, found = await self._drive(record)
        troubles = tuple(one.trouble for one in before)
        if any(one.trouble in _WAITING for one in found):
            self._waiting[charge.id] = troubles
        else:
            self._note(record, troubles, found)

    def _can(self, finding: Finding) -> bool:
        """Whether it can be finished here."""
        adopts = self._adopt and finding.trouble is Trouble.REFUND_NOT_ON_RECORD
        return adopts or finding.needs is Needs.TICKETKIT

    def _note(self, record: Record, before: tuple[Trouble, ...], found: tuple[Finding, ...]) -> None:
        self.report.findings += found
        charge = record.charge
        if before and not found:
            done = Finished(charge_id=charge.id, order_id=charge.order_id, troubles=before, status=charge.status.value)
            self.report.finished.append(done)

    async def _look(self, charge_id: str) -> tuple[Record, tuple[Finding, ...]]:
        """What is on record of a charge, and what differs from the books."""
        record = await self._reconciler.record(charge_id)
        booked: ProviderCharge | None = None
        try:
            self._till.check(record.charge)
            for _ in range(TRIES):
                before, booked = record, await self._books(record)
                record = await self._reconciler.record(charge_id)
                if record.charge.version == before.charge.version:
                    break
            return record, compare(record, booked, now=await self._storage.now())
        except (Unavailable, OutcomeUnknown, OtherProvider) as error:
            found = unfinished(record, now=await self._storage.now())
            if found or not isinstance(error, OtherProvider):
                found = (*found, stopping(record, error))
            return record, found

    async def _books(self, record: Record) -> ProviderCharge | None:
        reference = record.charge.reference
        return None if reference is None else await self._till.books(reference)

    async def _drive(self, record: Record) -> tuple[Record, tuple[Finding, ...]]:
        """Take the steps that can be taken now, of the charge and its refunds, and look again."""
        charge = record.charge
        stopped = await self._tried(charge)
        record = await self._reconciler.record(charge.id)
        for refund in record.open_refunds:
            stopped = await self._reconciler.tried(refund.id, self._driver.drive_refund(refund.id)) or stopped
        record, found = await self._look(charge.id)
        known = {one.trouble for one in found}
        if found and stopped is not None and (more := stopping(record, stopped)).trouble not in known:
            found = (*found, more)
        return record, found

    async def _tried(self, charge: Charge) -> Exception | None:
        try:
            stopped = await self._reconciler.tried(charge.id, self._driver.look(charge))
            if self._adopt and charge.reference is not None and (booked := await self._till.books(charge.reference)):
                await self._driver.note_refund(charge, given_back=booked.refunded)
            return stopped
        except (Unavailable, OutcomeUnknown) as error:  # of the books; a storage that is away is met again at once
            return error

    async def _second_look(self) -> None:
        """Charges that wait for orders are over in a moment, where it runs."""
        end = self._clock.now().timestamp() + SECOND_LOOK
        waiting = dict(self._waiting)
        while waiting and self._clock.now().timestamp() < end:
            await self._clock.sleep(SECOND_LOOK / 10)
            for id in tuple(waiting):
                record = await self._reconciler.record(id)
                if all(one.trouble not in _WAITING for one in unfinished(record, now=await self._storage.now())):
                    del waiting[id]
        for id, before in self._waiting.items():
            record, found = await self._look(id)
            self._note(record, before, found)

    async def _apply_webhooks(self) -> None:
        if self._dry_run:
            return
        while applied := await self._webhooks.apply():
            self.report.webhooks += applied

    async def _webhook(self, hook: Webhook) -> None:
        if self._dry_run and hook.outcome is None:
            self.report.webhooks += 1
        outcome = hook.outcome
        if outcome not in (WebhookOutcome.FAILED, WebhookOutcome.UNKNOWN_CHARGE):
            return
        try:
            if not self._dry_run:
                outcome = await self._webhooks.apply_again(hook)
            if outcome == WebhookOutcome.UNKNOWN_CHARGE:
                await self._unknown(hook)
        except (Unavailable, OutcomeUnknown) as error:
            self._report_webhook(Trouble.PROVIDER_AWAY, hook, str(error))
        if outcome == WebhookOutcome.FAILED:
            self._report_webhook(Trouble.WEBHOOK_FAILED, hook, f"It says {hook.what!r}, and could not be applied.")

    async def _unknown(self, hook: Webhook) -> None:
        """Report a payment that is not on record, once, however many webhooks tell of it."""
        if hook.reference in self._unknown_payments:
            return
        self._unknown_payments.add(hook.reference)
        what = f"It says {hook.what!r} of a charge that is not on record"
        if hook.provider != self._till.provider.name or hook.reference is None:
            self._report_webhook(Trouble.OTHER_PROVIDER, hook, f"{what}, and is from {hook.provider}.")
            return
        booked = await self._till.books(hook.reference)
        if booked is None or not has_money(booked):
            self._report_webhook(Trouble.WEBHOOK_UNKNOWN, hook, f"{what}.")
        else:
            what = f"{what}, and the provider has {booked.amount} of it as {booked.status.value}."
            self._report_webhook(Trouble.PAYMENT_UNKNOWN, hook, what)

    def _report_webhook(self, trouble: Trouble, hook: Webhook, what: str) -> None:
        finding = Finding(
            trouble=trouble, what=what, webhook_id=hook.id, charge_id=hook.charge_id, reference=hook.reference
        )
        self.report.findings.append(finding)
