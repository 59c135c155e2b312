"""A small kit to try the harness with: what it says about itself, and a module of tests that uses it."""

MINI = '''
import anyio
import pytest

from ticketkit.backends.spec import BackendKind, Capability
from ticketkit.testing.conformance import Conformance, Target, known_gap
from ticketkit.testing.conformance.promise import promise


class Mini(Conformance):
    __module__ = "ticketkit.testing.mini"
    KIND = BackendKind.PAYMENTS
    broken = frozenset()

    @pytest.fixture
    def target(self):
        return Target(url="fake:")

    @promise()
    async def test_kept(self, backend):
        """What is kept
        is kept | always."""
        assert "kept" not in self.broken

    @promise(needs=[Capability.MULTI_PROCESS])
    async def test_needs(self, backend):
        """It needs several processes."""
        raise AssertionError

    @promise(lacks=[Capability.DURABLE])
    async def test_lacks_what_is_declared(self, backend):
        """It lacks a journal."""
        raise AssertionError

    @promise(lacks=[Capability.REPLAY])
    async def test_lacks(self, backend):
        """It refuses a replay."""

    @promise(network=True)
    async def test_network(self, proxy):
        """It survives a cut."""
        raise AssertionError

    @promise(long=True)
    async def test_long(self, stress):
        """It takes long."""
        assert stress == 7

    @promise(since="{since}")
    async def test_new(self, backend):
        """It is new."""
        assert "new" not in self.broken

    @promise(limit=0.05)
    async def test_limit(self, backend):
        """It ends."""
        if "limit" in self.broken:
            await anyio.sleep_forever()

'''
