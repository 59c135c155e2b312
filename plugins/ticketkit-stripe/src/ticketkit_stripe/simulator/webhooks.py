"""Events on their way to the endpoints: signed, sent again until they are taken, and lost when chaos says so."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx

from ticketkit_stripe.simulator.chaos import Chaos, Planner
from ticketkit_stripe.simulator.endpoints import Endpoint, sign
from ticketkit_stripe.simulator.objects import Event

_IN_FLIGHT: Final = 16
_TIMEOUT: Final = 10.0
_LONGEST_PAUSE: Final = 60.0
_HEADERS: Final = {
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}


@dataclass(frozen=True, slots=True)
class Retries:
    """How an endpoint that fails is tried again.

    Attributes:
        first: Seconds before the second attempt; each pause is twice the one before, a minute at most.
        attempts: In all.
    """

    first: float = 0.5
    attempts: int = 8

    def pauses(self) -> Iterable[float]:
        """Seconds before each further attempt."""
        return (min(self.first * 2**number, _LONGEST_PAUSE) for number in range(self.attempts - 1))


class Sender:
    """Delivers events.

    Args:
        now: Unix seconds, for signatures.

    Attributes:
        endpoints: By id.
        retries: Of failed deliveries.
        counts: `attempts`, `delivered`, `failed` (attempts), `given_up`, `lost`, `held`.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.endpoints: dict[str, Endpoint] = {}
        self.retries = Retries()
        self.counts: Counter[str] = Counter()
        self._planner = Planner(Chaos())
        self._held: list[tuple[Event, Endpoint, int]] = []
        self._taken: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_IN_FLIGHT)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, headers=_HEADERS, trust_env=False)

    async def close(self) -> None:
        """Let go of everything that is on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    @property
    def outstanding(self) -> int:
        """Deliveries that are on their way; held ones are not."""
        return len(self._tasks)

    @property
    def held(self) -> int:
        """Events that wait for `release`."""
        return len(self._held)

    @property
    def chaos(self) -> Chaos:
        """How deliveries go wrong from now on."""
        return self._planner.chaos

    @chaos.setter
    def chaos(self, chaos: Chaos) -> None:
        self._planner = Planner(chaos)

    def omits(self) -> bool:
        """Whether chaos leaves the next event out of the books."""
        return self._planner.omits()

    def offer(self, events: Iterable[Event]) -> None:
        """Send these, as chaos allows."""
        for event, endpoint in itertools.product(events, tuple(self.endpoints.values())):
            event.pending += 1
            plan = self._planner.plan()
            if not plan.waits:
                self.counts["lost"] += 1
            elif plan.held:
                event.created = int(self._now()) - self.chaos.age
                self.counts["held"] += 1
                self._held.append((event, endpoint, len(plan.waits)))
            else:
                for wait in plan.waits:
                    self._spawn(event, endpoint, wait)

    def release(self) -> int:
        """Send what has been held.

        Returns:
            How many events.
        """
        held, self._held = self._held, []
        for event, endpoint, copies in held:
            for _ in range(copies):
                self._spawn(event, endpoint, 0.0)
        return len(held)

    def resend(self, event: Event) -> None:
        """Send an event once more, to every endpoint and without chaos."""
        for endpoint in self.endpoints.values():
            self._spawn(event, endpoint, 0.0)

    async def settle(self, seconds: float) -> bool:
        """Wait until nothing is on its way.

        Returns:
            Whether that was so within these seconds.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            return False
        return True

    async def post(self, url: str, body: bytes, signature: str | None) -> int:
        """Send one body.

        Returns:
            The status of the answer; 0 when there was none.
        """
        headers = {} if signature is None else {"Stripe-Signature": signature}
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _spawn(self, event: Event, endpoint: Endpoint, wait: float) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(event, endpoint, wait))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: Event, endpoint: Endpoint, wait: float) -> None:
        for pause in itertools.chain((wait,), self.retries.pauses()):
            if pause:
                await asyncio.sleep(pause)
            if endpoint.id not in self.endpoints:
                return
            if await self._attempt(event, endpoint):
                return
        self.counts["given_up"] += 1

    async def _attempt(self, event: Event, endpoint: Endpoint) -> bool:
        async with self._gate:
            body = json.dumps(event.shown(), indent=2).encode()
            # Signed anew each time: an old event has a fresh signature.
            status = await self.post(endpoint.url, body, sign(body, endpoint.secrets, int(self._now())))
        taken = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        self.counts["attempts"] += 1
        self.counts["delivered" if taken else "failed"] += 1
        if taken and (event.id, endpoint.id) not in self._taken:
            self._taken.add((event.id, endpoint.id))
            event.pending -= 1
        return taken
