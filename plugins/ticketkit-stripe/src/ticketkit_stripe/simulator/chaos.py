"""How deliveries of webhooks go wrong: plans drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What may become of an event on its way to an endpoint.

    Attributes:
        seed: Draws everything.
        copies: Least and greatest number of deliveries.
        spread: Each copy waits up to so many seconds, which shuffles them.
        unwritten: Part of the events, from 0 to 1, that Stripe never writes down: no list has them
            (docs.stripe.com/webhooks/handle-irrecoverable-events).
        lost: Part of the events that never arrive; lists have them.
        held: Part of the events that wait until they are released.
        age: Seconds by which the `created` of a held event is put back: it comes that late.
    """

    seed: int = 0
    copies: tuple[int, int] = (1, 1)
    spread: float = 0.0
    unwritten: float = 0.0
    lost: float = 0.0
    held: float = 0.0
    age: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of one event.

    Attributes:
        waits: Seconds that each copy waits; none when it is lost.
    """

    waits: tuple[float, ...] = (0.0,)
    held: bool = False


class Planner:
    """Draws the plans of one chaos, in the order of the events."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self._random, self._omitting = Random(chaos.seed), Random(chaos.seed)  # noqa: S311 - to be run again

    def omits(self) -> bool:
        """Whether the next event is not written down."""
        return self._omitting.random() < self.chaos.unwritten

    def plan(self) -> Plan:
        """Of the next event."""
        chaos, draw = self.chaos, self._random.random()
        if draw < chaos.lost:
            return Plan(waits=())
        copies = self._random.randint(*chaos.copies)
        waits = tuple(self._random.uniform(0, chaos.spread) for _ in range(copies))
        return Plan(waits=waits, held=draw < chaos.lost + chaos.held)
