"""A payment provider that moves no money, but keeps books as one that does."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import anyio
import anyio.lowlevel

from ticketkit.backends.errors import Refused
from ticketkit.backends.payments import Done, Notice, Outcome, ProviderCharge, ProviderStatus, Receive
from ticketkit.backends.spec import Capability
from ticketkit.domain.entities import RefundStatus
from ticketkit.ids import new_id
from ticketkit.memory import _payment_rules as rules
from ticketkit.memory import _webhooks
from ticketkit.memory._payment_rules import Step
from ticketkit.memory.books import Bookkeeping, Books, Entry, Request
from ticketkit.memory.faults import Faults, Operation, WebhookMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from ticketkit.backends.clock import Clock
    from ticketkit.domain.money import Money

DEVELOPMENT_SECRET: Final = "whsec_ticketkit_development"  # noqa: S105 it guards play money


class FakePayments:
    """The payment provider protocol with Stripe's test tokens.

    | token | what happens |
    |---|---|
    | `tok_visa` | authorized |
    | `tok_chargeDeclined`, `tok_chargeDeclinedInsufficientFunds`, ... | declined, with Stripe's code |
    | `tok_threeDSecure` | the buyer has to act: `confirm_action` |
    | `tok_pending` | not decided yet: `resolve` |
    | `tok_taken` | the money is taken at once, not held |
    | `tok_taken_threeDSecure`, `tok_taken_pending` | the same, when the buyer has acted or the bank has decided |
    | none | as with the provider's own form: `confirm_action` |
    | any other | declined with `invalid_token` |

    Webhooks are sent while its context is entered, to whoever `deliver_to` named.

    Args:
        clock: For slowness, late webhooks and their signed time.
        new_id: For the provider's ids.
        journal: A file for the books, so that they outlive the process; one process writes to it.
        secret: Signs webhooks.

    Attributes:
        faults: What is to go wrong.
    """

    name: str = "fake"

    def __init__(
        self,
        clock: Clock,
        new_id: Callable[[], str] = new_id,
        *,
        journal: Path | str | None = None,
        secret: str = DEVELOPMENT_SECRET,
    ) -> None:
        self.capabilities = frozenset({Capability.SIGNED_TIME} | ({Capability.DURABLE} if journal else set()))
        self._receive: Receive | None = None
        self.faults = Faults()
        self._clock = clock
        self._new_id = new_id
        self._secret = secret
        self._books = Bookkeeping(Path(journal) if journal else None)
        self._deliveries: TaskGroup | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to send webhooks."""
        self._deliveries = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """End; webhooks that were not sent yet never come."""
        if self._deliveries is not None:
            self._deliveries.cancel_scope.cancel()
            self._deliveries = None
        return await self._stack.__aexit__(type, error, traceback)

    def deliver_to(self, receive: Receive) -> None:
        self._receive = receive

    async def prepare(self, *, charge_id: str, order_id: str, amount: Money, key: str) -> Outcome:
        def step() -> Step:
            code = self.faults.refusal(Operation.PREPARE) or ("amount_too_small" if amount.minor <= 0 else None)
            if code is not None:
                return Step(rules.declined(code))
            reference = f"fake_{self._new_id()}"
            charge = ProviderCharge(
                reference=reference, charge_id=charge_id, status=ProviderStatus.PREPARED, amount=amount
            )
            return Step(Done(reference), charge)

        return await self._call(Operation.PREPARE, key, [charge_id, order_id, amount.minor, amount.currency], step)

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return rules.authorize(charge, token)

        return await self._change(Operation.AUTHORIZE, key, reference, [token], step)

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            return rules.capture(charge, amount)

        return await self._change(Operation.CAPTURE, key, reference, [amount.minor, amount.currency], step)

    async def void(self, reference: str, *, key: str) -> Outcome:
        return await self._change(Operation.VOID, key, reference, [], rules.void)

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        def step(charge: ProviderCharge) -> Step:
            reference, pending = f"fake_re_{self._new_id()}", self.faults.delays_refund()
            return rules.refund(charge, amount, refund_id=refund_id, reference=reference, pending=pending)

        parameters: Request = [refund_id, amount.minor, amount.currency]
        return await self._change(Operation.REFUND, key, reference, parameters, step)

    async def retrieve(self, reference: str) -> ProviderCharge | None:
        await self.faults.before(self._clock)
        self.faults.after(Operation.RETRIEVE)
        return self._books.charges.get(reference)

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        return [_webhooks.verify(headers, body, secret=self._secret, now=self._clock.now())]

    async def confirm_action(self, reference: str, *, approved: bool = True) -> Outcome:
        """Do what the buyer does in the provider's form: approve the payment, or refuse.

        Returns:
            Where the authorization is; unchanged when it does not wait for the buyer.
        """
        return await self._settled(reference, authorized=approved, code="authentication_failed")

    async def resolve(self, reference: str, *, authorized: bool = True, code: str = "card_declined") -> Outcome:
        """Do what the bank does with a pending payment: authorize it, or decline it with a code."""
        return await self._settled(reference, authorized=authorized, code=code)

    async def revive(self, reference: str, *, token: str = "tok_visa") -> Outcome:  # noqa: S107 a public test token
        """Do what a buyer's browser can do with a declined payment that is not voided: try again with another token.

        As at Stripe, where a declined PaymentIntent waits for another payment method until it is canceled
        (docs.stripe.com/payments/paymentintents/lifecycle).
        """
        charge = await self._found(reference)
        return self._enter(None, ["revive", reference, token], rules.revive(charge, token)).outcome

    async def resolve_refund(self, refund_id: str, *, done: bool = True, code: str = "refund_failed") -> Outcome:
        """Do what the bank does with a pending refund: give the money back, or fail for good.

        The call that asked for the refund is answered with this from now on, when it is repeated with its key.
        """
        await anyio.lowlevel.checkpoint()
        for entry in self._books.answers.values():
            given = entry.refund
            if given is not None and given.refund_id == refund_id:
                if given.status is not RefundStatus.CREATED:
                    return entry.outcome
                step = rules.end_refund(self._books.charges[given.payment], given, done=done, code=code)
                return self._enter(entry.key, entry.request, step).outcome
        msg = f"There is no refund {refund_id}."
        raise LookupError(msg)

    def books(self) -> Books:
        """All payments and refunds."""
        return self._books.snapshot()

    async def _settled(self, reference: str, *, authorized: bool, code: str) -> Outcome:
        charge = await self._found(reference)
        step = rules.settle(charge, authorized=authorized, code=code, takes=reference in self._books.takers)
        return self._enter(None, ["settle", reference], step).outcome

    async def _found(self, reference: str) -> ProviderCharge:
        await anyio.lowlevel.checkpoint()
        charge = self._books.charges.get(reference)
        if charge is None:
            msg = f"There is no payment {reference}."
            raise LookupError(msg)
        return charge

    async def _change(
        self,
        operation: Operation,
        key: str,
        reference: str,
        parameters: Request,
        rule: Callable[[ProviderCharge], Step],
    ) -> Outcome:
        def step() -> Step:
            charge = self._books.charges.get(reference)
            if charge is None:
                return Step(rules.declined("no_such_payment"))
            if code := self.faults.refusal(operation):
                return rules.refuse(charge, code)
            return rule(charge)

        return await self._call(operation, key, [reference, *parameters], step)

    async def _call(self, operation: Operation, key: str, parameters: Request, step: Callable[[], Step]) -> Outcome:
        await self.faults.before(self._clock)
        request: Request = [operation.value, *parameters]
        # From here to the entry nobody else runs: two calls with one key have one effect.
        entry = self._books.answers.get(key)
        if entry is None:
            entry = self._enter(key, request, step())
        elif entry.request != request:
            msg = "This idempotency key was used with other parameters."
            raise Refused(msg)
        self.faults.after(operation)
        return entry.outcome

    def _enter(self, key: str | None, request: Request, step: Step) -> Entry:
        at = self._clock.now().isoformat()
        outcome, charge, refund, takes = step
        entry = Entry(at=at, key=key, request=request, outcome=outcome, charge=charge, refund=refund, takes=takes)
        self._books.write(entry)
        if charge is not None and charge.status is not ProviderStatus.PREPARED:
            what = f"refund.{refund.status.value}" if refund else f"payment.{charge.status.value}"
            self._notify(charge, what)
        return entry

    def _notify(self, charge: ProviderCharge, what: str) -> None:
        plan = self.faults.plan
        if self._deliveries is None or self._receive is None or plan.mode is WebhookMode.NEVER:
            return
        notice = {
            "id": f"fake_evt_{self._new_id()}",
            "what": what,
            "reference": charge.reference,
            "charge_id": charge.charge_id,
        }
        for _ in range(2 if plan.mode is WebhookMode.TWICE else 1):
            _webhooks.start(
                self._deliveries,
                json.dumps(notice).encode(),
                self._receive,
                secret=self._secret,
                clock=self._clock,
                late=plan.seconds if plan.mode is WebhookMode.LATE else 0,
            )
