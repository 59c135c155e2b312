"""The conformance kit: what "supported" means.

Subclass the class of a kind, and give it the one fixture `target`, which returns a `Target`: a URL and a reset. Then
every promise of that kind is a test of yours; see `docs/backends/conformance.md`.
"""

from ticketkit.testing.conformance.bus import BusConformance
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.payments import PaymentConformance, PaymentTarget, Stage, Tokens
from ticketkit.testing.conformance.promise import Gap, known_gap
from ticketkit.testing.conformance.storage import OwnTable, StorageConformance
from ticketkit.testing.conformance.target import Target
from ticketkit.testing.conformance.timers import TimersConformance

__all__ = [
    "BusConformance",
    "Conformance",
    "Gap",
    "OwnTable",
    "PaymentConformance",
    "PaymentTarget",
    "Stage",
    "StorageConformance",
    "Target",
    "TimersConformance",
    "Tokens",
    "known_gap",
]
