"""Opens the backends that the services of a process need, each once."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.services.catalogue import SERVICES, Boundary, ServiceName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ticketkit.backends.bus import Bus
    from ticketkit.backends.payments import PaymentProvider
    from ticketkit.backends.storage import Storage
    from ticketkit.backends.timers import Timers
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.config import Config

SETTINGS: Final = {
    BackendKind.STORAGE: "TICKETKIT_STORAGE_URL",
    BackendKind.BUS: "TICKETKIT_BUS_URL",
    BackendKind.TIMERS: "TICKETKIT_TIMERS_URL",
    BackendKind.PAYMENTS: "TICKETKIT_PAYMENTS",
}
BOUNDARY_SETTINGS: Final = {
    Boundary.INVENTORY: "TICKETKIT_STORAGE_URL",
    Boundary.ACCOUNTS: "TICKETKIT_AUTH_STORAGE_URL",
    Boundary.PAYMENTS: "TICKETKIT_PAYMENTS_STORAGE_URL",
}

FORGETFUL: Final = (
    "The payment provider keeps its books in this process alone and forgets every payment when it stops, while orders "
    f"that run elsewhere remember theirs: set {SETTINGS[BackendKind.PAYMENTS]} to a real one, to "
    "fake:///absolute/path/books.jsonl, or not at all."
)


@dataclass(frozen=True, slots=True)
class Backends:
    """What was opened.

    Attributes:
        storages: By boundary; boundaries of one URL share one.
        timers: None unless expiration runs here.
        provider: None unless payments runs here.
    """

    storages: Mapping[Boundary, Storage]
    bus: Bus
    timers: Timers | None
    provider: PaymentProvider | None

    @property
    def distinct(self) -> dict[str, Storage]:
        """Each storage once, by the names of its boundaries."""
        names: dict[int, list[str]] = {}
        for boundary, storage in self.storages.items():
            names.setdefault(id(storage), []).append(boundary.value)
        by_id = {id(storage): storage for storage in self.storages.values()}
        return {"+".join(boundaries): by_id[key] for key, boundaries in names.items()}


@asynccontextmanager
async def opened(config: Config, plugins: Plugins) -> AsyncIterator[Backends]:
    """Open what the services need; everything is closed at the end.

    Raises:
        Misconfigured: A URL has no backend, its settings are wrong, or a service that starts alone was given one
            that other processes can't share, or that forgets everything when it stops.
        Unavailable: One can't be reached.
    """
    context = Context(clock=config.clock, new_id=config.new_id)
    async with AsyncExitStack() as stack:

        async def enter(kind: BackendKind, url: str, *, setting: str | None = None) -> Any:
            if config.shared and kind is not BackendKind.PAYMENTS:
                check_shared(plugins, kind, url, setting=setting)
            return await stack.enter_async_context(plugins.open(kind, url, context))

        boundaries = {*config.looks, *(SERVICES[name].boundary for name in config.services)} - {None}
        urls = {
            Boundary.INVENTORY: config.storage,
            Boundary.ACCOUNTS: config.accounts,
            Boundary.PAYMENTS: config.payment_storage,
        }
        by_url: dict[str, Storage] = {}
        storages: dict[Boundary, Storage] = {}
        for boundary in sorted(boundary for boundary in boundaries if boundary is not None):
            url = urls[boundary]
            if url not in by_url:
                setting = BOUNDARY_SETTINGS[boundary if url != config.storage else Boundary.INVENTORY]
                by_url[url] = await enter(BackendKind.STORAGE, url, setting=setting)
            storages[boundary] = by_url[url]
        bus = await enter(BackendKind.BUS, config.bus)
        timers = provider = None
        if ServiceName.EXPIRATION in config.services:
            timers = await enter(BackendKind.TIMERS, config.timers)
        if ServiceName.PAYMENTS in config.services:
            provider = await enter(BackendKind.PAYMENTS, config.provider)
            if config.shared and Capability.DURABLE not in provider.capabilities:
                await stack.aclose()  # now: a backend with tasks of its own would wrap the error
                raise Misconfigured(FORGETFUL)
        yield Backends(storages, bus, timers, provider)


def check_shared(plugins: Plugins, kind: BackendKind, url: str, *, setting: str | None = None) -> None:
    """Check that processes can share a backend.

    Args:
        plugins: That know it.
        kind: Of the backend.
        url: Of the backend.
        setting: That gave the URL; default: the one of its kind.

    Raises:
        Misconfigured: They can't.
    """
    backend = plugins.backend(kind, url)
    if Capability.MULTI_PROCESS in backend.capabilities:
        return
    lives = "The timers {!r} live" if kind is BackendKind.TIMERS else f"The {kind.value} {{!r}} lives"
    raise Misconfigured(
        f"{lives.format(backend.name)} inside one process, so several can't work together by it.",
        mend=f"Set {setting or SETTINGS[kind]} to one that processes share (`ticketkit plugins` lists them with their "
        "capabilities), or start all services together with `ticketkit serve`.",
    )
