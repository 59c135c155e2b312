"""`ticketkit-marketplace services`: real servers, six processes and more, one address."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.to_thread import run_sync

from ticketkit.backends.errors import Misconfigured
from ticketkit.runtime.settings import Settings
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.deployment import running, state
from ticketkit_marketplace.deployment.running import LOCK

SHOW = "Grand Horizons"
NAMES = ["auth", "tickets", "orders-1", "orders-2", "expiration", "payments", "web", "ops"]


@pytest.fixture
def process(open_folder: Path) -> Iterator[Process]:
    made = Process(
        open_folder,
        environment={},
        arguments=["--show", SHOW, "--orders", "2", "--log", "json"],
        program=("ticketkit_marketplace", "services"),
        name="all",
    )
    yield made
    if made.running:
        made.stop(seconds=60)


def told(folder: Path) -> dict[str, int]:
    """Process ids by name."""
    found = json.loads((folder / state.FILE).read_text())["processes"]
    return {name: one["pid"] for name, one in found.items()}


def children(pid: int) -> dict[int, str]:
    """Command lines of the children of a process, by their ids."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], check=True, capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return {int(row[0]): row[2] for row in rows if int(row[1]) == pid and "<defunct>" not in row[2]}


def asked(title: str, words: bytes) -> set[str]:
    """What Redis answers, by the address in the title of its process."""
    host, port = title.rsplit(maxsplit=1)[-1].split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(words + b"\r\n")
        return set(connection.recv(4096).decode().split("\r\n"))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ops(process: Process) -> str:
    """Where the operations page is."""
    (line,) = [line for line in process.said if line.startswith("The operations page is on ")]
    return line.split()[5].rstrip(";")


async def buy(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Sign up, order the first ticket that is free, and pay for it: the order at its end."""
    signed_up = await client.post(
        "/api/users/signup", json={"email": "ada@ticketkit.example", "password": "front row 1"}
    )
    assert signed_up.status_code == 201, signed_up.text
    (event,) = (await client.get("/api/events", params={"q": SHOW})).json()
    ticket = (await client.get(f"/api/events/{event['id']}/tickets")).json()[0]
    ordered = await client.post("/api/orders", json={"ticketId": ticket["id"]})
    assert ordered.status_code == 201, ordered.text
    order: dict[str, Any] = ordered.json()
    with anyio.fail_after(30):
        while True:
            paid = await client.post("/api/payments", json={"orderId": order["id"], "token": "tok_visa"})
            if paid.status_code != 404:  # payments hears of the order in a moment
                break
        assert paid.status_code in (200, 201, 202), paid.text
        while order["status"] != "completed":
            order = (await client.get(f"/api/orders/{order['id']}")).json()
    return order


@pytest.mark.proof
async def test_from_the_first_start_to_a_paid_ticket_and_to_the_second_start(process: Process) -> None:
    await run_sync(process.start)
    supervisor, pids = process.pid, told(process.data)
    assert list(pids) == NAMES
    began = children(supervisor)
    assert set(pids.values()) < began.keys()
    servers = [line for pid, line in began.items() if pid not in pids.values()]
    assert len(servers) == 3, servers
    (redis,) = [line for line in servers if "redis-server" in line]
    assert asked(redis, b"CONFIG GET append*") >= {"appendonly", "yes", "appendfsync", "always"}
    assert 'sync_interval: "always"' in (process.data / "nats" / "nats.conf").read_text()
    url = f"http://{process.host}:{process.port}"
    async with httpx2.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=30) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        order = await buy(client)
        passes = await client.get(f"/api/orders/{order['id']}/passes")
        assert (passes.status_code, len(passes.json())) == (200, 1)
        page = await client.get(f"/orders/{order['id']}")
        assert (page.status_code, SHOW in page.text) == (200, True)
        session = client.cookies["session"]
        page = await client.get(ops(process), follow_redirects=True)
        assert (page.status_code, page.url.path) == (200, "/ops/sign-in")
    assert await run_sync(lambda: process.stop(number=signal.SIGINT, seconds=60)) == 0
    assert [line for pid, line in began.items() if alive(pid)] == []
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert {line["process"] for line in lines} >= {"services", "list"}
    assert [line for line in lines if line["level"] in ("error", "critical")] == []

    process.said.clear()
    await run_sync(process.start)
    assert process.said[-1] == f"The marketplace is on {url}"
    assert not any(
        line["process"] == "list" for line in map(json.loads, process.log.read_text().splitlines()[len(lines) :])
    )
    async with httpx2.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=30) as client:
        found = await client.get(f"/api/orders/{order['id']}", headers={"cookie": f"session={session}"})
        assert (found.status_code, found.json()["status"]) == (200, "completed"), "keys and data were found again"
    assert await run_sync(lambda: process.stop(seconds=60)) == 0


@pytest.mark.proof
def test_broken_off_in_the_middle_of_its_start_it_leaves_nothing(process: Process) -> None:
    process.spawn()
    while not (process.data / "orders-2.log").exists():  # the processes start, after the servers
        assert process.running
        time.sleep(0.05)
    began = children(process.pid)
    assert len(began) >= 3
    assert process.stop(number=signal.SIGINT, seconds=60) == 0
    assert [line for pid, line in began.items() if alive(pid)] == []


def test_a_data_folder_in_use_is_said(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Misconfigured, match=r"runs on the data folder .* already. Choose another --data"):
            running.run(Settings(data_dir=tmp_path), running.Wish(port=0), say=pytest.fail)
    assert [file.name for file in tmp_path.iterdir()] == [LOCK]
