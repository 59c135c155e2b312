"""Any process may end at any time while buyers are at it: nothing is lost, and nothing is sold twice."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync
from services.test_services import NAMES, SHOW, told

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.backends.storage import Storage
from ticketkit.memory import read_books
from ticketkit.plugins import Plugins
from ticketkit.services.catalogue import Boundary
from ticketkit_marketplace.combinations import ACCOUNTS, BUS, PAYMENTS, STORAGE, provided
from ticketkit_marketplace.demo.buyers import Account, Rush, Tally, sign_up
from ticketkit_marketplace.demo.conductor import _dead_letters, _still, _until
from ticketkit_marketplace.demo.invariants import check, snapshot
from ticketkit_marketplace.demo.plain_sql import check_plainly
from ticketkit_marketplace.demo.process import Process
from ticketkit_marketplace.demo.wire import Wire

BUYERS = 24
SEATS = 8
"""Of each wave."""
BOUND = 900.0
"""Seconds for all: a quiet machine needs a tenth."""


@asynccontextmanager
async def opened(urls: dict[Boundary, str]) -> AsyncIterator[dict[Boundary, Storage]]:
    plugins = Plugins.load()
    async with AsyncExitStack() as stack:
        yield {
            boundary: await stack.enter_async_context(plugins.open(BackendKind.STORAGE, url, Context()))
            for boundary, url in urls.items()
        }


async def waves(wire: Wire, accounts: list[Account], tally: Tally, over: anyio.Event) -> None:
    """Buyers go for the next cheapest seats, again and again."""
    (event,) = (await wire.request("GET", f"/api/events?q={SHOW.replace(' ', '%20')}")).json()
    seed = 0
    while not over.is_set():
        seed += 1
        path = f"/api/events/{event['id']}/tickets?sort=price&limit={SEATS}"
        rush = Rush(wire=wire, event_id=event["id"], wanted=frozenset(), highest=0, hold=6.0, patient=True, seed=seed)
        found = (await rush._ask("GET", path)).json()
        rush.wanted, rush.highest = frozenset(ticket["id"] for ticket in found), found[-1]["price"]
        rush.tally = Tally(tally.counts, tally.orders, tally.payments, tally.acknowledged, set(), tally.unexpected)
        await rush.run(accounts, seconds=60)
        tally.paid |= rush.tally.paid


async def restart(folder: Path, name: str, number: signal.Signals) -> None:
    """End a process, and wait until it is there again."""
    pid = told(folder)[name]
    os.kill(pid, number)
    with anyio.fail_after(120):
        while told(folder).get(name, pid) == pid:  # noqa: ASYNC110 - another process makes it so
            await anyio.sleep(0.05)


@pytest.mark.proof
async def test_every_process_is_restarted_under_load_and_nothing_is_lost(open_folder: Path) -> None:
    settings = {
        "TICKETKIT_HOLD": "6",
        "TICKETKIT_PAYMENT_GRACE": "6",
        "TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "100000",
    }
    with provided("nats-redis", open_folder, apart=True, flushed=True) as ground:
        process = Process(
            open_folder,
            environment={**settings, **ground.urls},
            arguments=["--show", SHOW, "--orders", "2", "--log", "json"],
            program=("ticketkit_marketplace", "services"),
            name="all",
        )
        databases = {
            Boundary.INVENTORY: ground.urls[STORAGE],
            Boundary.ACCOUNTS: ground.urls[ACCOUNTS],
            Boundary.PAYMENTS: ground.urls[PAYMENTS],
        }
        try:
            with anyio.fail_after(BOUND):
                await run_sync(process.start)
                async with opened(databases) as storages:
                    tally, over = Tally(), anyio.Event()
                    wire = Wire(process.host, process.port, connections=16)
                    accounts = await sign_up(wire, BUYERS, prefix="buyer", on_step=lambda _: None)
                    async with anyio.create_task_group() as group:
                        group.start_soon(waves, wire, accounts, tally, over)
                        for number in (signal.SIGTERM, signal.SIGKILL):
                            for name in NAMES:
                                await restart(open_folder, name, number)
                        over.set()
                    wire.close()
                    await _until(partial(_still, storages), seconds=120)
                    assert await run_sync(lambda: process.stop(seconds=60)) == 0
                    found = await snapshot(
                        storages,
                        read_books(open_folder / "fake-payments.jsonl"),
                        letters=await _dead_letters(ground.urls[BUS]),
                        acknowledged=tally.acknowledged,
                        paid=tally.paid,
                    )
                    findings = [*check(found), *await check_plainly(databases)]
        finally:
            process.kill()
    assert [f"{finding.name}: {finding.detail}" for finding in findings if not finding.holds] == []
    assert tally.unexpected == []
    assert len(tally.paid) >= SEATS
    log = process.log.read_text()
    assert all(f"{name} is ready again" in log for name in NAMES)
    assert log.count("was ended by SIGKILL") == len(NAMES)
