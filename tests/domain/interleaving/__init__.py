"""Every interleaving of one purchase, on the real decisions of the domain.

One ticket; buyer A with one order and up to two charges; buyer B, who orders the ticket as soon as the rules let her
(by takeover too, or after a refund) and may pay for it; the ticket's seller, who may ask for A's money back; one
payment provider, which holds money or takes it at once. What may happen at any point, any number of times and in any
order:

- time passes, up to each end of the lock (placed, with grace, with the window of `requires_action`);
- an event that was ever told is delivered;
- a call that a worker had reason to make, now or at any time before, reaches the provider;
- a worker commits an answer of the provider that it has in hand, or crashes and forgets it;
- the live event is cancelled, and a walk comes by its order and its ticket;
- the provider lets held money go by itself, or refuses a capture; A goes on with a declined payment in the browser.

Versions only ever rise, and the decisions only compare them: states are the same when their versions are in the same
order. That keeps the graph finite.
"""

from tests.domain.interleaving.check import Check, Result
from tests.domain.interleaving.point import A
from tests.domain.interleaving.rules import Rules, Scenario

__all__ = ["A", "Check", "Result", "Rules", "Scenario"]
