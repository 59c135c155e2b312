"""The reconciler: what it finishes alone, what it leaves to people, and how often it asks."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.services.shop import Shop, patiently
from tests.services.stage import Stage

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.payments import ProviderStatus
from ticketkit.domain.entities import ChargeStatus, OrderStatus, RefundStatus, TicketStatus
from ticketkit.domain.payments import LATEST, SOONEST, pause
from ticketkit.memory._webhooks import sign
from ticketkit.memory.payments import DEVELOPMENT_SECRET
from ticketkit.services.comparison import Needs
from ticketkit.services.till import CALL_LIMIT, Till

if TYPE_CHECKING:
    from ticketkit.domain.entities import Charge
    from ticketkit.services.walking import Report


@pytest.fixture
async def trade() -> AsyncIterator[Shop]:
    """A shop whose books need not agree at the end of the test: what is wrong with them is what it is about."""
    async with Stage().market() as market:
        yield Shop(market)


async def walk(shop: Shop, **options: Any) -> Report:
    return await patiently(shop.clock, shop.market.payments.walk(**options).run())


def grave(shop: Shop) -> list[tuple[str, str | None]]:
    """What needs people, as the reconciler knows it: the trouble and the charge."""
    return [(finding.trouble.value, finding.charge_id) for finding in shop.market.payments.to_repair]


def left(report: Report) -> list[str]:
    return sorted(finding.trouble for finding in report.findings)


async def taken_and_kept(shop: Shop) -> Charge:
    """A failed charge whose money was taken, and whose refund the provider refused."""
    order = await shop.order()
    charge = await shop.pay(order, "tok_taken_pending")
    shop.provider.faults.webhooks("never")
    shop.provider.faults.unavailable()
    await shop.market.orders.cancel("buyer", order.id)
    await shop.clock.settle()
    await shop.provider.resolve(str(charge.reference))
    shop.provider.faults.decline("refund", code="insufficient_balance")
    shop.provider.faults.available()
    await shop.clock.advance(seconds=40)
    kept = await shop.charge_now(charge)
    assert (kept.status, kept.taken, kept.given_back) == (ChargeStatus.FAILED, True, 0)
    return kept


# --- deadlines ---


def test_a_pause_is_a_thirtieth_of_the_age_within_bounds() -> None:
    assert pause(timedelta(0)) == SOONEST == timedelta(seconds=5)
    assert pause(timedelta(minutes=5)) == timedelta(seconds=10)
    assert pause(timedelta(days=3)) == LATEST == timedelta(minutes=5)


async def test_a_charge_that_fails_again_and_again_is_looked_at_ever_less_often(
    trade: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge = await trade.pay(await trade.order(), "tok_pending")
    tries: list[float] = []
    began = trade.clock.now()

    async def away(reference: str, **_: object) -> object:
        tries.append((trade.clock.now() - began).total_seconds())
        raise Unavailable

    for name in ("authorize", "retrieve", "void"):
        monkeypatch.setattr(trade.provider, name, away)
    await trade.clock.advance(hours=4)
    pauses = [after - before for before, after in pairwise(tries)]
    assert max(pauses[:10]) <= 30
    assert 290 <= max(pauses[-10:]) <= 305
    assert len(tries) < 250, "every 5 seconds they would be 2,880"
    monkeypatch.undo()
    await trade.clock.advance(minutes=6)
    assert trade.booked(charge).status is ProviderStatus.VOID


async def test_a_provider_that_never_answers_is_given_up_after_a_minute(
    trade: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await trade.order()
    prepare = trade.provider.prepare

    async def hanging(**_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(trade.provider, "prepare", hanging)
    charge = await trade.pay(order)
    assert charge.status is ChargeStatus.CREATED
    monkeypatch.setattr(trade.provider, "prepare", prepare)
    await trade.clock.advance(seconds=CALL_LIMIT)
    assert (await trade.charge_now(charge)).status is ChargeStatus.COMPLETED


async def test_a_call_that_takes_too_long_has_an_unknown_outcome() -> None:
    stage = Stage()
    till = Till(stage.provider, stage.clock, limit=5)
    stage.provider.faults.slow(5.5)
    with pytest.raises(OutcomeUnknown, match="within 5 s"):
        await patiently(stage.clock, till.books("ref"))
    stage.provider.faults.slow(4.5)
    assert await patiently(stage.clock, till.books("ref")) is None


@pytest.mark.parametrize("token", ["tok_visa", "tok_threeDSecure", "tok_pending", "tok_taken", "tok_taken_pending"])
async def test_every_state_that_is_not_final_has_a_deadline(trade: Shop, token: str) -> None:
    """At each commit of a purchase and its refund: whatever is open is looked after, or waits for nothing."""
    seen: set[str] = set()
    inner = trade.payments

    async def check() -> None:
        for kind in ("charge", "refund"):
            for one in (await inner.scan(kind)).items:
                seen.add(f"{kind} {one.status}")  # type: ignore[union-attr]
                final = one.status in {"completed", "failed"}  # type: ignore[union-attr]
                owes = getattr(one, "owes_void", False)
                assert (one.due_at is not None) or (final and not owes), one  # type: ignore[union-attr]

    trade.provider.faults.slow(1)
    order = await trade.order()
    async with anyio.create_task_group() as group:

        async def buy() -> None:
            charge = await trade.market.payments.pay("buyer", order.id, token=token)
            if charge.status is ChargeStatus.COMPLETED:
                await trade.market.payments.refund(charge.id, actor="seller")

        group.start_soon(buy)
        for _ in range(60):
            await trade.clock.advance(seconds=0.5)
            await check()
    await trade.clock.advance(minutes=20)
    await check()
    assert "charge created" in seen
    assert seen & {"charge completed", "charge failed"}


# --- what needs people ---


async def test_what_needs_people_is_said_once_and_counted_until_it_is_over(
    trade: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        charge = await taken_and_kept(trade)
        await trade.clock.advance(hours=1)
    [line] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "People must look (refund_refused)" in line.getMessage()
    assert charge.id in line.getMessage()
    assert grave(trade) == [("refund_refused", charge.id)]
    refund = await trade.refund(charge)
    assert refund.status is RefundStatus.COMPLETED
    await trade.clock.advance(minutes=6)
    assert grave(trade) == []
    assert (await trade.charge_now(charge)).due_at is None


async def test_money_that_people_gave_back_at_the_provider_is_seen(trade: Shop) -> None:
    charge = await taken_and_kept(trade)
    assert len(grave(trade)) == 1
    await trade.provider.refund(str(charge.reference), refund_id="by hand", amount=charge.amount, key="by hand")
    await trade.clock.advance(minutes=6)
    assert grave(trade) == []
    assert left(await walk(trade, every=True)) == []


async def test_after_a_restart_what_needs_people_is_found_again() -> None:
    stage = Stage()
    async with stage.market() as market:
        await taken_and_kept(Shop(market))
    async with stage.market() as market:
        assert grave(Shop(market)) == []
        await stage.clock.advance(minutes=5)
        assert [trouble for trouble, _ in grave(Shop(market))] == ["refund_refused"]


async def test_a_charge_of_another_provider_is_left_alone_and_said_once(
    trade: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    charge = await trade.pay(await trade.order(), "tok_pending")
    monkeypatch.setattr(trade.provider, "name", "other")
    with caplog.at_level(logging.CRITICAL):
        await trade.clock.advance(minutes=10)
    assert caplog.text.count("People must look (other_provider)") == 1
    assert left(await walk(trade)) == ["other_provider", "unfinished"]
    monkeypatch.undo()
    await trade.clock.advance(minutes=30)
    assert grave(trade) == []
    assert (await trade.charge_now(charge)).status is ChargeStatus.FAILED


async def test_a_provider_that_is_away_needs_people_after_a_while(trade: Shop) -> None:
    await trade.pay(await trade.order(), "tok_pending")
    trade.provider.faults.unavailable()
    await trade.clock.advance(minutes=14)
    assert grave(trade) == []
    await trade.clock.advance(minutes=5)
    assert [trouble for trouble, _ in grave(trade)] == ["provider_away"]
    trade.provider.faults.available()
    await trade.clock.advance(minutes=2)
    assert grave(trade) == []


async def test_what_one_process_knows_and_another_ends_is_forgotten() -> None:
    stage = Stage()
    options = {"bus": "stage:bus", "timers": "stage:timers"}
    async with stage.market(**options) as one:
        charge = await taken_and_kept(Shop(one))
        async with stage.market(**options) as other:
            await patiently(stage.clock, other.payments.refund(charge.id, actor=None))
            await stage.clock.advance(minutes=1)
            assert (grave(Shop(one)), grave(Shop(other))) == ([], [])


# --- the walk ---


@asynccontextmanager
async def cut_short(stage: Stage, *, drain: float = 0) -> AsyncIterator[Shop]:
    """A shop whose process dies at the end of the block: nothing is finished."""
    async with stage.market(drain=drain) as market:
        yield Shop(market)


async def test_a_walk_finishes_what_a_dead_process_left_whatever_its_deadline() -> None:
    stage = Stage()
    async with cut_short(stage) as shop:
        stage.provider.faults.webhooks("never")
        gone = await shop.pay(await shop.order(buyer="gone"), "tok_pending")
        paid = await shop.pay(await shop.order(buyer="paid"))
        stage.provider.faults.unavailable()
        refund = await shop.refund(paid, "5")
        await shop.market.orders.cancel("gone", gone.order_id)
        await stage.clock.settle()
    stage.provider.faults.available()
    async with stage.market() as market:
        shop = Shop(market)
        # No time goes by: what is not due yet is looked at too.
        dry = await shop.market.payments.walk(dry_run=True).run()
        assert left(dry) == ["refund_open", "void_owed"]
        assert (dry.finished, dry.well) == ([], True)
        assert stage.provider.books().refunds == ()
        report = await walk(shop)
        assert left(report) == []
        assert {done.charge_id: (done.status, done.troubles) for done in report.finished} == {
            gone.id: ("failed", ("void_owed",)),
            paid.id: ("completed", ("refund_open",)),
        }
        assert shop.booked(gone).status is ProviderStatus.VOID
        assert [one.refund_id for one in stage.provider.books().refunds] == [refund.id]
        assert (await walk(shop)).charges == 0, "nothing is left to look at"


async def test_a_walk_takes_a_charge_on_and_waits_a_moment_for_orders(trade: Shop) -> None:
    order = await trade.order()
    trade.provider.faults.webhooks("never")
    charge = await trade.pay(order, "tok_threeDSecure")
    await trade.provider.confirm_action(str(charge.reference))
    report = await walk(trade)
    assert (left(report), [done.troubles for done in report.finished]) == ([], [("unfinished",)])
    assert (await trade.order_now(order)).status is OrderStatus.COMPLETED


async def test_a_walk_reports_who_is_waited_for(trade: Shop) -> None:
    trade.provider.faults.webhooks("never")
    await trade.pay(await trade.order(buyer="one"), "tok_threeDSecure")
    await trade.pay(await trade.order(buyer="two"), "tok_pending")
    report = await walk(trade)
    assert left(report) == ["waits_for_buyer", "waits_for_provider"]
    assert {finding.needs for finding in report.findings} == {Needs.TIME}
    assert report.well


async def test_orders_that_does_not_answer_is_reported() -> None:
    stage = Stage()
    async with cut_short(stage) as shop:
        order = await shop.order()
        stage.provider.faults.slow(1)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: shop.market.payments.pay("buyer", order.id, token="tok_visa"))
            await stage.clock.advance(seconds=1.5)
            group.cancel_scope.cancel()
    stage.provider.faults.slow(0)
    options = {"services": ["payments"], "bus": "stage:elsewhere"}
    async with stage.market(**options) as market:
        shop = Shop(market)
        await stage.clock.advance(minutes=2)
        report = await walk(shop)
        assert left(report) == ["orders_silent"]
        assert not report.well
        assert [trouble for trouble, _ in grave(shop)] == ["orders_silent"]


async def test_all_charges_are_held_against_the_books_on_demand(trade: Shop) -> None:
    charges = [await trade.pay(await trade.order("25", buyer=f"buyer {number}")) for number in range(4)]
    await trade.provider.refund(str(charges[0].reference), refund_id="x", amount=charges[0].amount, key="dashboard")
    bounced = await trade.refund(charges[1], "10")
    books = trade.provider._books
    one, two = [str(charge.reference) for charge in charges[1:3]]
    books.charges[one] = _changed(books.charges[one], refunded=0)
    books.charges[two] = _changed(books.charges[two], captured=2600)
    assert (await walk(trade)).charges == 0
    report = await walk(trade, every=True)
    assert report.charges == 4
    assert {finding.charge_id: finding.trouble for finding in report.findings} == {
        charges[0].id: "refund_not_on_record",
        bounced.charge_id: "refund_bounced",
        charges[2].id: "amount_differs",
    }
    assert not report.well


def _changed(booked: Any, **what: Any) -> Any:
    return replace(booked, **what)


async def test_a_refund_made_at_the_provider_is_put_on_record_when_asked_for(trade: Shop) -> None:
    order = await trade.order("25")
    charge = await trade.pay(order)
    await trade.refund(charge, "10")
    await trade.provider.refund(
        str(charge.reference), refund_id="x", amount=trade.booked(charge).amount.__class__(1500, "USD"), key="dashboard"
    )
    report = await walk(trade, every=True, adopt=True)
    assert (left(report), [done.troubles for done in report.finished]) == ([], [("refund_not_on_record",)])
    found, refunds = await trade.market.payments.get("buyer", charge.id)
    assert (found.refunded, found.given_back) == (2500, 2500)
    assert [(one.status, one.amount.minor) for one in refunds] == [("completed", 1000), ("completed", 1500)]
    await trade.clock.settle()
    assert {ticket.status for ticket in await trade.tickets_now(order)} == {TicketStatus.AVAILABLE}
    assert left(await walk(trade, every=True, adopt=True)) == []


async def test_money_that_was_captured_for_a_failed_charge_is_given_back(trade: Shop) -> None:
    order = await trade.order()
    charge = await trade.pay(order, "tok_threeDSecure")
    trade.provider.faults.webhooks("never")
    await trade.market.orders.cancel("buyer", order.id)
    await trade.clock.settle()
    books, reference = trade.provider._books, str(charge.reference)
    books.charges[reference] = _changed(
        books.charges[reference], status=ProviderStatus.CAPTURED, captured=charge.amount.minor
    )
    assert left(await walk(trade, every=True, dry_run=True)) == ["captured_unexpectedly"]
    assert left(await walk(trade, every=True)) == []
    assert trade.booked(charge).refunded == charge.amount.minor


async def test_a_provider_that_is_away_is_reported_with_what_is_open(trade: Shop) -> None:
    charge = await trade.pay(await trade.order(), "tok_pending")
    trade.provider.faults.unavailable()
    report = await walk(trade)
    assert left(report) == ["provider_away", "unfinished"]
    assert {finding.charge_id for finding in report.findings} == {charge.id}
    assert not report.well


async def test_a_storage_that_is_away_ends_a_walk() -> None:
    stage = Stage()
    async with stage.market() as market:
        await Shop(market).pay(await Shop(market).order(), "tok_pending")
        stage.storage().goes("get")
        with pytest.raises(Unavailable):
            await patiently(stage.clock, market.payments.walk().run())
        stage.storage().comes_back()


async def test_a_walk_keeps_its_pace_and_says_how_far_it_is(trade: Shop) -> None:
    for number in range(5):
        await trade.pay(await trade.order(buyer=f"buyer {number}"))
    seen: list[tuple[int, int]] = []
    began = trade.clock.now()
    await walk(trade, every=True, pace=0.5, on_look=lambda done, of: seen.append((done, of)))
    assert (trade.clock.now() - began).total_seconds() >= 10
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))


async def test_a_walk_lets_buyers_have_the_providers_budget_first(trade: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter([9.0, 1.5, 0.5])
    monkeypatch.setattr(trade.provider, "wait_for", lambda _calls: next(waits, 0.0), raising=False)
    await trade.pay(await trade.order())
    waits = iter([9.0, 1.5, 0.5])
    began = trade.clock.now()
    await walk(trade, every=True)
    assert (trade.clock.now() - began).total_seconds() >= 8.5


# --- webhooks without a charge ---


async def hear(shop: Shop, reference: str, *, id: str = "1") -> None:
    body = b'{"id": "%b", "what": "payment.authorized", "reference": "%b"}' % (id.encode(), reference.encode())
    await shop.market.payments.receive_webhook(sign(body, secret=DEVELOPMENT_SECRET, now=shop.clock.now()), body)
    await shop.clock.settle()


async def test_a_webhook_about_nothing_that_is_known_is_kept_and_listed(trade: Shop) -> None:
    await hear(trade, "theirs")
    [finding] = (await walk(trade)).findings
    assert (finding.trouble, finding.needs, finding.webhook_id) == ("webhook_unknown", Needs.NOBODY, "fake:1")


async def test_money_of_a_charge_that_is_not_on_record_needs_people_until_it_is_let_go(trade: Shop) -> None:
    amount = (await trade.order()).total
    made = await trade.provider.prepare(charge_id="lost", order_id="lost", amount=amount, key="lost")
    reference = made.reference  # type: ignore[union-attr]
    await trade.provider.authorize(reference, token="tok_visa", key="lost:authorize")
    for id in ("1", "2"):
        await hear(trade, reference, id=id)
    report = await walk(trade)
    assert left(report) == ["payment_unknown"]
    assert not report.well
    await trade.provider.void(reference, key="by hand")
    assert (await walk(trade)).well


async def test_a_webhook_of_a_provider_that_is_not_here_any_more_is_listed(
    trade: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hear(trade, "theirs")
    monkeypatch.setattr(trade.provider, "name", "other")
    report = await walk(trade)
    [finding] = report.findings
    assert (finding.trouble, finding.webhook_id, report.well) == ("other_provider", "fake:1", False)


async def test_webhooks_of_one_payment_are_one_look_into_its_books(
    trade: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade.provider.faults.webhooks("never")
    charge = await trade.pay(await trade.order(), "tok_pending")
    await trade.provider.resolve(str(charge.reference))
    trade.provider.faults.unavailable()
    for id in "12345":
        await hear(trade, str(charge.reference), id=id)
    looks: list[str] = []
    retrieve = trade.provider.retrieve

    async def counted(reference: str) -> object:
        looks.append(reference)
        return await retrieve(reference)

    monkeypatch.setattr(trade.provider, "retrieve", counted)
    trade.provider.faults.available()
    await trade.clock.advance(seconds=6)
    assert len(looks) == 1
    assert (await trade.charge_now(charge)).status is ChargeStatus.COMPLETED


async def test_a_webhook_that_failed_is_tried_again_by_a_walk(trade: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    trade.provider.faults.webhooks("never")
    charge = await trade.pay(await trade.order(), "tok_pending")

    async def broken(reference: str) -> object:
        raise RuntimeError(reference)

    monkeypatch.setattr(trade.provider, "retrieve", broken)
    await hear(trade, str(charge.reference))
    assert left(await walk(trade, dry_run=True)) == ["failing", "webhook_failed"]
    monkeypatch.undo()
    assert left(await walk(trade)) == ["waits_for_provider"]
    assert left(await walk(trade, dry_run=True)) == ["waits_for_provider"]
