from __future__ import annotations

import os
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio.from_thread import BlockingPortal
from anyio.lowlevel import current_token

from ticketkit.backends.errors import OutcomeUnknown
from ticketkit.domain.errors import TicketkitError
from ticketkit.runtime.runtime import NotRunning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")


class InEventLoop(TicketkitError):
    """A blocking call was made in the thread of an event loop, which would stand still; await the same call instead."""

    def __init__(self) -> None:
        super().__init__(
            "A blocking call in an event loop would stop all that runs there. Await the same call of "
            "ticketkit.Marketplace, or make this one in a thread (anyio.to_thread.run_sync, asgiref's sync_to_async)."
        )


class Wire:
    """Carries calls from threads to the event loop of a marketplace, and their answers and errors back."""

    def __init__(self) -> None:
        self._portal: BlockingPortal | None = None
        self._process = 0
        self._under_way = 0
        self._quiet: anyio.Event | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Take calls to this event loop."""
        failed: Exception | None = None
        async with BlockingPortal() as portal:
            self._portal, self._process = portal, os.getpid()
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below: the portal would put it into a group
                failed = error
            finally:
                self._portal = None
        if failed is not None:
            raise failed

    async def close(self) -> None:
        """Take no more calls, and wait for those that are under way."""
        self._portal = None
        while self._under_way:
            self._quiet = anyio.Event()
            await self._quiet.wait()

    def tell(self, call: Callable[[], object]) -> None:
        """Have something called in the event loop, without waiting for it; nothing when there is none."""
        if (portal := self._portal) is not None:
            with suppress(RuntimeError):  # its event loop has ended meanwhile
                portal.start_task_soon(call)

    @property
    def elsewhere(self) -> bool:
        """Whether it was connected in the process that this one was forked off."""
        return self._process not in (0, os.getpid())

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call in the event loop and wait for its answer.

        Raises:
            InEventLoop: This thread has an event loop itself.
            NotRunning: There is nothing to call.
            OutcomeUnknown: The marketplace was cancelled before it answered.
        """
        check_thread()
        if self.elsewhere:
            msg = f"The marketplace was started in process {self._process}, before the fork: start it in each worker."
            raise NotRunning(msg)
        if (portal := self._portal) is None:
            msg = "The marketplace is not running."
            raise NotRunning(msg)
        try:
            future = portal.start_task_soon(self._counted, call)
        except RuntimeError as error:
            msg = "The marketplace is stopping, or has stopped."
            raise NotRunning(msg) from error
        try:
            return future.result()
        except CancelledError:
            msg = "The marketplace stopped before it answered: look before you try again."
            raise OutcomeUnknown(msg) from None
        except BaseException:
            future.cancel()  # of a Ctrl-C in this thread; an error of the call itself has ended it already
            raise

    async def _counted(self, call: Callable[[], Awaitable[T]]) -> T:
        self._under_way += 1
        try:
            return await call()
        finally:
            self._under_way -= 1
            if self._quiet is not None and not self._under_way:
                self._quiet.set()


def check_thread() -> None:
    """Make sure that this thread may wait.

    Raises:
        InEventLoop: It runs an event loop.
    """
    try:
        current_token()
    except RuntimeError:
        return
    raise InEventLoop
