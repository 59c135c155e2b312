"""`ticketkit-marketplace run`, as a process."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

import ticketkit_marketplace
from ticketkit_marketplace.demo.process import DidNotStart, Process

SHOWS = ("--show", "Grand Horizons")
SEATS = 585
DRAIN = 10
"""Seconds that a stop waits for open requests."""


@pytest.fixture
def process(tmp_path: Path) -> "Iterator[Process]":
    made = Process(tmp_path / "data", environment={}, arguments=SHOWS)
    yield made
    made.kill()


def get(process: Process, path: str) -> str:
    with urlopen(f"http://{process.host}:{process.port}{path}") as answer:
        text: str = answer.read().decode()
        return text


def tickets(process: Process) -> int:
    with closing(sqlite3.connect(process.data / "ticketkit.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM ticketkit_tickets").fetchone()
        return int(count)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_lists_the_week_once_answers_and_stops_cleanly(process: Process, number: signal.Signals) -> None:
    process.start()
    assert f"The marketplace is on http://127.0.0.1:{process.port}" in process.said
    assert any(f"Listed {SEATS} tickets of 1 live events." in line for line in process.said)
    assert "Grand Horizons" in get(process, "/")
    assert json.loads(get(process, "/readyz"))["status"] == "ready"
    with urlopen(f"http://{process.host}:{process.port}/live?event={process.port}") as stream:  # a page that stays open
        assert stream.readline().startswith(b"retry:")
        began = time.monotonic()
        assert process.stop(number=number) == 0
        assert time.monotonic() - began < DRAIN, "it did not wait for a stream that ends by nothing else"
        assert stream.read() == b"\n"
    process.said.clear()
    process.start()
    assert process.said[1:] == [f"The marketplace is on http://127.0.0.1:{process.port}"]
    assert process.said[0].startswith("The operations page is on http://127.0.0.1:")
    assert process.stop(number=number) == 0
    assert tickets(process) == SEATS
    log = (process.data / "server.log").read_text()
    assert "Traceback" not in log
    assert "WARNING" not in log.upper()
    assert "ERROR" not in log.upper()


def test_the_box_office_can_sign_in(process: Process) -> None:
    process.start()
    file = process.data / "box-office.json"
    assert file.stat().st_mode & 0o077 == 0
    process.kill()
    assert json.loads(file.read_text())["email"] == "box-office@ticketkit.example"


def ops_of(process: Process) -> str:
    """Where its operations page is."""
    [line] = [line for line in process.said if line.startswith("The operations page is on ")]
    assert line.endswith(f"; its account is in {process.data / 'operator.json'}")
    return line.split()[5].removesuffix(";")


def test_the_operations_page_is_on_the_next_port_or_a_free_one_if_that_is_taken(process: Process) -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", process.port + 1))
            taken.listen()
        except OSError:  # somebody else has it, which is as good
            pass
        process.start()
        assert ops_of(process) != f"http://127.0.0.1:{process.port + 1}/ops"
    file = process.data / "operator.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["email"] == "operator@ticketkit.example"
    with urlopen(ops_of(process)) as answer:  # noqa: S310 - its own address
        assert "<h1>Sign in</h1>" in answer.read().decode()
    process.stop()


def test_a_port_of_the_operations_page_that_was_asked_for_and_is_in_use_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run("--data", str(tmp_path / "data"), "--ops-port", str(taken.getsockname()[1]))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "Address already in use" in ended.stderr


def test_a_port_in_use_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(DidNotStart, match=f"Can't listen on 127.0.0.1:{port}: Address already in use"):
            Process(tmp_path / "data", environment={}, port=port).start()


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ticketkit_marketplace", "run", "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_data_folder_that_is_a_file_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    ended = run("--data", str(tmp_path / "data"))
    assert ended.returncode != 0
    assert ended.stderr.count("\n") <= 5
    assert "data" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_can_not_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    # Root may write into any folder but those that the kernel makes up.
    ended = run("--data", "/proc" if os.geteuid() == 0 else str(tmp_path))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "can't be " in ended.stderr


def test_a_data_folder_below_a_file_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run("--data", str(tmp_path / "file" / "data"))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "can't be made: Not a directory" in ended.stderr


def test_a_database_that_is_none_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "ticketkit.db").write_text("this is no database, but some text " * 100)
    ended = run("--data", str(tmp_path))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "can't be opened" in ended.stderr


def test_a_show_that_is_not_on_is_said() -> None:
    ended = run("--show", "Cats")
    assert ended.returncode == 2
    assert "No show is called that" in ended.stderr


def test_it_starts_anew_when_a_file_is_saved(process: Process) -> None:
    reloading = Process(process.data, environment={}, arguments=[*SHOWS, "--reload"])
    try:
        reloading.start()
        answers = f"The marketplace is on http://127.0.0.1:{reloading.port}"
        stylesheet = Path(ticketkit_marketplace.__file__).parent / "web" / "static" / "style.css"
        stylesheet.touch()
        deadline = time.monotonic() + 30
        while reloading.said.count(answers) < 2:
            assert time.monotonic() < deadline, reloading.said
            time.sleep(0.05)
        os.killpg(reloading.pid, signal.SIGINT)  # as a terminal does it
        assert reloading._alive().wait(20) == 0
    finally:
        reloading.kill()
    assert "Traceback" not in (process.data / "server.log").read_text()
