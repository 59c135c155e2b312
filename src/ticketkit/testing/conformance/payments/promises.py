"""What the promises of payment providers share."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ticketkit.backends.payments import PaymentProvider
from ticketkit.backends.spec import BackendKind
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.payments.stage import PaymentTarget
from ticketkit.testing.conformance.payments.till import Till


class PaymentPromises(Conformance):
    """A part of `PaymentConformance`."""

    KIND: ClassVar[BackendKind] = BackendKind.PAYMENTS

    @pytest.fixture
    def till(self, backend: PaymentProvider, target: PaymentTarget) -> Till:
        """Takes payments with the provider under test."""
        if not isinstance(target, PaymentTarget):
            pytest.fail(
                f"{type(self).__name__}.target returns a {type(target).__name__}: let it return "
                "PaymentTarget(url=..., tokens=Tokens(accepted=..., declined={...})).",
                pytrace=False,
            )
        return Till(backend, target)
