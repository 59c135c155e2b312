# ruff: noqa: ASYNC240 - a small file in a temporary folder blocks nobody
from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.payments import Declined, Done, Outcome, Pending, ProviderCharge, ProviderStatus
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments, VirtualClock, read_books
from ticketkit.memory import _payment_rules as rules

pytestmark = pytest.mark.anyio
PRICE = Money(5000, "USD")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "books" / "journal.jsonl"


async def prepare(provider: FakePayments, charge_id: str) -> str:
    outcome = await provider.prepare(charge_id=charge_id, order_id="o", amount=PRICE, key=f"{charge_id}:prepare")
    assert isinstance(outcome, Done)
    return outcome.reference


async def do_everything(provider: FakePayments) -> str:
    """A payment in each state; returns the captured one."""
    tokens = {
        "visa": "tok_visa",
        "no": "tok_chargeDeclined",
        "secure": "tok_threeDSecure",
        "later": "tok_pending",
        "void": "tok_visa",
        "taken": "tok_taken",
        "taken later": "tok_taken_pending",
    }
    references = {name: await prepare(provider, name) for name in (*tokens, "prepared")}
    for name, token in tokens.items():
        await provider.authorize(references[name], token=token, key=f"{name}:authorize")
    await provider.void(references["void"], key="void:void")
    await provider.capture(references["visa"], amount=PRICE, key="visa:capture")
    await provider.refund(references["visa"], refund_id="r", amount=Money(1000, "USD"), key="r:refund")
    return references["visa"]


async def test_books_survive_the_provider(journal: Path, clock: VirtualClock) -> None:
    first = FakePayments(clock, journal=journal)
    reference = await do_everything(first)
    second = FakePayments(clock, journal=journal)
    assert second.books() == first.books() == read_books(journal)
    assert len({charge.status for charge in second.books().charges}) == 6
    # Answers are remembered too: what is repeated has no second effect.
    again = await second.refund(reference, refund_id="r", amount=Money(1000, "USD"), key="r:refund")
    assert again == Done(first.books().refunds[0].reference)
    assert second.books() == first.books()
    late = await second.refund(reference, refund_id="s", amount=Money(4001, "USD"), key="s:refund")
    assert isinstance(late, Declined)


async def test_books_know_which_payments_take_money_at_once_when_they_are_opened_again(
    journal: Path, clock: VirtualClock
) -> None:
    first = FakePayments(clock, journal=journal)
    reference = await prepare(first, "c")
    await first.authorize(reference, token="tok_taken_pending", key="c:authorize")
    second = FakePayments(clock, journal=journal)
    assert await second.resolve(reference) == Done(reference, taken=True)
    third = FakePayments(clock, journal=journal)
    assert third.books() == second.books()
    assert third.books().charges[0].captured == PRICE.minor


async def test_what_the_bank_says_of_a_refund_survives_the_provider(journal: Path, clock: VirtualClock) -> None:
    first = FakePayments(clock, journal=journal)
    reference = await do_everything(first)

    async def refund(provider: FakePayments, id: str) -> Outcome:
        return await provider.refund(reference, refund_id=id, amount=Money(500, "USD"), key=f"{id}:refund")

    first.faults.delay_refunds(times=3)
    for id in ("yes", "no", "wait"):
        assert await refund(first, id) == Pending()
    second = FakePayments(clock, journal=journal)
    assert [refund.refund_id for refund in second.books().pending] == ["yes", "no", "wait"]
    done, failed = await second.resolve_refund("yes"), await second.resolve_refund("no", done=False)
    third = FakePayments(clock, journal=journal)
    assert third.books() == second.books() == read_books(journal)
    assert [await refund(third, id) for id in ("yes", "no", "wait")] == [done, failed, Pending()]
    assert isinstance(done, Done)
    assert isinstance(failed, Declined)


async def test_a_journal_from_before_there_was_money_taken_at_once_is_read(journal: Path, clock: VirtualClock) -> None:
    first = FakePayments(clock, journal=journal)
    await do_everything(first)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        del line["takes"]
        line["outcome"][1].pop("taken", None)
        (line["refund"] or {}).pop("status", None)
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert FakePayments(clock, journal=journal).books() == first.books()


async def test_a_torn_last_line_is_dropped_and_done_again(journal: Path, clock: VirtualClock) -> None:
    first = FakePayments(clock, journal=journal)
    reference = await prepare(first, "c")
    before = read_books(journal)
    whole = len(journal.read_bytes())
    await first.authorize(reference, token="tok_visa", key="c:authorize")
    text = journal.read_bytes()
    for end in (whole + 1, len(text) - 1):
        journal.write_bytes(text[:end])
        assert read_books(journal) == before
        assert len(journal.read_bytes()) == end  # readers change nothing
        second = FakePayments(clock, journal=journal)
        assert second.books() == before
        await second.authorize(reference, token="tok_visa", key="c:authorize")
        assert read_books(journal) == second.books() == first.books()


async def test_a_journal_of_something_else_is_refused(journal: Path, clock: VirtualClock) -> None:
    journal.parent.mkdir()
    for text in ("hello\n", "{}\n", "[]\n", '{"outcome": ["Done", {}]}\n'):
        journal.write_text(text)
        with pytest.raises(Misconfigured, match="Line 1"):
            FakePayments(clock, journal=journal)
    with pytest.raises(Misconfigured, match="opened"):
        FakePayments(clock, journal=journal.parent)


async def test_what_can_not_be_written_has_not_happened(journal: Path, clock: VirtualClock) -> None:
    provider = FakePayments(clock, journal=journal)
    reference = await prepare(provider, "c")
    before = provider.books()
    journal.rename(journal.with_suffix(".away"))
    journal.mkdir()
    with pytest.raises(Unavailable):
        await provider.authorize(reference, token="tok_visa", key="c:authorize")
    assert provider.books() == before
    journal.rmdir()
    journal.with_suffix(".away").rename(journal)
    assert await provider.authorize(reference, token="tok_visa", key="c:authorize") == Done(reference)
    assert read_books(journal) == provider.books()


async def test_there_are_no_books_where_there_is_no_file(journal: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_books(journal)


PROGRAM = """
import sys, anyio
from ticketkit.backends.clock import SystemClock
from ticketkit.domain.money import Money
from ticketkit.memory import FakePayments

async def main():
    provider = FakePayments(SystemClock(), journal=sys.argv[1])
    for number in range(10**9):
        done = await provider.prepare(
            charge_id=str(number), order_id="o", amount=Money(number + 1, "USD"), key=f"{number}:prepare")
        await provider.authorize(done.reference, token="tok_visa", key=f"{number}:authorize")
        await provider.capture(done.reference, amount=Money(number + 1, "USD"), key=f"{number}:capture")
        print(done.reference, flush=True)

anyio.run(main)
"""


def test_no_answer_is_forgotten_when_the_process_is_killed(journal: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(journal)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline().strip() for _ in range(20)]
        process.kill()
        answered += process.stdout.read().split("\n")[:-1]
    books = read_books(journal)
    captured = {charge.reference for charge in books.charges if charge.captured == charge.amount.minor}
    assert set(answered) <= captured
    assert len(books.charges) - len(answered) <= 2
    assert FakePayments(VirtualClock(), journal=journal).books() == books


def test_no_sequence_of_calls_takes_or_gives_back_too_much() -> None:
    half = Money(2500, "USD")
    calls: dict[str, Callable[[ProviderCharge], rules.Step]] = {
        "visa": lambda charge: rules.authorize(charge, "tok_visa"),
        "taken": lambda charge: rules.authorize(charge, "tok_taken"),
        "secure": lambda charge: rules.authorize(charge, "tok_threeDSecure"),
        "no": lambda charge: rules.authorize(charge, "tok_chargeDeclined"),
        "settle": lambda charge: rules.settle(charge, authorized=True, code=""),
        "settle taken": lambda charge: rules.settle(charge, authorized=True, code="", takes=True),
        "revive": lambda charge: rules.revive(charge, "tok_visa"),
        "capture": lambda charge: rules.capture(charge, PRICE),
        "half": lambda charge: rules.capture(charge, half),
        "void": rules.void,
        "refund": lambda charge: rules.refund(charge, half, refund_id="r", reference="re"),
    }
    final = {ProviderStatus.VOID, ProviderStatus.CAPTURED}
    takes = {"taken", "settle taken", "capture", "half"}
    for names in itertools.product(calls, repeat=5):
        charge = ProviderCharge(reference="p", charge_id="c", status=ProviderStatus.PREPARED, amount=PRICE)
        given = 0
        for name in names:
            step = calls[name](charge)
            after = step.charge or charge
            given += step.refund.amount.minor if step.refund else 0
            assert after.status is charge.status or charge.status not in final, names
            assert charge.status is not ProviderStatus.DECLINED or after.captured == 0, names
            assert after.captured == charge.captured or (charge.captured == 0 and name in takes), names
            assert given == after.refunded <= after.captured <= PRICE.minor, names
            assert after.captured == 0 or after.status is ProviderStatus.CAPTURED, names
            charge = after


async def test_the_journal_says_when(journal: Path, clock: VirtualClock) -> None:
    await clock.advance(minutes=1)
    await prepare(FakePayments(clock, journal=journal), "c")
    assert b'"at":"2026-01-01T00:01:00+00:00"' in journal.read_bytes()
