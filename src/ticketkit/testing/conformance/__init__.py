"""The conformance kit: what "supported" means. Subclass the class of a kind, and give it one fixture.

class TestMyBus(BusConformance):
@pytest.fixture
def target(self, my_server):
return Target(url=my_server.url, reset=my_server.empty)
"""

from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import Gap, known_gap
from ticketkit.testing.conformance.storage import StorageConformance
from ticketkit.testing.conformance.storage_own_tables import OwnTable
from ticketkit.testing.conformance.target import Target

__all__ = ["Conformance", "Gap", "OwnTable", "StorageConformance", "Target", "known_gap"]
