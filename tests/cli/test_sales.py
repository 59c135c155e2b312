"""`ticketkit sales` and `ticketkit locks`, on SQLite files beside servers: inventory in one, payments in another."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.cli import main, sales
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.memory import read_books
from ticketkit.runtime.config import ALL
from ticketkit.services.catalogue import ServiceName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

BUYERS = ("ada", "bob", "cem", "dia")


class Hall:
    """A live event with four paid orders, one that is open, and three tickets that are for sale."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url, self.money = f"sqlite:///{folder / 'shop.db'}", f"sqlite:///{folder / 'money.db'}"
        self.journal = folder / "books.jsonl"
        self.event = self.open = ""
        self.paid: list[str] = []

    @asynccontextmanager
    async def market(self) -> AsyncIterator[Marketplace]:
        """All its services in this process."""
        async with Marketplace(
            self.url,
            payment_storage=self.money,
            timers="memory:",
            payments=f"fake://{self.journal}",
            services=ALL - {ServiceName.AUTH},
        ) as market:
            yield market

    async def fill(self) -> None:
        async with self.market() as market:
            start = datetime.now(UTC) + timedelta(days=30)
            event = await market.tickets.announce("promoter", name="Hamlet", venue="Globe", starts_at=start)
            listing = Listing(title="Row A", price=Money.parse("25", "USD"), event_id=event.id)
            tickets = await market.tickets.list("sam", [listing] * 8)
            self.event = event.id
            for buyer, ticket in zip(BUYERS, tickets, strict=False):
                order = (await market.orders.place(buyer, [ticket.id])).order
                self.paid.append((await market.payments.pay(buyer, order.id, token="tok_visa")).order_id)
            self.open = (await market.orders.place("eve", [tickets[4].id])).order.id

    def given_back(self) -> list[int]:
        """What the provider gave back of each payment."""
        return sorted(booked.refunded for booked in read_books(self.journal).charges)

    def finished(self) -> None:
        """Run the services until everybody has their money back, and all else that is under way is done."""

        async def work() -> None:
            async with self.market():
                with anyio.fail_after(60):
                    while self.given_back() != [2500] * 4:  # noqa: ASYNC110 - the books are a file
                        await anyio.sleep(0.05)

        anyio.run(work)
        assert self.given_back() == [2500] * 4
        assert len(read_books(self.journal).refunds) == 4


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Hall:
    """What tests begin with."""
    hall = Hall(tmp_path_factory.mktemp("filled"))
    anyio.run(hall.fill)
    return hall


@pytest.fixture
def hall(filled: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    """A copy of it, which the settings name."""
    hall = Hall(Path(shutil.copytree(filled.folder, tmp_path / "hall")))
    hall.event, hall.open, hall.paid = filled.event, filled.open, filled.paid
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", hall.url)
    monkeypatch.setenv("TICKETKIT_PAYMENTS_STORAGE_URL", hall.money)
    return hall


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=answer)


def read(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_sales_are_paused_and_resumed(hall: Hall) -> None:
    assert run("sales", "pause", hall.event).output.startswith("The sales of Hamlet are paused.")
    assert run("sales", "resume", hall.event).output == "The sales of Hamlet go on.\n"


def test_a_dry_run_says_what_a_cancellation_would_do(hall: Hall) -> None:
    for _ in range(2):
        assert read("sales", "cancel", hall.event, "--dry-run") == {
            "dryRun": True,
            "liveEvent": {"id": hall.event, "name": "Hamlet", "status": "scheduled"},
            "forSale": 3,
            "openOrders": 1,
            "beingPaid": 0,
            "toRefund": 4,
            "amounts": [{"amount": "100.00", "currency": "USD"}],
        }
    shown = run("sales", "cancel", hall.event, "--dry-run").output
    assert "3 tickets that are for sale are to be withdrawn" in shown
    assert "4 paid orders are to be refunded: 100.00 USD, less what was given back before" in shown


def test_a_cancellation_asks_first_and_then_gives_everybody_their_money_back(hall: Hall) -> None:
    refused = run("sales", "cancel", hall.event, answer="n\n")
    assert (refused.exit_code, "Cancel it and refund everybody, for good?" in refused.output) == (1, True)
    assert read("sales", "cancel", hall.event, "--dry-run")["liveEvent"]["status"] == "scheduled"
    done = run("sales", "cancel", hall.event, answer="y\n")
    assert (done.exit_code, "4 paid orders are refunded: 100.00 USD" in done.output) == (0, True)
    hall.finished()
    again = run("sales", "cancel", hall.event)
    assert (again.exit_code, "there is nothing to do" in again.output) == (0, True)


def test_what_is_not_there_and_what_can_not_be_shared_is_said(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("sales", "pause"), ("sales", "cancel", "--yes"), ("locks", "release")):
        missing = run(*command, "nothing")
        assert (missing.exit_code, "There is no" in missing.stderr) == (1, True)
    assert run("sales", "cancel", hall.event, "--json").exit_code == 2
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", "memory:")
    alone = run("locks", "list")
    assert (alone.exit_code, "TICKETKIT_STORAGE_URL" in alone.stderr) == (2, True)


@pytest.mark.parametrize("step", [2, 5])
def test_one_that_is_interrupted_says_that_it_can_go_on_and_does(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    @contextmanager
    def interrupting(*, shown: bool) -> Iterator[sales.Step]:
        yield lambda done, _of: signal.raise_signal(signal.SIGINT) if done == step else None

    with monkeypatch.context() as patched:
        patched.setattr(sales, "_progress", interrupting)
        done = run("sales", "cancel", hall.event, "--yes")
    assert (done.exit_code, done.stderr.strip()) == (130, sales.INTERRUPTED)
    left = read("sales", "cancel", hall.event, "--dry-run")
    assert left["liveEvent"]["status"] == "cancelled"
    assert left["forSale"] > 0
    assert run("sales", "cancel", hall.event, "--yes").exit_code == 0
    hall.finished()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("step", [1, 4])
def test_one_that_is_killed_is_finished_by_the_services_without_another_word(hall: Hall, step: int) -> None:
    command = [sys.executable, str(Path(__file__).parent / "cancelling.py"), hall.url, hall.event, str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = read("sales", "cancel", hall.event, "--dry-run")
    assert (left["liveEvent"]["status"], left["forSale"]) == ("cancelled", 3)
    hall.finished()
    assert read("sales", "cancel", hall.event, "--dry-run")["forSale"] == 0


def test_locks_are_listed_and_one_is_released(hall: Hall) -> None:
    [lock] = read("locks", "list")
    assert (lock["orderId"], lock["userId"], lock["status"]) == (hall.open, "eve", "created")
    assert 0 < lock["secondsLeft"] <= 900
    [line] = run("locks", "list").output.splitlines()
    assert line.startswith(hall.open)
    assert "1 tickets  25.00 USD  buyer eve" in line
    assert run("locks", "release", hall.open).output == f"{hall.open} is released: its 1 tickets are free.\n"
    assert run("locks", "list").output == "No order holds a ticket.\n"
    paid = run("locks", "release", hall.paid[0])
    assert (paid.exit_code, paid.stderr) == (1, "ticketkit: The order is paid.\n")
