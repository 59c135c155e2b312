"""A storage on a fresh file, and short words for what the tests do with it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from ticketkit.backends.spec import Context
from ticketkit.domain import live_events, orders
from ticketkit.domain import tickets as tickets_domain
from ticketkit.domain.decision import Command, Keys
from ticketkit.domain.entities import LiveEvent, Order, Ticket
from ticketkit.domain.money import Money
from ticketkit.domain.policy import Policy
from ticketkit.events.envelope import Envelope
from ticketkit.ids import new_id
from ticketkit_sql.storage import SqlStorage, open_storage


@dataclass
class HandClock:
    """A clock that stands still until a test moves it."""

    time: datetime = field(default_factory=lambda: datetime(2026, 12, 1, 12, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = self.time + timedelta(seconds=seconds)
        while self.time < until:  # noqa: ASYNC110 - tests set the time from wherever they are
            await anyio.sleep(0.005)

    def advance(self, **delta: float) -> None:
        self.time += timedelta(**delta)


class Market:
    """What sellers and buyers do, on a storage."""

    def __init__(self, storage: SqlStorage, path: Path, clock: HandClock) -> None:
        self.storage = storage
        self.path = path
        self.clock = clock
        self.policy = Policy()

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def command(self, **values: Any) -> Command:
        return Command(**{"id": new_id(), "fresh": (new_id(),), **values})

    async def announce(self, name: str = "Hamilton") -> LiveEvent:
        command = self.command()
        starts_at = await self.storage.now() + timedelta(days=365)
        decision = partial(
            live_events.announce, command=command, owner_id="seller", name=name, venue="Hall", starts_at=starts_at
        )
        return (await self.storage.decide(Keys(), decision, command)).one(LiveEvent)

    async def offer(self, number: int = 1, *, event_id: str | None = None, **values: Any) -> tuple[Ticket, ...]:
        command = self.command(fresh=tuple(new_id() for _ in range(number)))
        values = {"title": "Seat", "price": Money(1000, "USD"), "event_id": event_id, **values}
        listings = [tickets_domain.Listing(**values) for _ in range(number)]
        decision = partial(tickets_domain.list_tickets, command=command, seller_id="seller", listings=listings)
        return (await self.storage.decide(Keys(), decision, command)).every(Ticket)

    async def place(
        self, buyer_id: str, *ticket_ids: str, command: Command | None = None, policy: Policy | None = None
    ) -> Order:
        command = command or self.command()
        decision = partial(
            orders.place, command=command, buyer_id=buyer_id, ticket_ids=ticket_ids, policy=policy or self.policy
        )
        keys = Keys.of(*(Ticket.key(id) for id in ticket_ids))
        return (await self.storage.decide(keys, decision, command)).one(Order)

    async def cancel(self, order: Order) -> Order:
        command = self.command()
        decision = partial(orders.cancel, order_id=order.id, buyer_id=order.buyer_id)
        return (await self.storage.decide(Keys.of(Order.key(order.id)), decision, command)).one(Order)

    async def ticket(self, id: str) -> Ticket:
        found = (await self.storage.get([Ticket.key(id)]))[Ticket.key(id)]
        assert isinstance(found, Ticket)
        return found

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'market.db'}"


@pytest.fixture
async def market(tmp_path: Path, url: str, clock: HandClock) -> AsyncIterator[Market]:
    async with open_storage(url, Context(clock=clock)) as storage:
        yield Market(storage, tmp_path / "market.db", clock)


@pytest.fixture
def event() -> Callable[..., Envelope]:
    def make(name: str = "order.created", **values: Any) -> Envelope:
        return Envelope(
            **{
                "id": new_id(),
                "type": f"ticketkit.{name}.v1",
                "source": "/ticketkit/orders",
                "subject": new_id(),
                "time": datetime.now(UTC),
                "aggregateversion": 1,
                "data": b'{"id":"1","version":1}',
                **values,
            }
        )

    return make


@pytest.fixture
def outcomes() -> Callable[[Sequence[object], type[BaseException]], int]:
    """Counts results of a class, and lets nothing unexpected pass."""

    def count(results: Sequence[object], cls: type[BaseException]) -> int:
        strange = [one for one in results if isinstance(one, BaseException) and not isinstance(one, cls)]
        assert not strange
        return sum(isinstance(one, cls) for one in results)

    return count
