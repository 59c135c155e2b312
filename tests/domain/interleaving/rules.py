"""What is checked: the decisions, of which a mutant replaces one, and how large the world is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ticketkit.domain import live_events, orders, payments, refunds, settlement, tickets
from ticketkit.domain.entities import Charge, OrderCopy
from ticketkit.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """The decisions as the check runs them; a mutant replaces one.

    Attributes:
        prepares: Whether the provider's reference is committed before anything can be authorized.
    """

    place: Callable[..., Any] = orders.place
    cancel: Callable[..., Any] = orders.cancel
    expire: Callable[..., Any] = orders.expire
    charge_heard: Callable[..., Any] = settlement.charge_heard
    order_heard: Callable[..., Any] = refunds.order_heard
    call_off: Callable[..., Any] = live_events.call_off
    void: Callable[..., Any] = orders.void
    take_off: Callable[..., Any] = tickets.take_off
    begin: Callable[..., Any] = payments.begin
    prepared: Callable[..., Any] = payments.prepared
    authorized: Callable[..., Any] = payments.authorized
    action_required: Callable[..., Any] = payments.action_required
    declined: Callable[..., Any] = payments.declined
    capture_refused: Callable[..., Any] = payments.capture_refused
    captured: Callable[..., Any] = payments.captured
    voided: Callable[..., Any] = payments.voided
    give_back: Callable[..., Any] = refunds.give_back
    give_up: Callable[..., Any] = payments.give_up
    refund: Callable[..., Any] = refunds.begin
    refunded: Callable[..., Any] = refunds.refunded
    refund_failed: Callable[..., Any] = refunds.failed
    may_capture: Callable[[Charge, OrderCopy], bool] = payments.may_capture
    prepares: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """How large the world is.

    Attributes:
        start: Steps that were taken before the check begins, by name: what follows is looked at alone.
        clock: Whether time passes.
        charges: Most charges that A begins.
        hands: Most answers of the provider that workers hold at once.
        holds: Whether the provider can hold money.
        takes: Whether the provider may take money at once.
        action: Whether the provider may ask the buyer to act.
        revives: Whether A may go on with a declined payment in the browser.
        moody: Whether the provider may let held money go by itself, and refuse a capture.
        refunds: Most refunds that are asked for.
        halves: Whether half of a charge may be asked back, too.
        refuses: Whether the provider may refuse the first refund of a charge.
        cancels: Whether the live event may be cancelled. There is no B then.
        stragglers: Whether a call may still reach the provider when the reason for it is gone, or a worker is busy.
        money_only: Whether only lost money and seats count, not entities that contradict one another.
    """

    policy: Policy = field(default_factory=Policy)
    start: tuple[str, ...] = ()
    clock: bool = True
    charges: int = 2
    hands: int = 1
    holds: bool = True
    takes: bool = False
    action: bool = False
    revives: bool = False
    moody: bool = False
    refunds: int = 0
    halves: bool = False
    refuses: bool = False
    cancels: bool = False
    stragglers: bool = True
    money_only: bool = False

    @property
    def times(self) -> tuple[timedelta, ...]:
        """In time; then exactly at each end that the lock can have."""
        ends = (timedelta(0), self.policy.hold, self.policy.hold + self.policy.payment_grace)
        if not self.clock:
            return ends[:1]
        return (*ends, self.policy.hold + self.policy.payment_window) if self.action else ends
