"""Drives charges and refunds on, step by step, from whatever was committed last."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import ActionRequired, Declined, Done, Outcome, Pending, ProviderStatus
from ticketkit.domain import payments, refunds
from ticketkit.domain.decision import Changes, Keys, Need, State
from ticketkit.domain.entities import Charge, ChargeStatus, Entity, Key, OrderCopy, OrderStatus, Refund, RefundStatus
from ticketkit.domain.errors import ChargeClosed, NotFound, TicketkitError
from ticketkit.services.comparison import has_money
from ticketkit.services.correlation import Correlation, correlated, current
from ticketkit.services.till import OtherProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.payments import ProviderCharge
    from ticketkit.backends.storage import Answer, Storage
    from ticketkit.services.commands import Commands
    from ticketkit.services.progress import Progress
    from ticketkit.services.till import Till

E = TypeVar("E", bound=Entity)

log = logging.getLogger(__name__)

BEGUN_AT_ONCE: Final = 256
"""Provider calls at once for buyers who wait."""
MOST_STEPS: Final = 8
"""Steps of one charge in a row; from prepared to given back there are fewer."""


class VoidRefused(TicketkitError):
    """A charge was given up, but the provider refuses the void of it: people must look."""


class Driver:
    """Takes the next step of a charge or refund until it is final, or waits for somebody else.

    Each step calls the provider once, outside of any transaction, and commits what it answered. The calls are
    idempotent by key, so two drivers of one charge do no harm, and a driver that died is followed by another.

    Args:
        storage: Of the payments boundary.
        commands: Makes commands.
        till: Calls the provider.
        progress: Told after each commit.
    """

    def __init__(self, storage: Storage, commands: Commands, *, till: Till, progress: Progress) -> None:
        self._storage, self._commands = storage, commands
        self.till = till
        self._progress = progress
        self._busy: set[str] = set()
        self._missed: set[str] = set()
        self._nudged = anyio.Event()
        self._begun, self._to_do = anyio.create_memory_object_stream[Any](math.inf)

    @property
    def busy(self) -> bool:
        """Whether a charge or refund is being driven right now."""
        return bool(self._busy) or self._to_do.statistics().current_buffer_used > 0

    def drives(self, id: str) -> bool:
        """Whether this charge or refund is being driven right now."""
        return id in self._busy

    async def run(self) -> None:
        """Drive what was begun, until cancelled; whoever began it need not stay."""
        limiter = anyio.CapacityLimiter(BEGUN_AT_ONCE)

        async def one(work: Callable[[], Awaitable[object]], id: str, cause: Correlation) -> None:
            async with limiter:
                try:
                    with correlated(cause):
                        await work()
                except Exception:  # the loop of a runner: the reconciler comes back to it
                    log.exception("%s could not be driven on", id)

        async with anyio.create_task_group() as group:
            async for begun in self._to_do:
                group.start_soon(one, *begun)

    def begin(self, charge: Charge, copy: OrderCopy) -> None:
        """Have a charge driven on, from what was just committed of it and of its order."""
        self._begun.send_nowait((partial(self.drive, charge, copy), charge.id, current()))

    def begin_refund(self, refund_id: str) -> None:
        """Have a refund driven on."""
        self._begun.send_nowait((partial(self.drive_refund, refund_id), refund_id, current()))

    def close(self) -> None:
        """Take no more."""
        self._begun.close()
        self._to_do.close()

    def nudge(self) -> None:
        """Something may be due now."""
        self._nudged.set()

    async def nudged(self) -> None:
        """Wait for `nudge`."""
        await self._nudged.wait()
        self._nudged = anyio.Event()

    async def drive(self, charge: Charge, copy: OrderCopy | None = None) -> TicketkitError | None:
        """Drive one charge as far as it goes now; what stops it leaves it to the reconciler.

        Args:
            charge: As known here. An older state is harmless: what it leads to is void, or was answered before.
            copy: Of its order, as known here; read when it is left out.

        Returns:
            What stopped it: `Unavailable` or `OutcomeUnknown`, which are over some time, or `VoidRefused` or
            `OtherProvider`, which need people. None when it is final, waits for somebody, or is driven already.
        """
        if charge.id in self._busy:
            self._missed.add(charge.id)
            return None
        self._busy.add(charge.id)
        try:
            await self._drive(charge, copy or await self._one(OrderCopy, charge.order_id))
            while charge.id in self._missed:
                self._missed.discard(charge.id)
                newest = await self._one(Charge, charge.id)
                await self._drive(newest, await self._one(OrderCopy, charge.order_id))
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("charge %s: %s It is tried again.", charge.id, error, extra={"charge_id": charge.id})
            await self.later(charge)
            return error
        except (VoidRefused, OtherProvider) as error:
            return error
        finally:
            self._busy.discard(charge.id)
            self._missed.discard(charge.id)
        return None

    async def _drive(self, charge: Charge, copy: OrderCopy) -> None:
        self.till.check(charge)
        left: Charge | None = charge
        for _ in range(MOST_STEPS):
            if left is None:
                return
            left = await self._step(left, copy)

    async def drive_refund(self, refund_id: str) -> TicketkitError | None:
        """Drive one refund; what stops it leaves it to the reconciler, and is returned as by `drive`."""
        if refund_id in self._busy:
            return None
        self._busy.add(refund_id)
        try:
            await self._refund(refund_id)
        except (Unavailable, OutcomeUnknown) as error:
            log.warning("refund %s: %s It is tried again.", refund_id, error, extra={"refund_id": refund_id})
            return error
        except OtherProvider as error:
            return error
        finally:
            self._busy.discard(refund_id)
            self._progress.tell(refund_id)
        return None

    async def _refund(self, refund_id: str) -> None:
        refund = await self._one(Refund, refund_id)
        charge = await self._one(Charge, refund.charge_id)
        if refund.status is not RefundStatus.CREATED or charge.reference is None:
            return
        self.till.check(charge)
        outcome = await self.till.refund(refund, charge.reference)
        match outcome:
            case Done(reference):
                await self._decide(Refund.key(refund_id), lambda s: refunds.refunded(s, refund_id, reference=reference))
            case Declined(code):
                await self._decide(Refund.key(refund_id), lambda s: refunds.failed(s, refund_id, code=code))

    async def note_refund(self, charge: Charge, *, given_back: int) -> None:
        """Put on record what was given back at the provider, by hand."""
        command = self._commands.ask("payments.drive", actor=None, fresh=1)
        await self._storage.decide(
            Keys.of(Charge.key(charge.id)),
            lambda s: refunds.note(s, command, charge.id, given_back=given_back),
            command,
        )

    async def later(self, charge: Charge) -> None:
        """Have the reconciler come back to a charge after a pause that grows with its age."""
        await self._decide(
            Charge.key(charge.id),
            lambda s: payments.look_again(s, charge.id, after=payments.pause(s.now - charge.created_at)),
        )

    async def refund_later(self, refund: Refund) -> None:
        """The same of a refund."""
        await self._decide(
            Refund.key(refund.id),
            lambda s: refunds.look_again(s, refund.id, after=payments.pause(s.now - refund.created_at)),
        )

    async def look(self, charge: Charge) -> TicketkitError | None:
        """Note what the provider's books say of a charge that waits for them, and drive it on.

        Returns:
            As `drive`.

        Raises:
            Unavailable, OutcomeUnknown: The books can't be read now.
        """
        found = None
        if charge.reference is not None and charge.provider == self.till.provider.name:
            if charge.status in (ChargeStatus.CREATED, ChargeStatus.REQUIRES_ACTION):
                found = await self._look(charge, charge.reference)
            elif charge.status is ChargeStatus.FAILED and not charge.owes_void and not charge.refund_ids:
                found = await self._look_for_money(charge, charge.reference)
        return await self.drive(found or charge)

    async def _step(self, charge: Charge, copy: OrderCopy) -> Charge | None:
        """One step; the charge after it, or None when there is nothing more to do now."""
        reference = charge.reference
        if reference is None:
            return await self._prepare(charge, copy) if charge.status is ChargeStatus.CREATED else None
        if charge.status is ChargeStatus.FAILED:
            return await self._ended(charge, reference)
        match charge.status:
            case ChargeStatus.CREATED:
                return await self._authorize(charge, reference, copy)
            case ChargeStatus.REQUIRES_ACTION:
                return await self._look(charge, reference)
            case ChargeStatus.AUTHORIZED if payments.may_capture(charge, copy):
                return await self._capture(charge, reference)
        return None

    async def _ended(self, charge: Charge, reference: str) -> Charge | None:
        if charge.owes_void:
            return await self._void(charge, reference)
        return None if charge.due_at is None else await self._look_whether_returned(charge, reference)

    async def _prepare(self, charge: Charge, copy: OrderCopy) -> Charge | None:
        if await self._late(copy):
            return await self._commit(charge, lambda s: payments.give_up(s, charge.id, code="order_expired"))
        outcome = await self.till.prepare(charge)
        match outcome:
            case Done(reference):
                return await self._commit(charge, lambda s: payments.prepared(s, charge.id, reference=reference))
            case Declined(code):
                return await self._commit(charge, lambda s: payments.declined(s, charge.id, code=code))
        return None

    async def _authorize(self, charge: Charge, reference: str, copy: OrderCopy) -> Charge | None:
        if await self._late(copy):
            return await self._commit(charge, lambda s: payments.give_up(s, charge.id, code="order_expired"))
        outcome = await self.till.authorize(charge, reference)
        if isinstance(outcome, Pending):  # perhaps the answer of an earlier try: the books know better
            return await self._look(charge, reference)
        return await self._note(charge, outcome)

    async def _look(self, charge: Charge, reference: str) -> Charge | None:
        found = await self.till.books(reference)
        return None if found is None else await self._note(charge, _outcome(found))

    async def _look_for_money(self, charge: Charge, reference: str) -> Charge | None:
        """A failed charge that owes nothing should have nothing at the provider; what it has is owed from now on."""
        found = await self.till.books(reference)
        if found is None or not has_money(found):
            return None
        taken = found.status is ProviderStatus.CAPTURED
        return await self._commit(charge, lambda s: payments.authorized(s, charge.id, taken=taken))

    async def _look_whether_returned(self, charge: Charge, reference: str) -> Charge | None:
        """The provider refused to give back what a failed charge took: perhaps people have done it by hand."""
        found = await self.till.books(reference)
        if found is not None and found.captured > found.refunded:
            return None
        return await self._commit(charge, lambda s: refunds.returned(s, charge.id))

    async def _note(self, charge: Charge, outcome: Outcome) -> Charge | None:
        match outcome:
            case Done(taken=taken):
                return await self._commit(charge, lambda s: payments.authorized(s, charge.id, taken=taken))
            case Declined(code):
                return await self._commit(charge, lambda s: payments.declined(s, charge.id, code=code))
            case ActionRequired(action) if charge.status is ChargeStatus.CREATED:
                await self._commit(charge, lambda s: payments.action_required(s, charge.id, action=action))
        return None

    async def _capture(self, charge: Charge, reference: str) -> Charge | None:
        if charge.taken:
            return await self._commit(charge, lambda s: payments.captured(s, charge.id))
        outcome = await self.till.capture(charge, reference)
        if isinstance(outcome, Pending):
            found = await self.till.books(reference)
            if found is None or found.status is not ProviderStatus.CAPTURED:
                return None
            outcome = Done(reference)
        match outcome:
            case Done():
                return await self._commit(charge, lambda s: payments.captured(s, charge.id))
            case Declined(code):
                return await self._commit(charge, lambda s: payments.capture_refused(s, charge.id, code=code))
        return None

    async def _void(self, charge: Charge, reference: str) -> Charge | None:
        if charge.taken:
            return await self._give_back(charge)
        outcome = await self.till.void(charge, reference)
        if isinstance(outcome, Declined):
            found = await self.till.books(reference)
            if found is not None and found.status is ProviderStatus.CAPTURED:
                return await self._give_back(charge)
            if found is not None and has_money(found):
                msg = f"The provider refuses the void ({outcome.code}) of what it has as {found.status.value}."
                raise VoidRefused(msg)
            outcome = Done(reference)
        if isinstance(outcome, Done):
            return await self._commit(charge, lambda s: payments.voided(s, charge.id))
        return None

    async def _give_back(self, charge: Charge) -> Charge | None:
        """Refund what a failed charge has taken; the refund is driven on by itself."""
        command = self._commands.ask("payments.drive", actor=None, fresh=1)
        answer = await self._storage.decide(
            Keys.of(Charge.key(charge.id)), lambda s: refunds.give_back(s, command, charge.id), command
        )
        for refund in answer.every(Refund):
            self.begin_refund(refund.id)
        return None

    async def _late(self, copy: OrderCopy) -> bool:
        now = await self._storage.now()
        if _open(copy) and now < copy.expires_at:
            return False
        newest = await self._one(OrderCopy, copy.id)  # its lock may have been prolonged since
        return not _open(newest) or now >= newest.expires_at

    async def _one(self, cls: type[E], id: str) -> E:
        found = (await self._storage.get([Key(cls.KIND, id)])).get(Key(cls.KIND, id))
        if not isinstance(found, cls):
            msg = f"There is no {cls.KIND} {id}."
            raise NotFound(msg, code=f"{cls.KIND}_not_found")
        return found

    async def _commit(self, charge: Charge, decision: Callable[[State], Changes | Need]) -> Charge | None:
        """Commit a step; the charge after it."""
        try:
            answer = await self._decide(Charge.key(charge.id), decision)
        except ChargeClosed as error:
            # It was given up while it was captured: the void that it owes finds the money, and gives it back.
            log.warning("charge %s: %s", charge.id, error, extra={"charge_id": charge.id})
            return None
        newest = answer.one(Charge)
        self._progress.tell(charge.id, newest)
        return newest

    async def _decide(self, key: Key, decision: Callable[[State], Changes | Need]) -> Answer:
        return await self._storage.decide(Keys.of(key), decision, self._commands.ask("payments.drive", actor=None))


def _open(copy: OrderCopy) -> bool:
    return copy.status is OrderStatus.CREATED


def _outcome(found: ProviderCharge) -> Outcome:
    match found.status:
        case ProviderStatus.AUTHORIZED:
            return Done(found.reference)
        case ProviderStatus.CAPTURED:
            return Done(found.reference, taken=True)
        case ProviderStatus.DECLINED | ProviderStatus.VOID:
            return Declined(found.code or found.status.value)
        case ProviderStatus.REQUIRES_ACTION:
            return ActionRequired(found.action or {})
    return Pending()
