"""The state of the account: everything that exists, and every movement of money."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

from ticketkit_stripe.simulator.methods import Behaviour, Method
from ticketkit_stripe.simulator.objects import Charge, Event, Intent, Refund
from ticketkit_stripe.simulator.refusals import missing

_LETTERS: Final = string.ascii_letters + string.digits
_Thing = TypeVar("_Thing", Intent, Charge, Refund, Event, Method)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that something happens by; of none when the buyer, the bank or time does it."""

    id: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that moved.

    Attributes:
        kind: `hold` and `release` on the buyer's card; `capture` takes the money, `refund` gives it back, `return` is
            a refund that the bank sent back.
    """

    kind: str
    intent: str
    amount: int
    at: int


@dataclass(slots=True, kw_only=True)
class Books:
    """One account.

    Args:
        now: Unix seconds.
        random: Makes the ids.
        api_version: Of events.
        site: Where the pages of the simulator's bank are, for `next_action`.

    Attributes:
        asked: The request that is being answered.
        fresh: Events that nobody has taken to deliver yet.
    """

    now: Callable[[], float]
    random: Random
    api_version: str
    site: str = ""
    intents: dict[str, Intent] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    asked: Asked = Asked()
    fresh: list[Event] = field(default_factory=list)

    def at(self) -> int:
        """The time, in whole seconds as Stripe has it."""
        return int(self.now())

    def new_id(self, prefix: str, length: int = 24) -> str:
        """An id that nothing has."""
        return f"{prefix}_" + "".join(self.random.choices(_LETTERS, k=length))

    def happened(self, type: str, thing: Intent | Charge | Refund) -> None:
        """Write down an event, with the object as it is now."""
        self.record(type, thing.shown())

    def record(self, type: str, object: dict[str, Any]) -> Event:  # noqa: A002 - Stripe's name
        """Write down an event of any kind."""
        event = Event(
            id=self.new_id("evt"),
            type=type,
            created=self.at(),
            object=object,
            api_version=self.api_version,
            request={"id": self.asked.id, "idempotency_key": self.asked.key},
        )
        self.events[event.id] = event
        self.fresh.append(event)
        return event

    def take_fresh(self) -> list[Event]:
        """The events since the last time."""
        fresh, self.fresh = self.fresh, []
        return fresh

    def move(self, kind: str, intent: str, amount: int) -> str:
        """Write down a movement.

        Returns:
            Id of its balance transaction.
        """
        self.movements.append(Movement(kind, intent, amount, self.at()))
        return self.new_id("txn")

    def method(self, name: str, behaviour: Behaviour) -> Method:
        """A new payment method."""
        method = Method(self.new_id("pm"), name, behaviour, self.at())
        self.methods[method.id] = method
        return method

    def intent(self, id: str, *, param: str | None = None) -> Intent:
        """The intent of that id.

        Raises:
            Refusal: There is none.
        """
        return _found(self.intents, "payment_intent", id, param)

    def charge(self, id: str, *, param: str | None = None) -> Charge:
        """The charge of that id.

        Raises:
            Refusal: There is none.
        """
        return _found(self.charges, "charge", id, param)

    def refund(self, id: str) -> Refund:
        """The refund of that id.

        Raises:
            Refusal: There is none.
        """
        return _found(self.refunds, "refund", id, None)

    def event(self, id: str) -> Event:
        """The event of that id.

        Raises:
            Refusal: There is none.
        """
        return _found(self.events, "event", id, None)

    def known_method(self, id: str) -> Method:
        """The payment method of that id.

        Raises:
            Refusal: There is none.
        """
        return _found(self.methods, "payment_method", id, None)

    def look_up(self, id: str) -> dict[str, Any] | None:
        """The object of that id, of whatever kind, for `expand`."""
        for things in (self.intents, self.charges, self.refunds, self.methods):
            if id in things:
                return things[id].shown()
        return None


def _found(things: dict[str, _Thing], kind: str, id: str, param: str | None) -> _Thing:
    if id not in things:
        raise missing(kind, id, param=param)
    return things[id]
