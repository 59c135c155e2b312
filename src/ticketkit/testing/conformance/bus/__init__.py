"""What a bus promises."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketkit.testing.conformance.bus.conformance import BusConformance

__all__ = ["BusConformance"]

_MODULES: Final = {"BusConformance": "conformance"}


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: child processes of the kit need no pytest."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
