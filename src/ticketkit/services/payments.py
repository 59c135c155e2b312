"""payments: takes money for orders, once, and gives it back.

Each provider call stands between two commits, and never inside one. Whoever finds a charge unfinished (the request
that began it, the handler of an order's event, the reconciler) drives it on from what was committed; the provider's
idempotency keys make it harmless when two do.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.payments import Paced
from ticketkit.domain import payments, refunds
from ticketkit.domain.decision import Keys
from ticketkit.domain.entities import (
    CancelReason,
    Charge,
    ChargeStatus,
    OrderCopy,
    OrderStatus,
    Refund,
    RefundStatus,
)
from ticketkit.domain.errors import NotFound
from ticketkit.domain.money import Money
from ticketkit.domain.payments import OrderNews
from ticketkit.domain.policy import OnDecline
from ticketkit.events.catalogue import OrderState
from ticketkit.services.correlation import asked_by, correlated
from ticketkit.services.progress import TooManyWaiting
from ticketkit.services.reconciliation import Reconciler
from ticketkit.services.walking import Walk
from ticketkit.services.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from ticketkit.backends.payments import PaymentProvider
    from ticketkit.backends.storage import Storage
    from ticketkit.events.envelope import Event
    from ticketkit.services.commands import Commands
    from ticketkit.services.comparison import Finding
    from ticketkit.services.driver import Driver
    from ticketkit.services.progress import Progress

CONSUMER: Final = "payments"
COPY_PATIENCE: Final = 2.0
"""Seconds that a payment waits for the copy of its order."""
ORDER_PATIENCE: Final = 1.0
"""Seconds that a completed payment waits for its order to be completed, too."""
SETTLE_PATIENCE: Final = 10.0
"""Seconds that a payment waits for its charge to be decided; then it is answered as undecided."""
CALLS: Final = 3
"""Calls of the provider in a payment: prepare, authorize, capture."""
NO_WAIT: Final = 1.0
"""Seconds of waiting for the provider that are not worth a look at the order."""


class PaymentsBusy(Unavailable):
    """The payment provider has so much to do that the order would expire first; nothing was begun."""


class Payments:
    """Begins charges, keeps copies of orders, takes webhooks, reconciles.

    Args:
        storage: Of the payments boundary.
        commands: Makes commands.
        provider: Moves the money.
        driver: Drives charges and refunds on.
        progress: Wakes waiting requests.
    """

    def __init__(
        self, storage: Storage, commands: Commands, *, provider: PaymentProvider, driver: Driver, progress: Progress
    ) -> None:
        self._storage, self._commands = storage, commands
        self.provider, self._driver, self._progress = provider, driver, progress
        self._webhooks = Webhooks(storage, commands, provider=provider, driver=driver)
        self._reconciler = Reconciler(storage, driver=driver)

    async def pay(
        self, buyer_id: str, order_id: str, *, token: str | None = None, command_key: str | None = None
    ) -> Charge:
        """Begin a charge for an order and drive it until it is decided, for at most 10 s.

        Args:
            buyer_id: Whose order it is.
            order_id: The order.
            token: What the provider's form gave; None where that form confirms by itself.
            command_key: The same key is one charge; after a failed charge it begins another.

        Returns:
            The charge: `completed`, `failed`, `requires_action`, or still open.

        Raises:
            NotFound: There is no such order of this buyer (its copy did not come within 2 s).
            OrderClosed: It is cancelled, expired or paid.
            Conflict: Another charge for it is open.
            PaymentsBusy: The provider has so much to do that the order would expire first; nothing was begun.
        """
        await self._check_pace(order_id)
        try:
            charge = await self._begin(buyer_id, order_id, token, command_key)
        except NotFound:
            if not await self._wait_for_copy(order_id):
                raise
            await self._check_pace(order_id)
            charge = await self._begin(buyer_id, order_id, token, command_key)
        return await self._settled(charge)

    async def get(self, user_id: str, charge_id: str, *, operator: bool = False) -> tuple[Charge, tuple[Refund, ...]]:
        """A charge with its refunds, for its buyer, the seller of all its tickets, or an operator.

        Only the buyer gets its token and the action that waits for them.

        Raises:
            NotFound: There is no such charge, or it is none of the user's business.
        """
        charge = (await self._storage.get([Charge.key(charge_id)])).get(Charge.key(charge_id))
        if isinstance(charge, Charge):
            if charge.buyer_id == user_id:
                return charge, await self.refunds(charge)
            if operator or refunds.sold_all(await self.copy(charge.order_id), user_id):
                return _for_others(charge), await self.refunds(charge)
        msg = f"There is no charge {charge_id}."
        raise NotFound(msg, code="charge_not_found", charge_id=charge_id)

    async def of_order(
        self, user_id: str, order_id: str, *, operator: bool = False
    ) -> tuple[tuple[Charge, tuple[Refund, ...]], ...]:
        """All charges of an order with their refunds, oldest first, for whom `get` shows them.

            for charge, refunds in await market.payments.of_order("sam", ticket.order_id):
                ...

        Raises:
            NotFound: Payments knows no such order (it hears of one within milliseconds), or it is none of the user's
                business.
        """
        copy = await self.copy(order_id)
        own = copy is not None and copy.buyer_id == user_id
        if copy is None or not (own or operator or refunds.sold_all(copy, user_id)):
            msg = f"There is no order {order_id}."
            raise NotFound(msg, code="order_not_found", order_id=order_id)
        found = await self._storage.get(Charge.key(id) for id in copy.charges)
        charges = [charge for id in copy.charges if isinstance(charge := found.get(Charge.key(id)), Charge)]
        return tuple([(one if own else _for_others(one), await self.refunds(one)) for one in charges])

    async def copy(self, order_id: str) -> OrderCopy | None:
        """What payments knows of an order."""
        found = (await self._storage.get([OrderCopy.key(order_id)])).get(OrderCopy.key(order_id))
        return found if isinstance(found, OrderCopy) else None

    async def refunds(self, charge: Charge) -> tuple[Refund, ...]:
        """The refunds of a charge, oldest first."""
        if not charge.refund_ids:
            return ()
        found = await self._storage.get(Refund.key(id) for id in charge.refund_ids)
        return tuple(r for id in charge.refund_ids if isinstance(r := found.get(Refund.key(id)), Refund))

    async def refund(
        self,
        charge_id: str,
        *,
        actor: str | None,
        seller_id: str | None = None,
        amount: Money | Decimal | None = None,
        reason: str = "",
        command_key: str | None = None,
    ) -> Refund:
        """Give a completed charge back, all that is left or part, and wait until that is decided, for at most 10 s.

            refund = await market.payments.refund(charge.id, actor="sam", seller_id="sam", amount=Decimal("9.99"))

        The refunds of a charge, completed and under way, never exceed it, however many are asked for at once. When all
        of it is given back, its tickets are for sale again, or stay sold, by the policy of its order (`on_refund`).

        Args:
            charge_id: Of what.
            actor: Who asks; part of the scope of `command_key`.
            seller_id: The same, unless it is an operator: they have to be the seller of all its tickets.
            amount: Money, or a number of major units of the charge's currency; None for all that is left.
            reason: For people: the buyer, and your own.
            command_key: The same key is one refund; after a failed refund it begins another.

        Returns:
            The refund: `completed`, `failed` with the provider's code, or still `created`: then it is carried out when
            the provider answers.

        Raises:
            NotFound: There is no such charge, or the seller has nothing to do with it.
            Forbidden: Tickets of other sellers are in the order too, or the buyer asks.
            ChargeClosed: It is not completed.
            InvalidMoney: Another currency, more digits than it has, or nothing.
            Conflict: More than is left.
        """
        request = [charge_id, None if amount is None else str(amount), reason]
        attempt = 0
        while True:
            command = self._commands.ask(
                f"payments.refund#{attempt}", actor=actor, key=command_key, request=request, fresh=1
            )
            answer = await self._storage.decide(
                Keys.of(Charge.key(charge_id)),
                lambda state, command=command: refunds.begin(  # type: ignore[misc]
                    state, command, charge_id=charge_id, seller_id=seller_id, amount=amount, reason=reason
                ),
                command,
            )
            refund = answer.one(Refund)
            if answer.replayed and (await self._refund(refund)).status is RefundStatus.FAILED:
                attempt += 1  # a refusal is decided anew: another refund
                continue
            with correlated(asked_by(command)):
                self._driver.begin_refund(refund.id)
            return await self._ended(refund)

    async def handle_order(self, event: Event[OrderState]) -> None:
        """React to `order.*`: keep the newest copy; give up or capture its open charge; refund what became void."""
        data = event.data
        news = OrderNews(
            id=data.id,
            buyer_id=data.user_id,
            status=OrderStatus(data.status),
            reason=CancelReason(data.reason) if data.reason else None,
            total=Money(data.total.minor, data.total.currency),
            expires_at=data.expires_at,
            charge_id=data.charge_id,
            version=data.version,
            sellers=tuple(dict.fromkeys(line.seller_id for line in data.lines if line.seller_id)),
            on_decline=OnDecline(data.on_decline),
            released=data.released,
        )
        command = self._commands.handle(CONSUMER, event.envelope, fresh=1)
        answer = await self._storage.decide(
            Keys.of(OrderCopy.key(data.id)), lambda state: refunds.order_heard(state, command, news), command
        )
        for refund in answer.every(Refund):
            self._driver.begin_refund(refund.id)
        for copy in answer.every(OrderCopy):
            self._progress.tell(copy.id, copy)
            for charge in answer.every(Charge):
                self._progress.tell(charge.id, charge)
                self._driver.begin(charge, copy)

    async def receive_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify and store a webhook; it is applied later, so that nothing is lost once it is answered.

        Returns:
            How many notices in it were new.

        Raises:
            BadWebhook: It can't be trusted.
        """
        return await self._webhooks.receive(headers, body)

    @property
    def busy(self) -> bool:
        """Whether a charge or refund is being driven right now."""
        return self._driver.busy

    async def run(self) -> None:
        """Drive charges and refunds that were begun, until cancelled."""
        await self._driver.run()

    def close(self) -> None:
        """Take no more."""
        self._driver.close()

    async def reconcile(self) -> int:
        """Apply webhooks, and drive on whatever is past its deadline; returns how much there was to do."""
        return await self._webhooks.apply() + await self._reconciler.due()

    def walk(
        self,
        *,
        dry_run: bool = False,
        every: bool = False,
        adopt: bool = False,
        pace: float | None = None,
        on_look: Callable[[int, int], None] = lambda _done, _of: None,
    ) -> Walk:
        """A walk over all charges, which holds each against the provider's books; see `ticketkit.services.walking`.

        report = await market.payments.walk(dry_run=True, every=True).run()
        """
        return Walk(
            self._storage,
            reconciler=self._reconciler,
            driver=self._driver,
            webhooks=self._webhooks,
            dry_run=dry_run,
            every=every,
            adopt=adopt,
            pace=pace,
            on_look=on_look,
        )

    @property
    def to_repair(self) -> tuple[Finding, ...]:
        """What needs people, as the reconciler of this process knows it."""
        return self._reconciler.to_repair

    async def nudged(self) -> None:
        """Wait until there may be something to reconcile."""
        await self._driver.nudged()

    async def _check_pace(self, order_id: str) -> None:
        if not isinstance(self.provider, Paced) or (wait := self.provider.wait_for(CALLS)) < NO_WAIT:
            return
        copy = await self.copy(order_id)
        if copy is not None and (await self._storage.now()) + timedelta(seconds=wait) >= copy.expires_at:
            msg = "The payment provider takes no more calls before the order expires."
            raise PaymentsBusy(msg, retry_after=wait)

    async def _wait_for_copy(self, order_id: str) -> bool:
        """Whether the copy of the order came in time; False at once when too many wait."""

        async def look(told: object) -> bool | None:
            return True if told is not None or await self.copy(order_id) is not None else None

        try:
            return bool(await self._progress.until(order_id, look, seconds=COPY_PATIENCE))
        except TooManyWaiting:
            return False

    async def _begin(self, buyer_id: str, order_id: str, token: str | None, command_key: str | None) -> Charge:
        attempt = 0
        while True:
            command = self._commands.ask(
                f"payments.pay#{attempt}", actor=buyer_id, key=command_key, request=[order_id, token], fresh=1
            )
            answer = await self._storage.decide(
                Keys.of(OrderCopy.key(order_id)),
                lambda state, command=command: payments.begin(  # type: ignore[misc]
                    state, command, order_id=order_id, buyer_id=buyer_id, provider=self.provider.name, token=token
                ),
                command,
            )
            charge = answer.one(Charge)
            if not answer.replayed:
                with correlated(asked_by(command)):
                    self._driver.begin(charge, answer.one(OrderCopy))
                return charge
            newest = await self._newest(charge)
            if newest.status is not ChargeStatus.FAILED:
                return newest
            attempt += 1  # a refusal is decided anew: another charge

    async def _settled(self, charge: Charge) -> Charge:
        async def look(told: object) -> Charge | None:
            newest = told if isinstance(told, Charge) else await self._newest(charge)
            ended = newest.status.final or newest.status is ChargeStatus.REQUIRES_ACTION
            return newest if ended else None

        async def order_knows(told: object) -> bool | None:
            copy = told if isinstance(told, OrderCopy) else await self.copy(charge.order_id)
            return True if copy is not None and copy.status.final else None

        if (ended := charge.status.final) and charge.status is not ChargeStatus.COMPLETED:
            return charge
        try:
            found = await self._progress.until(charge.id, look, seconds=SETTLE_PATIENCE, at_once=ended)
            if found is not None and found.status is ChargeStatus.COMPLETED:
                # So that who was told "paid" and looks at the order sees it completed.
                await self._progress.until(charge.order_id, order_knows, seconds=ORDER_PATIENCE)
        except TooManyWaiting:
            found = None
        return found or await self._newest(charge)

    async def _newest(self, charge: Charge) -> Charge:
        found = (await self._storage.get([Charge.key(charge.id)])).get(Charge.key(charge.id))
        return found if isinstance(found, Charge) else charge

    async def _ended(self, refund: Refund) -> Refund:
        """A refund when it is decided, or as it is after a while."""

        async def look(_: object) -> Refund | None:
            newest = await self._refund(refund)
            return None if newest.status is RefundStatus.CREATED else newest

        try:
            return await self._progress.until(refund.id, look, seconds=SETTLE_PATIENCE) or refund
        except TooManyWaiting:
            return refund

    async def _refund(self, refund: Refund) -> Refund:
        found = (await self._storage.get([Refund.key(refund.id)])).get(Refund.key(refund.id))
        return found if isinstance(found, Refund) else refund


def _for_others(charge: Charge) -> Charge:
    """A charge without what is for its buyer alone."""
    return replace(charge, token=None, action=None)
