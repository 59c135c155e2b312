"""The conformance of payment providers: keys, money, answers that come later, webhooks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ticketkit.testing.conformance.payments.conformance import PaymentConformance
    from ticketkit.testing.conformance.payments.fake import FAKE_TOKENS, FakeStage
    from ticketkit.testing.conformance.payments.stage import PaymentTarget, Stage, Tokens

__all__ = ["FAKE_TOKENS", "FakeStage", "PaymentConformance", "PaymentTarget", "Stage", "Tokens"]

_MODULES: Final = {
    "FAKE_TOKENS": "fake",
    "FakeStage": "fake",
    "PaymentConformance": "conformance",
    "PaymentTarget": "stage",
    "Stage": "stage",
    "Tokens": "stage",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: child processes of the kit need no pytest."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
