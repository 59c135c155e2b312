"""The one command, over real HTTP: a server of its own, a purchase, a race, and Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import httpx2
import pytest


@pytest.fixture
def port() -> int:
    """One that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(port: int, database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running."""
    options = ["--port", str(port), "--database", database_url]
    command = [sys.executable, "-m", "ticketkit_embedded", *options]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        yield process
        process.kill()


@pytest.fixture
async def browse(served: subprocess.Popen[bytes], port: int) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser, once the app answers."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        await answering(client, served)
        yield client


async def answering(client: httpx2.AsyncClient, process: subprocess.Popen[Any]) -> None:
    """Wait until the app answers."""
    with anyio.fail_after(60):
        while process.poll() is None:
            try:
                await client.get("/shows")
            except httpx2.ConnectError:
                await anyio.sleep(0.05)
            else:
                return
    pytest.fail("the app has ended")


async def joined(browse: httpx2.AsyncClient, name: str) -> dict[str, str]:
    body = {"name": name, "email": f"{name}@example.com", "password": "correct horse battery"}
    token = (await browse.post("/join", json=body)).cookies["lantern"]
    browse.cookies.clear()
    return {"cookie": f"lantern={token}"}


async def test_a_seat_is_raced_for_bought_and_receipted_over_http(
    browse: httpx2.AsyncClient, served: subprocess.Popen[bytes], database_url: str, tmp_path: Path
) -> None:
    [show, *_] = (await browse.get("/shows")).json()
    [seat, *_] = (await browse.get(f"/shows/{show['id']}/seats")).json()
    rivals = [await joined(browse, f"rival{number}") for number in range(4)]
    won: list[tuple[dict[str, str], str]] = []
    answers: Counter[str] = Counter()

    async def race(rival: dict[str, str]) -> None:
        answer = await browse.post("/bookings", json={"seats": [seat["id"]]}, headers=rival)
        answers[answer.json().get("code", "booked")] += 1
        if answer.status_code == 201:
            won.append((rival, answer.json()["id"]))

    async with anyio.create_task_group() as group:
        for rival in rivals:
            for _ in range(3):
                group.start_soon(race, rival)
    assert answers == {"booked": 1, "ticket_locked": 11}

    [(winner, booking)] = won
    paid = await browse.post(f"/bookings/{booking}/pay", json={"token": "tok_visa"}, headers=winner)
    assert paid.json() == {"status": "completed", "amount": "25.70 EUR", "reason": None}
    for page in ("/docs", "/shop/docs"):
        assert (await browse.get(page)).status_code == 200

    served.send_signal(signal.SIGINT)
    assert served.wait(30) == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT order_id FROM receipts") == booking, "it stops when all is handled"
    await connection.close()


@pytest.fixture
def alone(port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, running, without a database of ours."""
    command = [sys.executable, "-m", "ticketkit_embedded", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.send_signal(signal.SIGINT)  # so that its server ends, too


async def test_without_a_database_one_is_started_and_ended_with_the_app(
    alone: subprocess.Popen[str], port: int
) -> None:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        await answering(client, alone)
        shows = (await client.get("/shows")).json()
    alone.send_signal(signal.SIGINT)
    printed, _ = alone.communicate(timeout=30)
    assert [show["title"] for show in shows] == ["The Cherry Orchard", "Endgame"]
    assert alone.returncode == 0, printed
    assert printed.splitlines() == [
        "Starting a PostgreSQL of its own ...",
        f"The Lantern is on http://127.0.0.1:{port}/docs and /shop/docs",
    ]
