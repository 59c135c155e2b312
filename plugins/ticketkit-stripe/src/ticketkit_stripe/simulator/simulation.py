"""One simulated account with everything around it: its clock, keys, faults, limit, webhooks and journal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import Final

from stripe import _api_version

from ticketkit_stripe.simulator.endpoints import Endpoint
from ticketkit_stripe.simulator.engine import Engine
from ticketkit_stripe.simulator.faults import Faults
from ticketkit_stripe.simulator.journal import Journal
from ticketkit_stripe.simulator.keys import Keys
from ticketkit_stripe.simulator.pace import Pace
from ticketkit_stripe.simulator.parameters import Parameters
from ticketkit_stripe.simulator.webhooks import Sender

KEY: Final = "sk_test_simulator"
SECRET: Final = "whsec_simulator"  # noqa: S105 - of a simulator: it protects nothing
VERSION: Final = _api_version._ApiVersion.CURRENT  # noqa: SLF001 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a simulator is started.

    Attributes:
        key: The secret key that it accepts.
        secret: Signs webhooks.
        webhooks: URLs of endpoints.
        rate: Calls a second; None: no limit.
        version: Of the API; a call with another one is refused.
        seed: Of ids; None: other ones each time.
        site: Its own URL.
    """

    key: str = KEY
    secret: str = SECRET
    webhooks: tuple[str, ...] = ()
    rate: int | None = None
    version: str = VERSION
    seed: int | None = None
    site: str = ""


@dataclass(slots=True)
class Clock:
    """The real time, with an offset."""

    offset: float = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.offset


@dataclass(slots=True)
class Simulation:
    """A simulated account. Belongs to one event loop."""

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    engine: Engine = field(init=False)
    keys: Keys = field(init=False)
    faults: Faults = field(default_factory=Faults)
    pace: Pace = field(init=False)
    journal: Journal = field(init=False)
    sender: Sender = field(init=False)
    parameters: Parameters = field(default_factory=Parameters)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        """Begin with empty books."""
        self._begin()

    async def reset(self) -> None:
        """Begin again: empty books, no faults, the real time, the endpoints of the settings."""
        await self.sender.close()
        self.clock.offset, self.faults = 0.0, Faults()
        self._begin()

    def _begin(self) -> None:
        now, seed = self.clock.now, self.settings.seed
        self.random = Random(seed)  # noqa: S311 - ids of a simulator are no secrets, and a seed repeats a run
        self.keys, self.journal, self.sender = Keys(now), Journal(now), Sender(now)
        self.pace = Pace(time.monotonic, self.settings.rate)
        self.engine = Engine(
            now=now,
            random=self.random,
            api_version=self.settings.version,
            site=self.settings.site,
            endpoints=lambda: list(self.sender.endpoints.values()),
        )
        for url in self.settings.webhooks:
            self.add_endpoint(url, [self.settings.secret])

    def add_endpoint(self, url: str, secrets: list[str]) -> Endpoint:
        """Send events there too, from now on."""
        books = self.engine.books
        endpoint = Endpoint(
            id=books.new_id("we"),
            url=url,
            secrets=secrets,
            created=books.at(),
            api_version=self.settings.version,
        )
        self.sender.endpoints[endpoint.id] = endpoint
        return endpoint

    def deliver(self) -> None:
        """Send what has happened since the last time."""
        books = self.engine.books
        written = []
        for event in books.take_fresh():
            if self.sender.omits():
                del books.events[event.id]
            else:
                written.append(event)
        self.sender.offer(written)
