"""Opens the storage of one boundary for a command, beside the servers that use it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ticketkit.backends.storage import Storage
    from ticketkit.plugins import Plugins
    from ticketkit.services.auth import Auth
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.commands import Commands

T = TypeVar("T")


def on(plugins: Plugins, boundary: Boundary, work: Callable[[Storage, Commands], Awaitable[T]]) -> T:
    """What some work on the storage that the settings name answers.

    Raises:
        Misconfigured: It can't be shared with the servers.
        TicketkitError: As the work raised it.
    """
    import anyio

    return anyio.run(partial(_on, plugins, boundary, work))


async def _on(plugins: Plugins, boundary: Boundary, work: Callable[[Storage, Commands], Awaitable[T]]) -> T:
    from ticketkit.backends.spec import BackendKind, Context
    from ticketkit.domain.errors import TicketkitError
    from ticketkit.runtime.opening import BOUNDARY_SETTINGS, check_shared
    from ticketkit.runtime.settings import Settings
    from ticketkit.services.catalogue import Boundary
    from ticketkit.services.commands import Commands

    settings, context = Settings(), Context()
    url = settings.accounts() if boundary is Boundary.ACCOUNTS else settings.storage()
    check_shared(plugins, BackendKind.STORAGE, url, setting=BOUNDARY_SETTINGS[boundary])
    answers: list[T] = []
    errors: list[TicketkitError] = []
    async with plugins.open(BackendKind.STORAGE, url, context) as storage:
        try:
            answers.append(await work(storage, Commands(context.new_id)))
        except TicketkitError as error:  # raised below: a backend with tasks of its own would wrap it
            errors.append(error)
    if errors:
        raise errors[0]
    return answers[0]


def accounts(storage: Storage, commands: Commands) -> Auth:
    """Auth for what needs no token: those that it mints are signed by a key that is thrown away."""
    from datetime import timedelta

    from ticketkit.backends.clock import SystemClock
    from ticketkit.ids import new_id
    from ticketkit.services.auth import Auth
    from ticketkit.services.passwords import Passwords
    from ticketkit.services.tokens import Keys, Minter

    moment = timedelta(minutes=1)
    minter = Minter(Keys.generate(new_id()), SystemClock(), lifetime=moment)
    return Auth(storage, commands, passwords=Passwords(), minter=minter, lifetime=moment)
