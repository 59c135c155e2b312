"""The conformance kit: what "supported" means. Subclass the class of a kind, and give it one fixture.

class TestMyBus(BusConformance):
@pytest.fixture
def target(self, my_server):
return Target(url=my_server.url, reset=my_server.empty)
"""

from ticketkit.testing.conformance.bus import BusConformance
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.payments import PaymentConformance, PaymentTarget, Stage, Tokens
from ticketkit.testing.conformance.promise import Gap, known_gap
from ticketkit.testing.conformance.target import Target
from ticketkit.testing.conformance.timers import TimersConformance

__all__ = [
    "BusConformance",
    "Conformance",
    "Gap",
    "PaymentConformance",
    "PaymentTarget",
    "Stage",
    "Target",
    "TimersConformance",
    "Tokens",
    "known_gap",
]
