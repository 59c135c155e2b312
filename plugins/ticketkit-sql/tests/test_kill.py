"""Processes that die by SIGKILL while they write, and processes that race for the same tickets."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from ticketkit.backends.spec import Context
from ticketkit_sql.storage import open_storage

BUYER = """
import asyncio, sys
from functools import partial
from ticketkit.backends.spec import Context
from ticketkit.domain import orders
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import Ticket
from ticketkit.domain.errors import DomainError
from ticketkit.domain.policy import Policy
from ticketkit.ids import new_id
from ticketkit_sql.storage import open_storage

async def main(url, name, ids):
    async with open_storage(url, Context()) as storage:
        async def place(id):
            command = Command(id=new_id(), fresh=(new_id(),))
            decision = partial(orders.place, command=command, buyer_id=f"{name}{id}", ticket_ids=(id,), policy=Policy())
            try:
                await storage.decide(Keys.of(Ticket.key(id)), decision, command)
            except DomainError:
                print("lost", flush=True)
            else:
                print("won", command.id, flush=True)
        for start in range(0, len(ids), 20):
            await asyncio.gather(*(place(id) for id in ids[start : start + 20]))

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3].split(",")))
"""


def buyer(market: Any, name: str, ids: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUYER, market.url, name, ",".join(ids)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def everything_agrees(market: Any, won: set[str]) -> None:
    """Tickets, orders, lines, events and commands tell one story, and nothing that was acknowledged is missing."""
    locked = market.rows("SELECT id, order_id FROM ticketkit_tickets WHERE order_id IS NOT NULL")
    assert sorted(locked) == sorted(market.rows("SELECT ticket_id, order_id FROM ticketkit_order_lines WHERE live"))
    orders = {id for (id,) in market.rows("SELECT id FROM ticketkit_orders")}
    assert orders == {order for _, order in locked}
    assert orders == {
        id for (id,) in market.rows("SELECT subject FROM ticketkit_outbox WHERE type LIKE '%order.created%'")
    }
    commands = dict(market.rows("SELECT id, answer FROM ticketkit_commands WHERE answer LIKE '%\"order\"%'"))
    assert len(commands) == len(orders)
    assert won <= commands.keys()
    if market.admin is None:
        assert market.rows("PRAGMA integrity_check") == [("ok",)]
        assert market.rows("PRAGMA foreign_key_check") == []


@pytest.mark.anyio
async def test_two_processes_sell_each_ticket_once(market: Any) -> None:
    ids = [ticket.id for ticket in await market.offer(60)]
    racers = [buyer(market, name, ids) for name in "ab"]
    outputs = [await asyncio.to_thread(racer.communicate, None, 60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    lines = [line for out, _ in outputs for line in out.split("\n") if line]
    won = {line.split()[1] for line in lines if line.startswith("won")}
    assert len(won) == 60
    assert len(lines) == 120
    everything_agrees(market, won)


@pytest.mark.anyio
async def test_a_process_killed_while_it_writes_leaves_all_or_nothing(market: Any) -> None:
    ids = [ticket.id for ticket in await market.offer(900)]
    won: set[str] = set()
    for number in range(3):
        part = ids[number * 300 : (number + 1) * 300]
        victim = buyer(market, f"{number}", part)
        assert victim.stdout is not None
        await asyncio.to_thread(victim.stdout.readline)
        await asyncio.to_thread(time.sleep, 0.013 * number)
        victim.kill()
        rest = await asyncio.to_thread(victim.stdout.read)
        victim.wait(10)
        victim.stdout.close()
        won |= {words[1] for line in rest.split("\n") if len(words := line.split()) == 2}
    everything_agrees(market, {id for id in won if len(id) == 36})
    async with open_storage(market.url, Context()) as storage:
        again = market.of(storage)
        ((free,),) = market.rows("SELECT id FROM ticketkit_tickets WHERE order_id IS NULL LIMIT 1")
        await again.place("heir", free)
    everything_agrees(market, set())
