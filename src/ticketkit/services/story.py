"""The story of an order: all that is on record of it, in order of time, and who caused each step.

It is put together from what there is: the outbox keeps published events for two days, entities stay. What is kept
elsewhere and can't be reached is named as missing; a story is never refused for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import Unavailable
from ticketkit.backends.storage import KeptEvent
from ticketkit.domain.entities import (
    Charge,
    Key,
    Kind,
    Order,
    OrderCopy,
    OrderStatus,
    Refund,
    Ticket,
    Webhook,
    key_of,
)
from ticketkit.domain.errors import NotFound
from ticketkit.domain.money import Money
from ticketkit.services.causes import Cause, Causes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ticketkit.backends.bus import Bus, DeadLetter
    from ticketkit.backends.storage import Storage
    from ticketkit.events.envelope import Envelope

MOST_EVENTS: Final = 1_000
"""Events about an order, its payments, or its tickets; the oldest are told."""
MOST_LETTERS: Final = 1_000
"""Dead letters of consumers that are looked through."""


class EntryKind(StrEnum):
    """What an entry was made from."""

    EVENT = "event"
    RECORD = "record"
    """What was made at that time, whose event is not kept any more."""
    WEBHOOK = "webhook"
    DEAD_LETTER = "dead_letter"
    """An event that a consumer could not handle, at the time of the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One step of a story.

    Attributes:
        at: When it was committed or received, UTC.
        what: Name of the event (`order.created`), or what the webhook said.
        about: What it is about.
        says: What became of it, in a few words.
        id: Of the event, webhook or dead letter; empty for a record.
        cause: Who or what caused it; None when that is not known.
        state: Of an event: `waiting`, `published` or `dead`. Of a webhook: its outcome, or `waiting`. Of a dead letter:
            its consumer.
        attempts: Failed tries to publish or handle it.
        error: Of the last failed try.
        data: The body of the event: the public state of what it is about.
    """

    at: datetime
    kind: EntryKind
    what: str
    about: Key
    says: str = ""
    id: str = ""
    cause: Cause | None = None
    state: str | None = None
    attempts: int = 0
    error: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An order, what belongs to it, and how it came to that.

    Attributes:
        order: As it is now.
        tickets: Those of its lines, as they are now.
        charges: Attempts to take money for it, oldest first.
        refunds: Of those charges.
        entries: In order of time.
        open: What is still to happen, a sentence each; empty when all is over.
        missing: What could not be told, and why, a sentence each.
    """

    order: Order
    tickets: tuple[Ticket, ...] = ()
    charges: tuple[Charge, ...] = ()
    refunds: tuple[Refund, ...] = ()
    entries: tuple[Entry, ...] = ()
    open: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """What a story is made of."""

    order: Order
    tickets: list[Ticket] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    events: list[KeptEvent] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def moved(self) -> list[Charge | Refund]:
        """Charges and refunds."""
        return [*self.charges, *self.refunds]


class Teller:
    """Tells the story of an order.

    Args:
        inventory: Storage of orders and tickets.
        payments: Storage of charges and refunds; None where this process has none.
        bus: For the dead letters of consumers; None where this process has none.
    """

    def __init__(self, inventory: Storage, *, payments: Storage | None = None, bus: Bus | None = None) -> None:
        self._inventory, self._payments, self._bus = inventory, payments, bus

    async def tell(self, order_id: str) -> Story:
        """The story of an order, as far as it can be told here.

        Raises:
            NotFound: There is no such order.
            Unavailable: The storage of orders can't be reached.
        """
        order = (await self._inventory.get([Order.key(order_id)])).get(Order.key(order_id))
        if not isinstance(order, Order):
            msg = f"There is no order {order_id}."
            raise NotFound(msg, code="order_not_found", order_id=order_id)
        found = _Found(order)
        await self._look_at_inventory(found)
        await self._look_at_payments(found)
        await self._look_at_bus(found)
        return _story(found)

    async def _look_at_inventory(self, found: _Found) -> None:
        order = found.order
        tickets = await self._inventory.get(Ticket.key(id) for id in order.ticket_ids)
        found.tickets += [one for id in order.ticket_ids if isinstance(one := tickets.get(Ticket.key(id)), Ticket)]
        events = await self._inventory.events_about([order.id], limit=MOST_EVENTS)
        of_tickets = await self._inventory.events_about(order.ticket_ids, since=order.created_at, limit=MOST_EVENTS)
        found.events += events + [kept for kept in of_tickets if _belongs(kept.event, order, events)]
        _note_cut(found, events, "itself")
        _note_cut(found, of_tickets, "its tickets")

    async def _look_at_payments(self, found: _Found) -> None:
        if self._payments is None:
            found.missing.append("Its charges and refunds: they are kept elsewhere, and this process has no access.")
            return
        try:
            await self._look_at_charges(found, self._payments)
        except Unavailable as error:
            found.missing.append(f"Its charges and refunds: {error}")

    async def _look_at_charges(self, found: _Found, payments: Storage) -> None:
        key = OrderCopy.key(found.order.id)
        copy = (await payments.get([key])).get(key)
        if not isinstance(copy, OrderCopy):
            found.missing.append("Its charges, should there be any: payments has not heard of this order.")
            return
        charges = await payments.get(map(Charge.key, copy.charges))
        found.charges += [one for id in copy.charges if isinstance(one := charges.get(Charge.key(id)), Charge)]
        keys = [Refund.key(id) for charge in found.charges for id in charge.refund_ids]
        refunds = await payments.get(keys)
        found.refunds += [one for key in keys if isinstance(one := refunds.get(key), Refund)]
        about = [one.id for one in found.moved]
        events = await payments.events_about(about, limit=MOST_EVENTS)
        found.events += events
        _note_cut(found, events, "its payments")
        references = {charge.reference: charge.provider for charge in found.charges if charge.reference is not None}
        hooks = await payments.webhooks_about(list(references), limit=MOST_EVENTS)
        found.webhooks += [hook for hook in hooks if references.get(hook.reference or "") == hook.provider]

    async def _look_at_bus(self, found: _Found) -> None:
        if self._bus is None:
            found.missing.append("Events that a consumer could not handle: this process has no bus.")
            return
        try:
            letters = await self._bus.dead_letters(MOST_LETTERS)
        except Unavailable as error:
            found.missing.append(f"Events that a consumer could not handle: {error}")
            return
        about = {found.order.id, *(one.id for one in found.moved)}
        ours = {kept.event.id for kept in found.events}
        found.letters += [letter for letter in letters if letter.event.subject in about or letter.event.id in ours]
        if len(letters) >= MOST_LETTERS:
            found.missing.append(f"Dead letters of consumers after the first {MOST_LETTERS:,}.")


def _belongs(event: Envelope, order: Order, events: Sequence[KeptEvent]) -> bool:
    """Whether an event about a ticket tells of this order: it names it, or was committed with it."""
    if json.loads(event.data).get("orderId") == order.id:
        return True
    return any(event.causationid == kept.event.causationid and event.time == kept.event.time for kept in events)


def _note_cut(found: _Found, events: Sequence[KeptEvent], what: str) -> None:
    if len(events) >= MOST_EVENTS:
        found.missing.append(f"Events about {what} after the first {MOST_EVENTS:,}.")


def _story(found: _Found) -> Story:
    causes = Causes(found.order, (kept.event for kept in sorted(found.events, key=lambda kept: kept.event.time)))
    records = list(_records(found, causes))
    if records:
        found.missing.append("Events that are not kept any more: what they told of is told from what is stored.")
    # Ids are in the order in which they were made, which is finer than time; a dead letter follows its event.
    placed = [(kept.event.id, _of_event(kept, causes)) for kept in found.events]
    placed += [(f"{letter.event.id} ", _of_letter(letter, causes)) for letter in found.letters]
    placed += [("", record) for record in records]
    placed += [(hook.id, _of_webhook(hook)) for hook in found.webhooks]
    return Story(
        order=found.order,
        tickets=tuple(found.tickets),
        charges=tuple(found.charges),
        refunds=tuple(found.refunds),
        entries=tuple(entry for _, entry in sorted(placed, key=lambda one: (one[1].at, one[0]))),
        open=tuple(_open(found)),
        missing=tuple(found.missing),
    )


def _of_event(kept: KeptEvent, causes: Causes) -> Entry:
    event = kept.event
    return Entry(
        at=event.time,
        kind=EntryKind.EVENT,
        what=event.name,
        about=_about(event),
        says=_says(event),
        id=event.id,
        cause=causes.of(event),
        state=kept.state.value,
        attempts=kept.attempts,
        error=kept.error,
        data=json.loads(event.data),
    )


def _of_webhook(hook: Webhook) -> Entry:
    return Entry(
        at=hook.received_at,
        kind=EntryKind.WEBHOOK,
        what=hook.what,
        about=key_of(hook),
        says=f"webhook of {hook.provider}",
        id=hook.id,
        state=hook.outcome or "waiting",
    )


def _of_letter(letter: DeadLetter, causes: Causes) -> Entry:
    event = letter.event
    return Entry(
        at=event.time,
        kind=EntryKind.DEAD_LETTER,
        what=event.name,
        about=_about(event),
        says=f"{letter.group} could not handle it",
        id=letter.id,
        cause=causes.of(event),
        state=letter.group,
        attempts=letter.attempts,
        error=letter.error,
        data=json.loads(event.data),
    )


def _records(found: _Found, causes: Causes) -> Iterator[Entry]:
    """What was made and whose first event is gone."""
    told = {kept.event.subject for kept in found.events if kept.event.aggregateversion == 1}
    for one in (found.order, *found.moved):
        if one.id not in told:
            money = one.total if isinstance(one, Order) else one.amount
            actor = one.buyer_id if isinstance(one, Order | Charge) else None
            yield Entry(
                at=one.created_at,
                kind=EntryKind.RECORD,
                what=f"{one.KIND}.created",
                about=key_of(one),
                says=f"{money}; now {one.status.value}",
                cause=None if actor is None else causes.by(actor),
            )


def _about(event: Envelope) -> Key:
    kind: Any = event.name.partition(".")[0]
    known: Kind = kind
    return Key(known, event.subject)


def _says(event: Envelope) -> str:
    """The state that an event shows, in a few words."""
    body: dict[str, Any] = json.loads(event.data)
    tickets = sum(line["kind"] == "ticket" for line in body.get("lines", ()))
    refunded = body.get("refunded") or {"minor": 0}
    parts = [
        body.get("seat") or body.get("title"),
        next((_money(body[name]) for name in ("total", "amount", "price") if name in body), None),
        f"{tickets} tickets" if tickets > 1 else None,
        f"{_money(refunded)} given back" if refunded["minor"] else None,
        body.get("reason"),
        body.get("code"),
    ]
    return f"{body.get('status', '')}: {', '.join(part for part in parts if part)}".strip(": ")


def _money(amount: dict[str, Any]) -> str:
    return str(Money(amount["minor"], amount["currency"]))


def _open(found: _Found) -> Iterator[str]:
    order = found.order
    if order.status is OrderStatus.CREATED:
        yield f"The order holds its tickets until {_time(order.expires_at)}."
    elif order.status is OrderStatus.AWAITING_PAYMENT:
        yield f"The order waits for charge {order.charge_id}."
    for one in found.moved:
        yield from _due(one)
    waiting = sum(kept.state == "waiting" for kept in found.events)
    if waiting:
        yield f"{waiting} of its events are still to be published."
    dead = [kept.event.id for kept in found.events if kept.state == "dead"]
    dead += [letter.id for letter in found.letters]
    yield from (f"Dead letter {id} is for people: `ticketkit dead show {id}`." for id in dead)
    for hook in found.webhooks:
        if hook.outcome is None:
            yield f"Webhook {hook.id} is still to be applied."


def _due(one: Charge | Refund) -> Iterator[str]:
    if isinstance(one, Charge) and one.owes_void:
        yield f"Charge {one.id} is given up, and its money is still to be let go."
    if one.due_at is not None:
        yield f"{one.KIND.capitalize()} {one.id} is {one.status.value}; it is looked after at {_time(one.due_at)}."


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
