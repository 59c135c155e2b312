"""Tells at once what is new on the server; whoever misses it looks by himself now and then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import anyio
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Collection

    from ticketkit.backends.clock import Clock
    from ticketkit_redis.server import Server

log = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks of whoever waits, in case that the bell is not heard."""

AGAIN: Final = 1.0


class Ear:
    """One who waits for news of some names.

    Args:
        names: Which.
        clock: To wait by.
    """

    def __init__(self, names: Collection[str], clock: Clock) -> None:
        self.names = frozenset(names)
        self._clock = clock
        self._event = anyio.Event()

    def notify(self) -> None:
        """There is something new."""
        self._event.set()

    def forget(self) -> None:
        """What was told until now is known."""
        if self._event.is_set():
            self._event = anyio.Event()

    async def wait(self, seconds: float) -> None:
        """Return when told since `forget`, or after the time."""
        async with anyio.create_task_group() as tasks:

            async def time_out() -> None:
                await self._clock.sleep(seconds)
                tasks.cancel_scope.cancel()

            tasks.start_soon(time_out)
            await self._event.wait()
            tasks.cancel_scope.cancel()


class Bell:
    """Hears a channel for all of a process.

    Args:
        server: Whose channel.
        clock: To wait by.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._ears: set[Ear] = set()
        self._quiet = False

    def add(self, ear: Ear) -> None:
        """Tell one from now on."""
        self._ears.add(ear)

    def remove(self, ear: Ear) -> None:
        """Tell one no longer."""
        self._ears.discard(ear)

    async def listen(self) -> None:
        """Tell what is heard, until cancelled; a lost connection is made again."""
        while True:
            try:
                async with self._server.listening.pubsub() as channel:
                    await channel.subscribe(self._server.keys.bell)
                    while True:
                        self._tell(await channel.get_message(timeout=None))
            except (RedisError, OSError) as error:
                if not self._quiet:
                    log.warning("news of %s are not heard (%s): looking instead", self._server.settings.server, error)
                self._quiet = True
                await self._clock.sleep(AGAIN)

    def _tell(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        heard = message["type"] == "message"
        names = message["data"].decode().split("\n") if heard else []
        if not heard:  # it hears from now on; what came before is to be looked for
            self._quiet = False
        for ear in self._ears:
            if not heard or not ear.names.isdisjoint(names):
                ear.notify()
