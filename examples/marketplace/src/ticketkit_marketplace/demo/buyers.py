"""Buyers, as they are: most pay, some are declined and try another card, some walk away or pay too late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from ticketkit.ids import new_id
from ticketkit_marketplace.demo.wire import Gone, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from ticketkit_marketplace.demo.wire import Wire

PASSWORD: Final = "front row, please"  # noqa: S105 - of accounts that live as long as the demo
DECLINED: Final = ("tok_chargeDeclined", "tok_chargeDeclinedInsufficientFunds", "tok_chargeDeclinedExpiredCard")
SIGNING_UP: Final = 4
"""Sign-ups at once: each takes a core for 20 ms."""
LOOK: Final = 50
"""Tickets that a buyer looks at before choosing one."""
TRIES: Final = 3
"""Of those, how many a buyer tries to get before looking again."""
EARLY: Final = 5
"""How often a buyer whose order payments has not heard of asks again."""
PATIENCE: Final = (2.0, 6.0)
"""Seconds until a buyer who got none looks again."""


class Mood(Enum):
    """What a buyer does with an order."""

    PAYS = auto()
    IS_DECLINED = auto()
    WALKS_AWAY = auto()
    PAYS_LATE = auto()


MOODS: Final = {Mood.PAYS: 70, Mood.IS_DECLINED: 12, Mood.WALKS_AWAY: 9, Mood.PAYS_LATE: 9}
"""Buyers of each mood in a hundred. Whoever comes again pays."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who is signed in."""

    user_id: str
    cookie: str


@dataclass(slots=True)
class Tally:
    """What happened, as the buyers saw it.

    Attributes:
        counts: `ordered`, `paid`, `declined`, `conflicts`, `too late`, `paid too early`, `came again`,
            `connections lost`, `unavailable`.
        orders: Seconds of each `POST /api/orders` that was answered, whatever the answer.
        payments: Seconds of each `POST /api/payments` that was answered.
        acknowledged: Ids of orders that were answered with 201.
        paid: Ids of orders whose payment was answered as completed.
        unexpected: Answers that no rule explains; there should be none.
    """

    counts: Counter[str] = field(default_factory=Counter)
    orders: list[float] = field(default_factory=list)
    payments: list[float] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    unexpected: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Rush:
    """Buyers going for tickets.

    Attributes:
        event_id: The live event.
        wanted: The tickets that they go for.
        highest: Price of the dearest of them, major units.
        hold: Seconds of a lock.
        patient: Whether buyers ask again when the server can't answer now (503), or a gateway lost it (502).
        seed: The same seed makes the same buyers.
    """

    wire: Wire
    event_id: str
    wanted: frozenset[str]
    highest: float
    hold: float
    patient: bool = False
    seed: int = 1
    tally: Tally = field(default_factory=Tally)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, accounts: list[Account], *, seconds: float) -> None:
        """Send all of them off at once; ends when every ticket is sold and every buyer knows, or the time is over."""
        chance = random.Random(self.seed)  # noqa: S311 - to be run again
        moods = chance.choices(list(MOODS), list(MOODS.values()), k=len(accounts))
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for account, mood in zip(accounts, moods, strict=True):
                    group.create_task(self._buy(account, mood, random.Random(chance.random())))  # noqa: S311
        except TimeoutError:
            self.tally.counts["gave up at the end"] += 1

    async def _buy(self, account: Account, mood: Mood, chance: random.Random) -> None:
        while not self.over.is_set():
            order = await self._order(account, chance)
            if order is None:
                await self._wait(chance.uniform(*PATIENCE))
                continue
            if await self._decide(account, order, mood, chance):
                return
            self.tally.counts["came again"] += 1
            mood = Mood.PAYS

    async def _order(self, account: Account, chance: random.Random) -> dict[str, Any] | None:
        """Look at what is free, and order one; the next one when somebody else was faster."""
        path = f"/api/events/{self.event_id}/tickets?sort=price&limit={LOOK}&maxPrice={self.highest}"
        found = await self._ask("GET", path)
        free = [ticket["id"] for ticket in found.json() if ticket["id"] in self.wanted] if found.status == 200 else []  # noqa: PLR2004
        chance.shuffle(free)
        for ticket_id in free[:TRIES]:
            if self.over.is_set():
                return None
            answer = await self._ask("POST", "/api/orders", {"ticketId": ticket_id}, account=account)
            self.tally.orders.append(answer.seconds)
            if answer.status == 201:  # noqa: PLR2004
                order: dict[str, Any] = answer.json()
                self.tally.counts["ordered"] += 1
                self.tally.acknowledged.add(order["id"])
                return order
            if answer.status == 409:  # noqa: PLR2004
                self.tally.counts["conflicts"] += 1
            else:
                self.tally.unexpected.append(f"order: {answer.status} {answer.code}")
        return None

    async def _decide(self, account: Account, order: dict[str, Any], mood: Mood, chance: random.Random) -> bool:
        """Do as the mood says; whether the ticket is the buyer's."""
        await self._wait(chance.uniform(0.0, min(0.5, self.hold / 4)))
        match mood:
            case Mood.PAYS:
                return await self._pay(account, order, "tok_visa")
            case Mood.IS_DECLINED:
                return await self._pay(account, order, chance.choice(DECLINED))
            case Mood.WALKS_AWAY:
                self.tally.counts["walked away"] += 1
                await self._wait(self.hold)
                return False
            case Mood.PAYS_LATE:
                await asyncio.sleep(self.hold + 1.5)
                return await self._pay(account, order, "tok_visa")

    async def _pay(self, account: Account, order: dict[str, Any], token: str) -> bool:
        """Pay until it is decided; whether the money was taken."""
        answer = await self._decided(account, {"orderId": order["id"], "token": token})
        if answer.status in (200, 201) and answer.json()["status"] == "completed":
            self.tally.counts["paid"] += 1
            self.tally.paid.add(order["id"])
            if len(self.tally.paid) >= len(self.wanted):
                self.over.set()
            return True
        if answer.status == 402 or (answer.status == 200 and token in DECLINED):  # noqa: PLR2004
            self.tally.counts["declined"] += 1
        elif answer.status in (200, 409):
            self.tally.counts["too late"] += 1
        else:
            self.tally.unexpected.append(f"payment: {answer.status} {answer.code}")
        return False

    async def _decided(self, account: Account, body: dict[str, str]) -> Response:
        key, left = new_id(), EARLY
        answer = await self._ask("POST", "/api/payments", body, account=account, key=key)
        self.tally.payments.append(answer.seconds)
        while answer.status == 404 and left:  # noqa: PLR2004 - payments has not heard of the order within its 2 s
            left -= 1
            self.tally.counts["paid too early"] += 1
            answer = await self._ask("POST", "/api/payments", body, account=account, key=key)
            self.tally.payments.append(answer.seconds)
        while answer.status == 202 or (answer.status == 200 and answer.json()["status"] not in ("completed", "failed")):  # noqa: PLR2004
            await asyncio.sleep(0.2)
            answer = await self._ask("GET", f"/api/payments/{answer.json()['id']}", account=account)
        return answer

    async def _ask(
        self, method: str, path: str, body: Any = None, *, account: Account | None = None, key: str | None = None
    ) -> Response:
        """Ask until there is an answer: with one Idempotency-Key, so that nothing happens twice."""
        if method == "POST":
            key = key or new_id()
        while True:
            try:
                answer = await self.wire.request(
                    method, path, body, cookie=None if account is None else account.cookie, key=key
                )
            except Gone:
                self.tally.counts["connections lost"] += 1
            else:
                if answer.status not in (502, 503) or not self.patient:
                    return answer
                self.tally.counts["unavailable"] += 1
            await asyncio.sleep(0.25)

    async def _wait(self, seconds: float) -> None:
        """Wait, but not longer than there is something to wait for."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return


async def sign_up(wire: Wire, count: int, *, prefix: str, on_step: Callable[[int], None]) -> list[Account]:
    """Make accounts over HTTP.

    Args:
        wire: To the server.
        count: How many.
        prefix: Of their addresses.
        on_step: Told how many there are, after each one.
    """
    slots = asyncio.Semaphore(SIGNING_UP)
    done = 0

    async def one(number: int) -> Account:
        nonlocal done
        async with slots:
            body = {"email": f"{prefix}{number}@ticketkit.example", "password": PASSWORD}
            answer = await wire.request("POST", "/api/users/signup", body)
            if answer.status != 201:  # noqa: PLR2004
                msg = f"A sign-up was answered with {answer.status} {answer.code}."
                raise RuntimeError(msg)
            done += 1
            on_step(done)
            return Account(answer.json()["id"], answer.headers["set-cookie"].partition(";")[0])

    return list(await asyncio.gather(*(one(number) for number in range(count))))
