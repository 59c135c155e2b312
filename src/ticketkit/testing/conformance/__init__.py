"""The conformance kit: what "supported" means.

Subclass the class of a kind, and give it the one fixture `target`, which returns a `Target`: a URL and a reset. Then
every promise of that kind is a test of yours; see `docs/backends/conformance.md`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketkit.testing.conformance.bus.conformance import BusConformance
    from ticketkit.testing.conformance.conformance import Conformance
    from ticketkit.testing.conformance.payments.conformance import PaymentConformance
    from ticketkit.testing.conformance.payments.stage import PaymentTarget, Stage, Tokens
    from ticketkit.testing.conformance.promise import Gap, known_gap
    from ticketkit.testing.conformance.storage.conformance import StorageConformance
    from ticketkit.testing.conformance.storage.own_tables import OwnTable
    from ticketkit.testing.conformance.target import Target
    from ticketkit.testing.conformance.timers.conformance import TimersConformance

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

_MODULES: Final = {
    "BusConformance": "bus.conformance",
    "Conformance": "conformance",
    "Gap": "promise",
    "OwnTable": "storage.own_tables",
    "PaymentConformance": "payments.conformance",
    "PaymentTarget": "payments.stage",
    "Stage": "payments.stage",
    "StorageConformance": "storage.conformance",
    "Target": "target",
    "TimersConformance": "timers.conformance",
    "Tokens": "payments.stage",
    "known_gap": "promise",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: child processes of the kit need no pytest."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
