"""The payment provider protocol.

Every call carries an idempotency key, `charge id:operation`: the same key has one effect and one answer, also
concurrently; with other parameters it is `Refused`. A call that fails with `Unavailable` or `OutcomeUnknown` is
repeated with the same key. A payment that the provider never made, and an amount that it can't move, are `Declined`
or `Refused`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from ticketkit.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ticketkit.backends.spec import Capability


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened.

    Attributes:
        reference: The provider's id of the object: of the payment, or of the refund.
        taken: Of `authorize`: the money is not held, but taken already, by a method that can't do otherwise. It can't
            be voided any more; only a refund gives it back.
    """

    reference: str
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """It will not happen: the provider refuses for good.

    Attributes:
        code: The provider's code, such as `insufficient_funds`.
        message: For people.
    """

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The buyer has to act first.

    Attributes:
        action: What the buyer's client needs to go on; `type` says which kind.
    """

    action: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """Not decided yet: a webhook or `retrieve` tells later."""


Outcome: TypeAlias = Done | Declined | ActionRequired | Pending


class ProviderStatus(StrEnum):
    """Where the provider's object is."""

    PREPARED = "prepared"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOID = "void"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCharge:
    """What the provider's books say about one payment.

    Attributes:
        reference: The provider's id.
        charge_id: As given at `prepare`.
        amount: As prepared.
        captured: Minor units taken.
        refunded: Minor units given back.
        code: Why it was declined.
        action: While `requires_action`.
    """

    reference: str
    charge_id: str
    status: ProviderStatus
    amount: Money
    captured: int = 0
    refunded: int = 0
    code: str | None = None
    action: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a verified webhook says: that something happened to a payment. A hint: read the payment again.

    Attributes:
        id: The provider's id of the notice; the same for repeated deliveries.
        what: The provider's word for what happened.
        reference: The payment it is about; None for a kind that is of no interest, which is kept and ignored.
        charge_id: The charge that the payment was prepared for, where the notice says so: it may come before the
            reference is on record.
        body: As received, for the record.
    """

    id: str
    what: str
    reference: str | None
    charge_id: str | None = None
    body: str = field(default="", repr=False)


class PaymentProvider(Protocol):
    """Moves money. All methods may raise `Unavailable` and `OutcomeUnknown`.

    Attributes:
        name: Short and stable; kept with each charge, and part of the webhook's path.
    """

    name: str
    capabilities: frozenset[Capability]

    async def prepare(self, *, charge_id: str, order_id: str, amount: Money, key: str) -> Outcome:
        """Make the provider's object; no money can move yet. `Done.reference` names it from now on."""
        ...

    async def authorize(self, reference: str, *, token: str | None, key: str) -> Outcome:
        """Hold the money, with the token that the buyer's form gave (None: the form confirms by itself).

        After a void it is `Declined`. A method that can only take money at once is `Done` with `taken`.
        """
        ...

    async def capture(self, reference: str, *, amount: Money, key: str) -> Outcome:
        """Take the held money; never more than was authorized. `Done` for what was taken at once."""
        ...

    async def void(self, reference: str, *, key: str) -> Outcome:
        """End the object and let the money go. `Declined` when it is captured: only a refund helps then.

        A declined payment is ended too: nobody can try it again.
        """
        ...

    async def refund(self, reference: str, *, refund_id: str, amount: Money, key: str) -> Outcome:
        """Give captured money back; the sum of refunds never exceeds what was captured.

        `Pending` counts, and is ended by asking again: the key is answered `Pending` until it is `Done` or `Declined`.
        """
        ...

    async def retrieve(self, reference: str) -> ProviderCharge | None:
        """What the provider's books say; None when they have no such object."""
        ...

    def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Notice]:
        """Verify and read a webhook: signature, and time in both directions where `signed_time` is declared.

        Args:
            headers: Names in lower case.
            body: Raw, as received.

        Raises:
            BadWebhook: It can't be trusted, or read.
        """
        ...


Receive: TypeAlias = "Callable[[Mapping[str, str], bytes], Awaitable[object]]"
"""Takes one webhook: headers with names in lower case, and the raw body."""


@runtime_checkable
class InProcessWebhooks(Protocol):
    """A provider inside this process (a fake, a simulator) that hands its webhooks over by a call, not over HTTP."""

    def deliver_to(self, receive: Receive) -> None:
        """Hand webhooks to `receive` from now on; one that raises counts as not delivered."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A provider with a budget of calls a second: a call waits for its turn."""

    def wait_for(self, calls: int) -> float:
        """Seconds until so many more calls would have had their turn, if they were asked for now."""
        ...
