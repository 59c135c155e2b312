"""The demonstration, small enough for every day, and in full as a proof."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ticketkit import Listing, Marketplace, Money
from ticketkit.backends.errors import Misconfigured
from ticketkit_marketplace.demo import report
from ticketkit_marketplace.demo.conductor import Outcome, Plan, perform
from ticketkit_marketplace.demo.system import Shape


def broken(outcome: Outcome) -> "list[str]":
    return [f"{finding.name}: {finding.detail}" for finding in outcome.findings if not finding.holds]


def small(data: Path, *, kill: bool, **more: Any) -> Plan:
    return Plan(
        data=data,
        buyers=40,
        tickets=12,
        listed=0,
        show="Grand Horizons",
        shows=("Grand Horizons",),
        hold=1.5,
        grace=1.5,
        kill=kill,
        seconds=45,
        **more,
    )


@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "killed"])
async def test_all_seats_are_sold_once_and_the_books_agree(tmp_path: Path, *, kill: bool) -> None:
    outcome = await perform(small(tmp_path / "data", kill=kill))
    assert broken(outcome) == []
    assert (outcome.sold, outcome.completed) == (12, 12)
    assert (outcome.restart_seconds is not None) == kill
    shown = report.as_json(outcome)
    assert shown["sold"] == 12
    assert all(invariant["holds"] for invariant in shown["invariants"])


@pytest.mark.proof
@pytest.mark.parametrize("kill", [False, True], ids=["undisturbed", "killed"])
async def test_a_thousand_buyers(tmp_path: Path, *, kill: bool) -> None:
    outcome = await perform(Plan(data=tmp_path / "data", kill=kill))
    assert broken(outcome) == []
    assert outcome.sold == 200
    assert report.passed(outcome), report.limits(outcome)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("backends", "shape"),
    [
        ("sqlite", Shape.FIVE),
        ("stripe", Shape.ONE),
        ("redis-stripe", Shape.FIVE),
        ("nats", Shape.ONE),
        ("nats", Shape.FIVE),
        ("redis", Shape.ONE),
        ("redis", Shape.FIVE),
    ],
)
@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "everything killed"])
async def test_a_hundred_buyers_on_every_combination_and_shape(
    open_folder: Path, backends: str, shape: Shape, *, kills: bool
) -> None:
    more: dict[str, Any] = {
        "kill": kills,
        "kill_server": kills and backends not in ("sqlite", "stripe"),
        "seconds": 120,
    }
    outcome = await perform(
        Plan(data=open_folder, buyers=100, tickets=20, listed=0, backends=backends, processes=shape, **more)
    )
    assert broken(outcome) == []
    assert outcome.sold == 20
    assert (outcome.restart_seconds is not None) == kills
    assert (outcome.servers_seconds is not None) == more["kill_server"]


async def test_there_has_to_be_a_server_to_kill(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no server"):
        await perform(small(tmp_path / "data", kill=False, kill_server=True))


async def test_a_storage_that_is_in_use_is_no_stage(tmp_path: Path) -> None:
    plan = small(tmp_path / "data", kill=False)
    plan.data.mkdir()
    async with Marketplace(f"sqlite:///{plan.data / 'ticketkit.db'}") as market:
        await market.tickets.list("sam", [Listing(title="Seat", price=Money(100, "USD"))])
    with pytest.raises(Misconfigured, match="not empty"):
        await perform(plan)


def parents() -> "dict[int, int]":
    """Of every process, by its id."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    return {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demonstration_that_is_broken_off_leaves_no_server_running(open_folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "ticketkit_marketplace", "demo", "--backends", "redis", "--listed", "0"]
    child = subprocess.Popen(
        [*command, "--data", str(open_folder / "data")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    started: set[int] = set()
    try:
        deadline = time.monotonic() + 60
        while not (open_folder / "data" / "server.log").exists():  # the marketplace starts, after its servers
            assert child.poll() is None, child.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = {pid for pid, parent in parents().items() if parent == child.pid}
        assert len(started) >= 3  # PostgreSQL, Redis and the marketplace
        child.send_signal(number)
        assert child.wait(30) != 0
    finally:
        child.kill()
        child.communicate()
    assert not started & parents().keys()
