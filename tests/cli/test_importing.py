"""`ticketkit import`: what sellers see."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.storage import TicketQuery
from ticketkit.cli import main
from ticketkit.marketplace import Marketplace

SELLER = "seller@example.com"
FILE = "event,venue,starts_at,seat,price\nHamlet,Globe,2099-01-31T19:00Z,A1,25\nHamlet,Globe,2099-01-31T19:00Z,A2,30\n"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'market.db'}"


def run(*args: str, text: "str | bytes" = FILE, env: "dict[str, str] | None" = None) -> Result:
    return CliRunner().invoke(main, ["import", *args], input=text, env=env)


def summary(*args: str, **options: Any) -> Any:
    result = run(*args, "--json", **options)
    return json.loads(result.stdout)


def test_a_file_is_listed(url: str) -> None:
    found = summary("-", "--seller", SELLER, "--create-seller", "--storage", url)
    assert (found["tickets"], found["announced"], found["already"]) == (2, 1, False)
    assert found["seller"]["email"] == SELLER
    assert [event["name"] for event in found["liveEvents"]] == ["Hamlet"]


def test_the_seller_that_was_made_can_sign_in(url: str) -> None:
    found = summary("-", "--seller", SELLER, "--create-seller", "--storage", url)

    async def sign_in() -> str:
        async with Marketplace(url, timers="memory:") as market:
            return (await market.auth.sign_in(SELLER, found["password"])).user.id

    assert anyio.run(sign_in) == found["seller"]["id"]


def test_the_same_file_again_says_so(url: str) -> None:
    first = run("-", "--seller", SELLER, "--create-seller", "--storage", url)
    assert "Listed 2 tickets of 1 live events, 1 of them new." in first.output
    again = run("-", "--seller", SELLER, "--storage", url)
    assert again.exit_code == 0
    assert "Already imported" in again.output


def test_bad_rows_are_named_and_nothing_is_written(url: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(FILE + "Hamlet,Globe,soon,A3,free\n")
    result = run(str(file), "--seller", SELLER, "--create-seller", "--storage", url)
    assert result.exit_code == 1
    assert f"{file} can't be imported, so nothing was listed:" in result.stderr
    assert "line 4, starts_at: 'soon' is not a time" in result.stderr
    assert "line 4, price: 'free' is not an amount" in result.stderr
    assert not (tmp_path / "market.db").exists()


def test_bad_rows_as_json(url: str) -> None:
    result = run("-", "--seller", SELLER, "--storage", url, "--json", text="event\nHamlet\n")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["total"] == 3
    assert found["problems"][0] == {"line": 1, "column": "venue", "reason": "This column is missing."}


def test_a_dry_run_touches_no_database(url: str, tmp_path: Path) -> None:
    result = run("-", "--dry-run", "--storage", url)
    assert result.exit_code == 0
    assert "The file is good: 2 tickets of 1 live events." in result.output
    assert not (tmp_path / "market.db").exists()


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["-"], 2, "--seller EMAIL"),
        ([], 2, "which FILE"),
        (["there-is-no-such-file.csv", "--seller", SELLER], 2, "No such file"),
        (["-", "--seller", SELLER], 1, "There is no account seller@example.com"),
        (["-", "--seller", "nonsense", "--create-seller"], 1, "'nonsense' is no e-mail address"),
        (["-", "--seller", SELLER, "--storage", "memory:"], 2, "lives inside one process"),
        (["-", "--seller", SELLER, "--storage", "nonsense://"], 2, "nonsense"),
    ],
)
def test_what_can_not_be_done_is_said(args: "list[str]", status: int, words: str, url: str) -> None:
    result = run(*args, env={"TICKETKIT_STORAGE_URL": url})
    assert (result.exit_code, words in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr


def test_the_columns_are_documented() -> None:
    result = run("--columns")
    assert "starts_at" in result.output
    assert "IANA time zone" in result.output


def test_it_lists_while_a_server_runs_on_the_same_file(url: str, tmp_path: Path) -> None:
    file = tmp_path / "week.csv"
    file.write_text("event,venue,starts_at,quantity,price\n" + "Hamlet,Globe,2099-01-31T19:00Z,3000,25\n")

    async def serve() -> "tuple[int, int]":
        async with Marketplace(url, timers="memory:") as market:
            process = await anyio.run_process(
                [*command(), str(file), "--seller", SELLER, "--create-seller", "--storage", url, "--json"]
            )
            seen = await market.tickets.find(TicketQuery(limit=10))
            await market.runtime.drain(20)
            unpublished = (await market.runtime.backends.distinct["accounts+inventory+payments"].totals()).unpublished
            return json.loads(process.stdout)["tickets"] - 3000 + len(seen.items), unpublished

    assert anyio.run(serve) == (10, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_all_or_nothing(url: str, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("event,venue,starts_at,quantity,price,seat\n" + block(9_000, "A") + block(9_000, "B"))
    assert summary("-", "--seller", SELLER, "--create-seller", "--storage", url)["tickets"] == 2
    process = subprocess.Popen(
        [*command(), str(file), "--seller", SELLER, "--storage", url], stderr=subprocess.PIPE, env=os.environ
    )
    wait_until_open(process.pid, tmp_path / "market.db")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    with sqlite3.connect(tmp_path / "market.db") as database:
        (count,) = database.execute("SELECT count(*) FROM ticketkit_tickets").fetchone()
    database.close()
    assert count in (2, 18_002)
    if process.returncode:
        assert (process.returncode, b"Interrupted" in error, b"Traceback" in error) == (130, True, False), error
    again = summary(str(file), "--seller", SELLER, "--storage", url)
    assert again["already"] == (count != 2)


def block(quantity: int, name: str) -> str:
    return f"Hamlet,Globe,2099-01-31T19:00Z,{quantity},25,{name}\n"


def command() -> "list[str]":
    return [sys.executable, "-c", "from ticketkit.cli import main; main()", "import"]


def wait_until_open(pid: int, path: Path) -> None:
    """Wait until a process has a file open (or is gone)."""
    folder = Path(f"/proc/{pid}/fd")
    while folder.exists():
        with suppress(OSError):  # a file that was closed meanwhile
            if any(entry.resolve() == path for entry in folder.iterdir()):
                return
