"""The reconciler: looks after every charge and refund that is past its deadline, and knows what needs people."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.domain.entities import Charge, OrderCopy, Refund
from ticketkit.domain.errors import NotFound
from ticketkit.services.comparison import Finding, Needs, Record, Trouble, settled, unfinished
from ticketkit.services.driver import VoidRefused
from ticketkit.services.till import OtherProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ticketkit.backends.storage import Storage
    from ticketkit.domain.errors import TicketkitError
    from ticketkit.services.driver import Driver

log = logging.getLogger(__name__)

BATCH: Final = 200
"""Charges, and refunds, of one pass."""
AT_ONCE: Final = 16
"""Of them at once."""
PROVIDER_PATIENCE: Final = timedelta(minutes=15)
"""Age of a charge from which a provider that can't be reached is something that people should know."""
CHECK_EVERY: Final = timedelta(seconds=30)
"""How often what needs people is looked at for whether it is over: another process may have ended it."""
MOST_KEPT: Final = 10_000
"""Charges and refunds that need people, which are remembered."""


class Reconciler:
    """Drives on what is due, one pass at a time.

    Args:
        storage: Of the payments boundary.
        driver: Takes the steps.
    """

    def __init__(self, storage: Storage, *, driver: Driver) -> None:
        self._storage, self._driver = storage, driver
        self._to_repair: dict[str, tuple[Finding, ...]] = {}
        self._checked_at: datetime | None = None

    @property
    def to_repair(self) -> tuple[Finding, ...]:
        """What needs people, as this process knows it; after a start it is found again within 5 minutes."""
        return tuple(finding for found in self._to_repair.values() for finding in found)

    async def due(self) -> int:
        """Drive on whatever is past its deadline; returns how many charges and refunds there were.

        One that can't be driven on holds up no other, and is looked at again later (`ticketkit.domain.payments.pause`).

        Raises:
            Unavailable, OutcomeUnknown: The storage can't be reached.
        """
        charges = [one for one in await self._storage.due_charges(BATCH) if not self._driver.drives(one.id)]
        refunds = [one for one in await self._storage.due_refunds(BATCH) if not self._driver.drives(one.id)]
        limiter = anyio.CapacityLimiter(AT_ONCE)
        away: list[Exception] = []

        async def one(work: Callable[[], Awaitable[None]]) -> None:
            async with limiter:
                try:
                    await work()
                except (Unavailable, OutcomeUnknown) as error:
                    away.append(error)

        async with anyio.create_task_group() as group:
            for charge in charges:
                group.start_soon(one, partial(self._charge, charge))
            for refund in refunds:
                group.start_soon(one, partial(self._refund, refund))
        if away:
            raise away[0]
        await self._check()
        return len(charges) + len(refunds)

    async def record(self, charge_id: str) -> Record:
        """What is on record of a charge, its refunds and its order.

        Raises:
            NotFound: There is no such charge.
        """
        charge = (await self._storage.get([Charge.key(charge_id)])).get(Charge.key(charge_id))
        if not isinstance(charge, Charge):
            msg = f"There is no charge {charge_id}."
            raise NotFound(msg, code="charge_not_found", charge_id=charge_id)
        keys = [OrderCopy.key(charge.order_id), *(Refund.key(id) for id in charge.refund_ids)]
        found = await self._storage.get(keys)
        copy = found.get(keys[0])
        refunds = tuple(one for key in keys[1:] if isinstance(one := found.get(key), Refund))
        return Record(charge=charge, refunds=refunds, copy=copy if isinstance(copy, OrderCopy) else None)

    async def tried(self, id: str, work: Awaitable[TicketkitError | None]) -> Exception | None:
        """Drive on a charge or refund, and return what stopped it; an unexpected error is logged once.

        Raises:
            Unavailable, OutcomeUnknown: The storage can't be reached.
        """
        try:
            return await work
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception as error:  # the loop of a runner: one that can't be driven on holds up no other
            known = any(finding.trouble is Trouble.FAILING for finding in self._to_repair.get(id, ()))
            log.log(logging.DEBUG if known else logging.ERROR, "%s could not be driven on", id, exc_info=error)
            return error

    async def _charge(self, charge: Charge) -> None:
        stopped = await self.tried(charge.id, self._driver.drive(charge))
        record = await self.record(charge.id)
        now = await self._storage.now()
        if record.charge.due_at is not None and record.charge.due_at <= now:
            await self._driver.later(record.charge)
        found = unfinished(record, now=now)
        if found and stopped is not None:
            found = (*found, stopping(record, stopped))
        self._remember(charge.id, found, age=now - charge.created_at)

    async def _refund(self, refund: Refund) -> None:
        stopped = await self.tried(refund.id, self._driver.drive_refund(refund.id))
        record = await self.record(refund.charge_id)
        newest = next((one for one in record.open_refunds if one.id == refund.id), None)
        now = await self._storage.now()
        if newest is None:
            self._to_repair.pop(refund.id, None)
            return
        await self._driver.refund_later(newest)
        found = () if stopped is None else (stopping(record, stopped, refund=newest),)
        self._remember(refund.id, found, age=now - refund.created_at)

    def _remember(self, id: str, found: tuple[Finding, ...], *, age: timedelta) -> None:
        """Keep what needs people, and say it once."""
        grave = tuple(one for one in found if one.needs is Needs.PEOPLE and _lasts(one, age))
        known = {finding.trouble for finding in self._to_repair.get(id, ())}
        for finding in grave:
            if finding.trouble not in known:
                tell(finding)
        if not grave:
            self._to_repair.pop(id, None)
        elif id in self._to_repair or len(self._to_repair) < MOST_KEPT:
            self._to_repair[id] = grave

    async def _check(self) -> None:
        """Forget what another process, or people, have ended."""
        if not self._to_repair:
            return
        now = await self._storage.now()
        if self._checked_at is not None and now - self._checked_at < CHECK_EVERY:
            return
        self._checked_at = now
        about = {id: found[0].charge_id for id, found in self._to_repair.items()}
        charges = await self._storage.get({Charge.key(id) for id in about.values() if id is not None})
        over = {key.id for key, charge in charges.items() if isinstance(charge, Charge) and settled(charge)}
        for id, charge_id in about.items():
            if charge_id in over:
                self._to_repair.pop(id, None)


def stopping(record: Record, stopped: Exception, *, refund: Refund | None = None) -> Finding:
    """What stopped the driver, as a finding."""
    match stopped:
        case VoidRefused():
            return record.finding(Trouble.VOID_REFUSED, str(stopped))
        case OtherProvider():
            return record.finding(Trouble.OTHER_PROVIDER, str(stopped), refund=refund)
        case Unavailable() | OutcomeUnknown():
            return record.finding(Trouble.PROVIDER_AWAY, str(stopped), refund=refund)
    return record.finding(Trouble.FAILING, f"{type(stopped).__name__}: {stopped}", refund=refund)


def tell(finding: Finding) -> None:
    """Say in the log that people must look."""
    log.critical(
        "%s: %s People must look (%s): %s",
        finding.about,
        finding.what,
        finding.trouble.value,
        finding.repair,
        extra={
            "trouble": finding.trouble.value,
            "charge_id": finding.charge_id,
            "refund_id": finding.refund_id,
            "reference": finding.reference,
        },
    )


def _lasts(finding: Finding, age: timedelta) -> bool:
    return finding.trouble is not Trouble.PROVIDER_AWAY or age > PROVIDER_PATIENCE
