"""One process of a deployment as its settings make it: which backends it uses, and what is wrong with the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import BackendKind
from ticketkit.runtime.config import ALL, TRADE
from ticketkit.runtime.doctor.diagnosis import Diagnosis, error, note, place, warning
from ticketkit.runtime.opening import FORGETFUL, check_shared
from ticketkit.runtime.settings import development_keys
from ticketkit.services.catalogue import SERVICES, Boundary, ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import ValidationError

    from ticketkit.backends.findings import Finding
    from ticketkit.plugins import Plugins
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.tokens import Keys

KEYS: Final = "session keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A backend that a process uses.

    Attributes:
        kind: What it is for.
        url: Opens it; a secret.
        setting: The variable that names it.
        about: For people: "storage of inventory".
        shared: Whether several processes have to be able to use it.
    """

    kind: BackendKind
    url: str
    setting: str
    about: str
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, as `ticketkit serve` would start it.

    Attributes:
        services: Those that run in it.
        settings: What it is started with.
    """

    services: frozenset[ServiceName] = ALL
    settings: Settings

    @property
    def name(self) -> str:
        """For people."""
        return "all services" if self.services == ALL else ", ".join(sorted(self.services))

    @property
    def boundaries(self) -> list[Boundary]:
        """Those whose storage it uses."""
        return sorted(found for name in self.services if (found := SERVICES[name].boundary) is not None)

    def storage(self, boundary: Boundary) -> tuple[str, str]:
        """URL of the storage of a boundary, and the variable that names it."""
        settings = self.settings
        if boundary is Boundary.ACCOUNTS and settings.auth_storage_url is not None:
            return settings.accounts(), "TICKETKIT_AUTH_STORAGE_URL"
        if boundary is Boundary.PAYMENTS and settings.payments_storage_url is not None:
            return settings.payment_storage(), "TICKETKIT_PAYMENTS_STORAGE_URL"
        return settings.storage(), "TICKETKIT_STORAGE_URL"

    def uses(self) -> Iterator[Use]:
        """Its backends."""
        settings, shared = self.settings, not self.services >= TRADE
        for boundary in self.boundaries:
            url, setting = self.storage(boundary)
            yield Use(
                kind=BackendKind.STORAGE,
                url=url,
                setting=setting,
                about=f"storage of {boundary.value}",
                shared=shared,
            )
        bus = settings.bus_url.get_secret_value()
        yield Use(kind=BackendKind.BUS, url=bus, setting="TICKETKIT_BUS_URL", about="bus", shared=shared)
        if ServiceName.EXPIRATION in self.services:
            setting = "TICKETKIT_TIMERS_URL" if settings.timers_url else "TICKETKIT_STORAGE_URL"
            timers = settings.timers()
            yield Use(kind=BackendKind.TIMERS, url=timers, setting=setting, about="timers", shared=shared)
        if ServiceName.PAYMENTS in self.services:
            provider = settings.provider()
            yield Use(
                kind=BackendKind.PAYMENTS, url=provider, setting="TICKETKIT_PAYMENTS", about="payments", shared=shared
            )

    def diagnoses(self, plugins: Plugins) -> Iterator[Diagnosis]:
        """What is wrong with the settings, as far as they tell by themselves."""
        yield from (Diagnosis(about=KEYS, finding=finding) for finding in self._keys())
        uses = list(self.uses())
        if any(place(use.url) in self._files() for use in uses):
            yield from (Diagnosis(about="data folder", finding=found) for found in _folder(self.settings.data_dir))
        for use in uses:
            if use.shared and (finding := _not_shared(use, plugins)):
                yield Diagnosis(about=use.about, finding=finding)
            if use.kind is BackendKind.PAYMENTS and _plays(use, plugins):
                yield from (Diagnosis(about=use.about, finding=found) for found in self._play_money(use))

    def keys(self) -> Keys | None:
        """Its session keys; None when they can't be had."""
        try:
            return self.settings.keys()
        except Misconfigured:
            return None

    def _keys(self) -> Iterator[Finding]:
        try:
            keys = self.settings.keys()
        except Misconfigured as refused:
            yield error(refused.what, "ticketkit keys new >> .env")
            return
        known = development_keys().public_pem()
        if any(keys.public_pem(id) == known for id in keys.public):
            yield note(
                "The development session keys are in use: everybody knows them. On your own machine that is fine.",
                "Elsewhere: TICKETKIT_ENVIRONMENT=production, and ticketkit keys new >> .env",
            )
        elif ServiceName.AUTH in self.services and keys.private is None:
            yield error(
                "auth runs here and has no private session key, so nobody can sign in.",
                "Set TICKETKIT_SESSION_PRIVATE_KEY; ticketkit keys new makes one",
            )

    def _play_money(self, use: Use) -> Iterator[Finding]:
        if self.settings.production:
            yield _PLAY_MONEY
        if use.shared and not place(use.url).partition(":")[2].strip("/"):
            yield error(FORGETFUL, "TICKETKIT_PAYMENTS=fake:///absolute/path/books.jsonl")

    def _files(self) -> set[str]:
        """What lies in the data folder when no setting names another place."""
        settings = self.settings
        storage = {settings.storage()} if settings.storage_url is None else set()
        return storage | ({settings.provider()} if settings.payments is None else set())


_PLAY_MONEY: Final = warning(
    "Payments are made with play money: whoever types tok_visa gets tickets for nothing.",
    "TICKETKIT_PAYMENTS=stripe",
)


def unreadable(problems: ValidationError, *, where: str = "") -> list[Diagnosis]:
    """What is wrong with settings that don't parse; their values are not shown.

    Args:
        where: The files that they are from, if it is not the environment.
    """
    found = []
    for problem in problems.errors(include_url=False, include_input=False):
        name = f"TICKETKIT_{'_'.join(str(part) for part in problem['loc']).upper()}"
        what = f"{name}: {problem['msg']}{f' ({where})' if where else ''}."
        found.append(
            Diagnosis(about="settings", finding=error(what, f"Set {name} right; docs/operating.md has them all"))
        )
    return found


def _not_shared(use: Use, plugins: Plugins) -> Finding | None:
    if use.kind is BackendKind.PAYMENTS:
        return None  # one process talks to the provider
    try:
        check_shared(plugins, use.kind, use.url, setting=use.setting)
    except Misconfigured as refused:
        if refused.mend:
            return error(refused.what, refused.mend)
    return None


def _plays(use: Use, plugins: Plugins) -> bool:
    try:
        return plugins.backend(use.kind, use.url).name == "fake"
    except Misconfigured:
        return False


def _folder(folder: Path) -> Iterator[Finding]:
    """Whether files can be made in a folder, or the folder itself."""
    at = folder.absolute()
    there = next(parent for parent in (at, *at.parents) if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    yield error(
        f"The data folder {at} can't be written.",
        f"TICKETKIT_DATA_DIR names another; or: chown $(id -u) {there}",
    )
