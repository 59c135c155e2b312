"""A small kit to try the harness with."""

from __future__ import annotations

from importlib import metadata
from typing import ClassVar

import anyio
import pytest

from ticketkit.backends.payments import PaymentProvider
from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.testing.conformance import Conformance, Target
from ticketkit.testing.conformance.promise import promise
from ticketkit.testing.conformance.proxy import Proxy

VERSION = ".".join(metadata.version("ticketkit").split(".")[:2])


class Mini(Conformance):
    """Its tests fail as `broken` says.

    Attributes:
        broken: What is not kept.
    """

    __module__ = "ticketkit.testing.mini"
    KIND: ClassVar[BackendKind] = BackendKind.PAYMENTS
    broken: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture
    def target(self) -> Target:
        return Target(url="fake:")

    @promise()
    async def test_kept(self, backend: PaymentProvider) -> None:
        """What is kept
        is kept | always.
        """
        assert "kept" not in self.broken

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_needs(self, backend: PaymentProvider) -> None:
        """It needs several processes."""
        raise AssertionError

    @promise(lacks=[Capability.DURABLE])
    async def test_lacks_what_is_declared(self, backend: PaymentProvider) -> None:
        """It lacks a journal."""
        raise AssertionError

    @promise(lacks=[Capability.REPLAY])
    async def test_lacks(self, backend: PaymentProvider) -> None:
        """It refuses a replay."""
        assert "lacks" not in self.broken

    @promise(network=True)
    async def test_network(self, proxy: Proxy) -> None:
        """It survives a cut."""
        raise AssertionError

    @promise(long=True)
    async def test_long(self, stress: int) -> None:
        """It takes long."""
        assert stress == 7

    @promise(since=VERSION)
    async def test_new(self, backend: PaymentProvider) -> None:
        """It is new."""
        assert "new" not in self.broken

    @promise(since="0.0")
    async def test_not_new(self, backend: PaymentProvider) -> None:
        """It was new once."""
        assert "not_new" not in self.broken

    @promise(limit=0.05)
    async def test_limit(self, backend: PaymentProvider) -> None:
        """It ends."""
        if "limit" in self.broken:
            await anyio.sleep_forever()
