"""Stripe as ticketkit's payment provider: PaymentIntents whose money is held first, and taken later.

What Stripe keeps for an idempotency key is not always the truth: a failure (5xx) is kept as well, and so is a refusal
whose reason is gone. Then its books are read, and tell; where they say that nothing happened, the call is made with
another key, the same for everybody for a while (`key~number of the half minute`): a key that is spent by an outage
holds nothing up for longer than that. It can't do anything twice: a PaymentIntent takes each step once, whatever key
asks for it; a refund is looked for by its metadata first; and a PaymentIntent that was prepared twice moves no money,
for nobody else has its reference.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import OutcomeUnknown, Refused
from ticketkit.backends.payments import Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.backends.spec import Capability
from ticketkit_stripe import reading, requests
from ticketkit_stripe.amounts import NotExpressible, money, to_stripe
from ticketkit_stripe.calls import KeptFailure, Rejected, calling
from ticketkit_stripe.settings import Settings
from ticketkit_stripe.webhooks import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from stripe import StripeClient
    from stripe.params import PaymentIntentRetrieveParams, RefundListParams

    from ticketkit.backends.clock import Clock
    from ticketkit.backends.payments import Notice
    from ticketkit.backends.spec import Context
    from ticketkit.domain.money import Money
    from ticketkit_stripe.calls import Calls

CAPABILITIES: Final = frozenset({Capability.DURABLE, Capability.MULTI_PROCESS, Capability.SIGNED_TIME})
SPELL: Final = 30
"""Seconds for which a call whose key is spent has the same second key."""
REFUND_SPELL: Final = 300
"""The same of a refund."""
SETTLED: Final = 90
"""Seconds that a refund at which Stripe failed has to appear before it is made anew: as long as any call may take."""
REMEMBERED: Final = 10_000
"""Of how many payments the amount is remembered, so that a capture need not ask for it."""
PAGE: Final = 100

_REFERENCE: Final = re.compile(r"pi_[A-Za-z0-9_]{1,250}")
_UNEXPECTED: Final = "payment_intent_unexpected_state"
_NO_SUCH_PAYMENT: Final = Declined("no_such_payment", "Stripe has no such payment.")
_NO_SUCH_TOKEN: Final = Declined("invalid_token", "This is no token of Stripe's form.")

log = logging.getLogger(__name__)


class StripePayments:
    """The payment provider protocol on Stripe. Opened by `open_payments`.

    Args:
        client: Of Stripe's library.
        calls: Makes calls.
        settings: From the URL.
        clock: For the time of webhooks.
    """

    name: str = "stripe"
    capabilities: frozenset[Capability] = CAPABILITIES

    def __init__(self, client: StripeClient, calls: Calls, settings: Settings, clock: Clock) -> None:
        self._client, self._calls, self._settings, self._clock = client, calls, settings, clock
        self._verifier = Verifier(secrets=settings.webhook_secrets, live=settings.live, account=settings.account)
        self._amounts: OrderedDict[str, Money] = OrderedDict()
        self._doubts: OrderedDict[str, datetime] = OrderedDict()

    async def prepare(self, *, charge_id: str, order_id: str, amount: Money, key: str) -> Outcome:
        try:
            params = requests.preparation(self._settings, charge_id=charge_id, order_id=order_id, amount=amount)
        except NotExpressible as error:
            return Declined(error.code, str(error))

        async def step(key: str) -> Outcome:
            made = await self._calls.write(
                "payment_intents.create",
                lambda: self._client.v1.payment_intents.create_async(params, {"idempotency_key": key}),
                urgent=False,
            )
            self._remember(made)
            return Done(made["id"])

        async def nothing() -> None:
            return None  # an intent that nobody heard of moves no money: another is made

        return await self._through(key, step, nothing)

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        if not _REFERENCE.fullmatch(reference):
            return _NO_SUCH_PAYMENT
        if token is None:
            return await self._form(reference)
        if (params := requests.confirmation(self._settings, token)) is None:
            return _NO_SUCH_TOKEN

        async def step(key: str) -> Outcome | None:
            intent = await self._calls.write(
                "payment_intents.confirm",
                lambda: self._client.v1.payment_intents.confirm_async(reference, params, {"idempotency_key": key}),
            )
            self._remember(intent)
            return reading.standing(intent, self._settings.client)

        async def standing() -> Outcome | None:
            return reading.standing(await self._intent(reference), self._settings.client)

        return await self._through(key, step, standing)

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        if not _REFERENCE.fullmatch(reference):
            return _NO_SUCH_PAYMENT
        try:
            held = await self._amount(reference)
            units = to_stripe(amount)
        except Rejected:
            return _NO_SUCH_PAYMENT
        except NotExpressible as error:
            return Declined(error.code, str(error))
        if amount.currency != held.currency or amount.minor > held.minor:
            return Declined("amount_not_authorized", f"{held} were authorized, not {amount}.")

        async def step(key: str) -> Outcome:
            taken = await self._calls.write(
                "payment_intents.capture",
                lambda: self._client.v1.payment_intents.capture_async(
                    reference, {"amount_to_capture": units}, {"idempotency_key": key}
                ),
            )
            return Done(reference) if reading.status(taken) is ProviderStatus.CAPTURED else Pending()

        async def taken() -> Outcome | None:
            return _taken(await self._intent(reference), amount)

        return await self._through(key, step, taken)

    async def void(self, reference: str, *, key: str) -> Outcome:
        if not _REFERENCE.fullmatch(reference):
            return _NO_SUCH_PAYMENT

        async def step(key: str) -> Outcome:
            await self._calls.write(
                "payment_intents.cancel",
                lambda: self._client.v1.payment_intents.cancel_async(reference, {}, {"idempotency_key": key}),
            )
            return Done(reference)

        async def ended() -> Outcome | None:
            return _ended(await self._intent(reference))

        return await self._through(key, step, ended)

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        if not _REFERENCE.fullmatch(reference):
            return _NO_SUCH_PAYMENT
        try:
            intent = await self._intent(reference)
            params = requests.refund(intent, refund_id, amount)
        except Rejected:
            return _NO_SUCH_PAYMENT
        except NotExpressible as error:
            return Declined(error.code, str(error))

        async def step(key: str) -> Outcome:
            # Stripe keeps a key for a day or so; what is asked for later must not be given back twice.
            if (known := await self._refund(reference, refund_id)) is not None:
                return _same(known, amount)
            if reading.status(intent) is not ProviderStatus.CAPTURED:
                return Declined("not_captured", "Nothing was taken that could be given back.")
            return reading.refund(
                await self._calls.write(
                    "refunds.create",
                    lambda: self._client.v1.refunds.create_async(params, {"idempotency_key": key}),
                )
            )

        async def given() -> Outcome | None:
            known = await self._refund(reference, refund_id)
            return None if known is None else _same(known, amount)

        return await self._through(key, step, given, slow=refund_id)

    async def retrieve(self, reference: str) -> ProviderCharge | None:
        if not _REFERENCE.fullmatch(reference):
            return None
        try:
            intent = await self._intent(reference)
        except Rejected:
            return None
        found = reading.charge(intent, self._settings.client)
        if found.refunded and found.captured < found.amount.minor:
            return reading.with_refunds(found, await self._refunds(reference))
        return found

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return [self._verifier.read(headers, body, self._clock.now())]

    def wait_for(self, calls: int) -> float:
        """Seconds until so many more calls would have had their turn (`Paced`)."""
        return self._calls.budget.wait_for(calls)

    async def _through(
        self,
        key: str,
        step: Callable[[str], Awaitable[Outcome | None]],
        books: Callable[[], Awaitable[Outcome | None]],
        *,
        slow: str | None = None,
    ) -> Outcome:
        """Take a step with a key, or with another where what is kept for the key is not the truth.

        Args:
            step: Calls Stripe with a key; None when the answer says nothing.
            books: What Stripe's books say of the step; None when it was not taken, and can be.
            slow: What is made by the step, where it may come into the books only after a failure was answered.
        """
        for one in (key, f"{key}~{self._spell(slow)}"):
            refusal: Rejected | None = None
            try:
                if (outcome := await step(one)) is not None:
                    return outcome
            except KeptFailure:
                log.warning("Stripe keeps a failure for the key %s: its books are read", one)
            except Rejected as error:
                if error.final:
                    return _declined(error)
                refusal = error
            try:
                outcome = await books()
            except Rejected:
                return _NO_SUCH_PAYMENT
            if outcome is not None:
                return outcome
            if refusal is not None and refusal.code != _UNEXPECTED:
                return _declined(refusal)
            if slow is not None:
                self._check_settled(slow)
        raise OutcomeUnknown(f"Stripe's answers to the key {key} and its books do not agree yet.")

    def _spell(self, slow: str | None) -> int:
        return int(self._clock.now().timestamp()) // (SPELL if slow is None else REFUND_SPELL)

    async def _form(self, reference: str) -> Outcome:
        """The buyer's form confirms by itself: what it needs for that, or how that went."""
        try:
            intent = await self._intent(reference)
        except Rejected:
            return _NO_SUCH_PAYMENT
        return reading.standing(intent, self._settings.client) or reading.form(intent, self._settings.client)

    async def _intent(self, reference: str) -> dict[str, Any]:
        params: PaymentIntentRetrieveParams = {"expand": ["latest_charge"]}
        found = await self._calls.read(
            "payment_intents.retrieve", lambda: self._client.v1.payment_intents.retrieve_async(reference, params)
        )
        self._remember(found)
        return found

    async def _refunds(self, reference: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        params: RefundListParams = {"payment_intent": reference, "limit": PAGE}
        while True:
            list_them = partial(self._client.v1.refunds.list_async, params)
            page = await self._calls.read("refunds.list", list_them)
            found += page["data"]
            if not page.get("has_more") or not page["data"]:
                return found
            params = {"payment_intent": reference, "limit": PAGE, "starting_after": found[-1]["id"]}

    async def _refund(self, reference: str, refund_id: str) -> dict[str, Any] | None:
        found = [one for one in await self._refunds(reference) if reading.refund_id(one) == refund_id]
        return found[0] if found else None

    async def _amount(self, reference: str) -> Money:
        if reference not in self._amounts:
            await self._intent(reference)
        return self._amounts[reference]

    def _remember(self, intent: Mapping[str, Any]) -> None:
        """An intent's amount never changes: nothing here changes it."""
        self._amounts[intent["id"]] = money(intent["amount"], intent["currency"])
        while len(self._amounts) > REMEMBERED:
            self._amounts.popitem(last=False)

    def _check_settled(self, refund_id: str) -> None:
        """Let what Stripe failed at appear first, also where another process asked with the key of the last spell."""
        now = self._clock.now()
        since = self._doubts.setdefault(refund_id, now)
        while len(self._doubts) > REMEMBERED:
            self._doubts.popitem(last=False)
        if (now - since).total_seconds() < SETTLED or now.timestamp() % REFUND_SPELL < SETTLED:
            raise OutcomeUnknown(f"Stripe failed at the refund {refund_id}, and may still make it.")


def _same(known: Mapping[str, Any], amount: Money) -> Outcome:
    if money(known["amount"], known["currency"]) != amount:
        raise Refused("This refund was made already, of another amount.")
    return reading.refund(known)


def _taken(intent: Mapping[str, Any], amount: Money) -> Outcome | None:
    match reading.status(intent):
        case ProviderStatus.CAPTURED:
            taken = reading.captured(intent)
            return Done(intent["id"]) if taken == amount else Declined("already_captured", f"{taken} were taken.")
        case ProviderStatus.AUTHORIZED:
            return None
        case ProviderStatus.VOID:
            return reading.VOIDED
        case ProviderStatus.DECLINED:
            return reading.failed(intent["last_payment_error"])
    return Declined("not_authorized", "The money is not held.")


def _ended(intent: Mapping[str, Any]) -> Outcome | None:
    match reading.status(intent):
        case ProviderStatus.VOID:
            return Done(intent["id"])
        case ProviderStatus.CAPTURED:
            return Declined("already_captured", "The money was taken: only a refund gives it back.")
        case ProviderStatus.PENDING:
            return Pending()
    return None


def _declined(error: Rejected) -> Declined:
    """A refused call; what is not there is told by words of our own."""
    if error.code != "resource_missing":
        return reading.declined(error)
    return _NO_SUCH_PAYMENT if error.param in (None, "intent", "payment_intent") else _NO_SUCH_TOKEN


@asynccontextmanager
async def open_payments(url: str, context: Context) -> AsyncIterator[StripePayments]:
    """Payments by Stripe; nothing is sent yet.

    Raises:
        Misconfigured: URL or environment are wrong.
    """
    settings = Settings.of(url)
    if not settings.webhook_secrets:
        log.warning(
            "There is no secret to verify Stripe's webhooks with: payments are looked after by the reconciler alone. "
            "Set TICKETKIT_STRIPE_WEBHOOK_SECRET."
        )
    async with calling(settings, context.clock) as (client, calls):
        yield StripePayments(client, calls, settings, context.clock)
