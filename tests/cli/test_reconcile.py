"""`ticketkit reconcile` after a process was killed in the middle of payments.

Ctrl-C is sent to a process of its own; all else runs in this one, which has imported the library already.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner, Result
from tests.runtime.processes import wait_until

from ticketkit.cli import main
from ticketkit.marketplace import Marketplace
from ticketkit.memory import read_books
from ticketkit.services.comparison import REPAIRS, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


class Left:
    """What a killed process left behind in a folder."""

    def __init__(self, folder: Path) -> None:
        self.url, self.journal = f"sqlite:///{folder / 'shop.db'}", folder / "books.jsonl"
        self.ids: dict[str, str] = json.loads((folder / "ids.json").read_text())

    @property
    def env(self) -> Mapping[str, str]:
        return {**os.environ, "TICKETKIT_STORAGE_URL": self.url, "TICKETKIT_PAYMENTS": f"fake://{self.journal}"}

    def reconcile(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["reconcile", *arguments], env=self.env)

    def report(self, *arguments: str) -> Any:
        done = self.reconcile("--json", "--pace", "0", *arguments)
        assert done.exit_code in (0, 1), done.stderr
        found = json.loads(done.stdout)
        assert found["well"] == (done.exit_code == 0)
        return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a marketplace was killed."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, str(Path(__file__).parent / "dying.py"), f"sqlite:///{folder / 'shop.db'}"]
    done = subprocess.run([*command, str(folder / "books.jsonl")], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (folder / "ids.json").write_text(done.stdout)
    return folder


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Left:
    return Left(Path(shutil.copytree(killed, tmp_path / "left")))


def test_what_a_killed_process_left_is_listed_finished_and_stays_so(left: Left) -> None:
    before = left.journal.read_bytes()
    listed = left.report("--dry-run")
    assert (listed["dryRun"], listed["finished"]) == (True, [])
    assert sorted(one["trouble"] for one in listed["findings"]) == ["refund_open", "unfinished", "void_owed"]
    assert {one["needs"] for one in listed["findings"]} == {"ticketkit"}
    assert left.journal.read_bytes() == before, "a dry run changes nothing"

    done = left.report()
    assert done["findings"] == []
    assert {one["chargeId"]: one["status"] for one in done["finished"]}.items() >= {
        left.ids["givenUp"]: "failed",
        left.ids["paid"]: "completed",
    }.items()
    assert len(done["finished"]) == 3
    books = read_books(left.journal)
    assert sorted(str(charge.status) for charge in books.charges) == ["captured", "captured", "void"]
    assert [refund.amount.minor for refund in books.refunds] == [500]

    again = left.report("--all")
    assert (again["charges"], again["findings"], again["finished"]) == (3, [], [])
    assert read_books(left.journal) == books, "money moved once"


def test_the_events_of_what_was_finished_are_told_when_the_services_run_again(left: Left) -> None:
    left.report()

    async def order() -> str:
        async with Marketplace(left.url, timers="memory:", payments=f"fake://{left.journal}") as market:
            await market.runtime.drain(20)
            return (await market.orders.get("three", left.ids["capturedOrder"])).order.status

    assert anyio.run(order) == "completed"


def test_for_people_what_is_left_is_said_with_its_repair(left: Left) -> None:
    said = left.reconcile("--dry-run")
    assert said.exit_code == 0
    assert f"void_owed: charge {left.ids['givenUp']}" in said.stdout
    assert "→ The payments service does it by itself" in said.stdout
    assert "3 can be finished" in said.stdout
    done = left.reconcile()
    assert done.stdout.count("finished: charge") == 3
    assert done.stderr == ""


def test_books_that_say_something_else_need_people_and_exit_with_1(left: Left) -> None:
    left.report()
    lines = left.journal.read_text().splitlines()
    refunds = [line for line in lines if '"refund","' in line]
    left.journal.write_text("\n".join(line for line in lines if line not in refunds) + "\n")
    found = left.report("--all")
    assert [(one["trouble"], one["needs"]) for one in found["findings"]] == [("refund_bounced", "people")]
    assert found["findings"][0]["chargeId"] == left.ids["paid"]
    assert "5.00 USD" in found["findings"][0]["what"]


def test_ctrl_c_stops_cleanly(left: Left) -> None:
    command = [sys.executable, "-m", "ticketkit", "reconcile", "--json", "--pace", "0.5"]
    child = subprocess.Popen(command, env=left.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = left.journal.stat().st_size
    wait_until("the first is done", lambda: left.journal.stat().st_size > before or child.poll() is not None)
    child.send_signal(signal.SIGINT)
    told, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    assert errors.startswith("Interrupted")
    assert "Traceback" not in errors
    report = json.loads(told)
    assert report["interrupted"]
    assert len(report["finished"]) < 3
    assert left.report()["findings"] == []


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        ((), {"TICKETKIT_STORAGE_URL": "memory:"}, "lives inside one process"),
        ((), {"TICKETKIT_PAYMENTS": "fake"}, "forgets every payment"),
        ((), {"TICKETKIT_PAYMENTS": "nonsense://"}, "nonsense"),
        (("--adopt",), {}, "--all"),
        (("--adopt", "--all", "--dry-run"), {}, "--dry-run"),
        (("--pace", "-1"), {}, "-1"),
    ],
)
def test_what_is_wrong_is_said_and_exits_with_2(
    arguments: tuple[str, ...], env: dict[str, str], words: str, tmp_path: Path
) -> None:
    given = {"TICKETKIT_DATA_DIR": str(tmp_path), **env}
    done = CliRunner().invoke(main, ["reconcile", *arguments], env=given)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


def test_the_page_for_operators_has_every_trouble_with_who_ends_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", page.partition("### What it finds\n")[2], re.MULTILINE)
    assert rows == [(trouble.value, REPAIRS[trouble].needs.value) for trouble in Trouble]


def test_nothing_to_reconcile_is_well(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["reconcile", "--json"], env={"TICKETKIT_DATA_DIR": str(tmp_path)})
    assert (done.exit_code, json.loads(done.stdout)["well"]) == (0, True)
