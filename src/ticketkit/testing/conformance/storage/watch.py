"""Storage: what somebody looks after, counts, and what is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.storage import Page
from ticketkit.domain.entities import (
    Charge,
    ChargeStatus,
    OrderCopy,
    OrderStatus,
    Refund,
    Session,
    User,
    Webhook,
)
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.storage.bazaar import Bazaar, command
from ticketkit.testing.conformance.storage.samples import ODD, TIME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ticketkit.backends.storage import Storage

    List = Callable[[int, str | None], Awaitable[Page[Any]]]

HOUR: Final = timedelta(hours=1)


class StorageWatch(Conformance):
    """What somebody looks after: the due, the unapplied, the revoked; counts, and what is forgotten."""

    @promise()
    async def test_due_orders(self, backend: Storage) -> None:
        """Orders `created` past their time are due, the longest overdue first, and no others."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(5)
        at_once = Policy(hold=timedelta(microseconds=1))
        due = [(await bazaar.place(f"b{n}", tickets[n].id, policy=at_once)).id for n in range(3)]
        await bazaar.cancel(await bazaar.place("b3", tickets[3].id, policy=at_once))
        await bazaar.place("b4", tickets[4].id)
        assert await backend.due_orders(10) == due
        assert await backend.due_orders(2) == due[:2]
        totals = await backend.totals()
        assert totals.overdue_locks == 3
        assert totals.by_status["order", "created"] == 4
        assert totals.by_status["order", "cancelled"] == 1

    @promise()
    async def test_open_orders(self, backend: Storage) -> None:
        """Orders that hold tickets are listed by the end of their lock, soonest first, also while they are paid."""
        bazaar = Bazaar(backend)
        tickets = await bazaar.offer(5)
        holds = [Policy(hold=HOUR * hours) for hours in (3, 1, 2, 1, 1)]
        placed = [await bazaar.place(f"b{n}", tickets[n].id, policy=hold) for n, hold in enumerate(holds)]
        await bazaar.cancel(placed[3])
        await bazaar.put(replace(placed[4], status=OrderStatus.COMPLETED, charge_id="paid"))
        paying = replace(placed[2], status=OrderStatus.AWAITING_PAYMENT, charge_id="pins")
        await bazaar.put(paying)
        expected = [placed[1].id, placed[2].id, placed[0].id]
        found = await backend.open_orders()
        assert ([order.id for order in found.items], found.next) == (expected, None)
        assert found.items[1] == replace(paying, version=paying.version + 1)
        first = await backend.open_orders(limit=2)
        assert [order.id for order in first.items] == expected[:2]
        rest = await backend.open_orders(limit=2, cursor=first.next)
        assert ([order.id for order in rest.items], rest.next) == (expected[2:], None)

    @promise()
    async def test_due_charges_and_refunds(self, backend: Storage) -> None:
        """Charges and refunds are due once their time is past, up to the limit; a reference finds its charge."""
        now = await backend.now()
        past, future = now - HOUR, now + HOUR
        paid = [_paid(due) for due in (past, past, future, None)]
        await Bazaar(backend).put(*(entity for graph in paid for entity in graph))
        charges, refunds = [graph[1] for graph in paid], [graph[2] for graph in paid]
        assert {charge.id for charge in await backend.due_charges(10)} == {charge.id for charge in charges[:2]}
        assert {refund.id for refund in await backend.due_refunds(10)} == {refund.id for refund in refunds[:2]}
        assert len(await backend.due_charges(1)) == len(await backend.due_refunds(1)) == 1
        for charge in charges:
            assert charge.reference is not None
            assert await backend.charge_by_reference("fake", charge.reference) == replace(charge, version=1)
            assert await backend.charge_by_reference("other", charge.reference) is None
        settled = replace(charges[0], due_at=None, status=ChargeStatus.COMPLETED)
        await Bazaar(backend).put(settled)
        assert await backend.due_charges(10) == [replace(charges[1], version=1)]

    @promise()
    async def test_unapplied_webhooks(self, backend: Storage) -> None:
        """Webhooks without an outcome are listed oldest first, until they have one."""
        hooks = [
            Webhook(
                id=f"fake:{number}",
                provider="fake",
                reference=None,
                what="paid",
                body="{}",
                received_at=TIME + timedelta(seconds=number * 7 % 4),
            )
            for number in range(4)
        ]
        bazaar = Bazaar(backend)
        await bazaar.put(*hooks)
        oldest = [hook.id for hook in sorted(hooks, key=lambda hook: hook.received_at)]
        assert [hook.id for hook in await backend.unapplied_webhooks(10)] == oldest
        assert [hook.id for hook in await backend.unapplied_webhooks(2)] == oldest[:2]
        await bazaar.put(*(replace(hook, outcome="applied") for hook in hooks if hook.id == oldest[0]))
        assert [hook.id for hook in await backend.unapplied_webhooks(10)] == oldest[1:]

    @promise()
    async def test_webhooks_about_a_payment(self, backend: Storage) -> None:
        """Webhooks are found by the provider's objects that they are about, oldest first, applied or not."""
        references = ("pi_a", "pi_b", None, "pi_a", "pi_c", ODD[3])
        hooks = [
            Webhook(
                id=f"fake:{number}",
                provider="fake",
                reference=reference,
                what="paid",
                body="{}",
                received_at=TIME - timedelta(seconds=number),
                outcome="applied" if number else None,
            )
            for number, reference in enumerate(references)
        ]
        await Bazaar(backend).put(*hooks)
        found = await backend.webhooks_about(["pi_a", ODD[3], "pi_a", "unknown"])
        assert [(hook.id, hook.outcome) for hook in found] == [
            ("fake:5", "applied"),
            ("fake:3", "applied"),
            ("fake:0", None),
        ]
        assert [hook.id for hook in await backend.webhooks_about(["pi_a", "pi_b"], limit=2)] == ["fake:3", "fake:1"]
        assert await backend.webhooks_about([]) == []

    @promise()
    async def test_revoked_sessions(self, backend: Storage) -> None:
        """Sessions that were revoked and have not expired are listed, the newest revocation first."""
        now = await backend.now()
        user = User(id=new_id(), email="a@b.example", password_hash="h", created_at=now)  # noqa: S106 - made up
        times = ((HOUR, -HOUR), (HOUR, -2 * HOUR), (-HOUR / 2, -HOUR), (HOUR, None))
        sessions = [
            Session(
                id=new_id(),
                user_id=user.id,
                created_at=now,
                expires_at=now + expires,
                revoked_at=None if revoked is None else now + revoked,
            )
            for expires, revoked in times
        ]
        await Bazaar(backend).put(user, *sessions)
        expected = [replace(session, version=1) for session in sessions[:2]]
        assert await backend.revoked_sessions(10) == expected
        assert await backend.revoked_sessions(1) == expected[:1]

    @promise()
    async def test_totals_count_what_is_there(self, backend: Storage) -> None:
        """Totals count entities by kind and status, what waits in the outbox and since when, and the dead letters."""
        bazaar = Bazaar(backend)
        empty = await backend.totals()
        assert (empty.unpublished, empty.dead, empty.oldest, empty.overdue_locks) == (0, 0, None, 0)
        before = await backend.now()
        tickets = await bazaar.offer(3)
        after = await backend.now()
        await bazaar.place("buyer", tickets[0].id)
        totals = await backend.totals()
        assert totals.unpublished == 5
        assert totals.oldest is not None
        assert before <= totals.oldest <= after
        assert totals.by_status["ticket", "available"] == 2
        assert totals.by_status["ticket", "locked"] == totals.by_status["order", "created"] == 1
        await bazaar.publish()
        assert (await backend.totals()).oldest is None

    @promise()
    async def test_purging_forgets_only_what_is_old_and_done(self, backend: Storage) -> None:
        """Purging deletes published events, records and marks older than given, and nothing that waits or is dead."""
        bazaar = Bazaar(backend)
        caller, mark = command(), command(id="c:e", consumer="c", event_id="e")
        await bazaar.count("a", given=caller)
        await bazaar.count("a", given=mark)
        await bazaar.tell(3)
        published, dead = await bazaar.claim(2)
        await backend.mark_published([published])
        await backend.mark_failed(dead, error="no", retry_in=None)
        now = await backend.now()
        old, soon = now - HOUR, now + HOUR
        assert await backend.purge(events_before=old, commands_before=old, marks_before=old) == 0
        assert await backend.outcome(caller.id) is not None
        assert await backend.purge(events_before=old, commands_before=soon, marks_before=old) == 4
        assert await backend.outcome(caller.id) is None
        assert (await bazaar.count("a", given=mark)).replayed
        assert await backend.purge(events_before=old, commands_before=old, marks_before=soon) == 1
        assert not (await bazaar.count("a", given=mark)).replayed
        assert await backend.replay_event(published.event.id)
        (again,) = [claim for claim in await bazaar.claim() if claim.event.id == published.event.id]
        await backend.mark_published([again])
        assert await backend.purge(events_before=soon, commands_before=old, marks_before=old) == 1
        assert not await backend.replay_event(published.event.id)
        totals = await backend.totals()
        assert (totals.unpublished, totals.dead) == (1, 1)
        assert await bazaar.counts("a") == [3]


def _paid(due: datetime | None) -> tuple[OrderCopy, Charge, Refund]:
    order_id, price = new_id(), Money(100, "USD")
    copy = OrderCopy(
        id=order_id, buyer_id="b", status=OrderStatus.CREATED, total=price, expires_at=TIME, order_version=1
    )
    charge = Charge(
        id=new_id(),
        order_id=order_id,
        buyer_id="b",
        amount=price,
        provider="fake",
        reference=f"ref-{order_id}",
        due_at=due,
        created_at=TIME,
    )
    refund = Refund(id=new_id(), charge_id=charge.id, order_id=order_id, amount=price, due_at=due, created_at=TIME)
    return copy, charge, refund
