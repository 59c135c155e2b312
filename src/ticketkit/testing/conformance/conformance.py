"""The base of the conformance classes: how a backend is found, opened, emptied and held to what it declares."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import pytest

from ticketkit.backends.spec import Backend, BackendKind, Context, no_checkpoint
from ticketkit.plugins import Plugins
from ticketkit.testing.conformance.opening import KitClock, loaded
from ticketkit.testing.conformance.proxy import Proxy
from ticketkit.testing.conformance.target import Target
from ticketkit.testing.reporting import MARK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SPEC: Final = pytest.StashKey[Backend]()
"""Where the report finds which backend a test was about."""


class Opener(Protocol):
    """Opens the backend under test once more, as another process would."""

    def __call__(
        self, url: str | None = None, *, checkpoint: Callable[[str], None] = no_checkpoint
    ) -> AbstractAsyncContextManager[Any]:
        """Open it, at another URL if one is given."""
        ...


class Conformance:
    """What all conformance classes share. Subclass one of the four kinds, and give it the fixture `target`.

    Attributes:
        KIND: Of the backends that it tests.
        patience: Multiplies the time limit of each test, for a backend that is slow and says so.
    """

    KIND: ClassVar[BackendKind]
    patience: ClassVar[float] = 1
    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse tests of the kit that are written over: `known_gap` is the only way around one."""
        super().__init_subclass__(**options)
        for name in dir(cls):
            owners = [base for base in cls.__mro__ if name in vars(base)]
            if name.startswith("test_") and any(map(_of_the_kit, owners)) and not _of_the_kit(owners[0]):
                msg = f"{cls.__name__}.{name} replaces a test of the kit; say known_gap({name!r}, ...) instead."
                raise TypeError(msg)

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Backends run on asyncio; override it for one that runs on more."""
        return "asyncio"

    @pytest.fixture
    def target(self) -> Target:
        """The backend under test: override this one fixture."""
        pytest.fail(
            f"{type(self).__name__} has no fixture `target`: give it one that returns "
            "ticketkit.testing.conformance.Target(url=..., reset=...).",
            pytrace=False,
        )

    @pytest.fixture
    def stress(self, request: pytest.FixtureRequest) -> int:
        """How many times as many take part in a race: `--ticketkit-stress`."""
        return int(request.config.getoption("--ticketkit-stress"))

    @pytest.fixture
    def lease(self, target: Target) -> float:
        """Seconds after which what a dead consumer of a bus held comes again."""
        return target.seconds_held

    @pytest.fixture
    def kit_plugins(self, target: Target) -> Plugins:
        """All plugins, with the one under test."""
        return loaded(target.plugins)

    @pytest.fixture
    def spec(self, kit_plugins: Plugins, target: Target) -> Backend:
        """What the plugin says about the backend under test."""
        return kit_plugins.backend(self.KIND, target.url)

    @pytest.fixture(autouse=True)
    def _applies(self, request: pytest.FixtureRequest, spec: Backend, target: Target) -> None:
        """Hold a test only against a backend that declares what it is about."""
        request.node.stash[SPEC] = spec
        mark = request.node.get_closest_marker(MARK)
        if mark is None:
            return
        if missing := sorted(set(mark.kwargs["needs"]) - spec.capabilities):
            pytest.skip(f"not declared: {', '.join(missing)}")
        if declared := sorted(set(mark.kwargs["lacks"]) & spec.capabilities):
            pytest.skip(f"declared: {', '.join(declared)}")
        if mark.kwargs["network"] and target.address is None:
            pytest.skip("no server on a network: its URL names no host and port")

    @pytest.fixture
    async def opener(self, kit_plugins: Plugins, target: Target, _applies: None) -> Opener:
        """Opens the backend, which was emptied before."""
        await target.empty()

        @asynccontextmanager
        async def opened(
            url: str | None = None, *, checkpoint: Callable[[str], None] = no_checkpoint
        ) -> AsyncIterator[Any]:
            context = Context(clock=KitClock(), checkpoint=checkpoint)
            async with kit_plugins.open(self.KIND, url or target.url, context) as backend:
                yield backend

        return opened

    @pytest.fixture
    async def backend(self, opener: Opener) -> AsyncIterator[Any]:
        """The backend under test: empty, and open."""
        async with opener() as opened:
            yield opened

    @pytest.fixture
    async def proxy(self, target: Target, _applies: None) -> AsyncIterator[Proxy]:
        """A TCP proxy before the backend's server, which can cut and swallow; for tests with `network=True`."""
        address = target.address
        assert address is not None, "only tests with network=True have a proxy"
        async with Proxy(*address) as proxy:
            yield proxy


def _of_the_kit(cls: type) -> bool:
    return cls.__module__.startswith("ticketkit.testing.")
