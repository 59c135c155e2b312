from __future__ import annotations

import os
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

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
        made = _Made(call)
        try:
            return self._begin(portal, made).result()
        except CancelledError:
            msg = "The marketplace stopped before it answered: look before you try again."
            raise OutcomeUnknown(msg) from None
        finally:
            if not made.ended:  # a Ctrl-C or a time limit of this thread: nobody waits any more
                self.tell(made.give_up)

    def _begin(self, portal: BlockingPortal, made: _Made[T]) -> Future[T]:
        try:
            return portal.start_task_soon(self._counted, made)
        except RuntimeError as error:
            msg = "The marketplace is stopping, or has stopped."
            raise NotRunning(msg) from error

    async def _counted(self, made: _Made[T]) -> T:
        self._under_way += 1
        try:
            return await made.answer()
        finally:
            self._under_way -= 1
            if self._quiet is not None and not self._under_way:
                self._quiet.set()


class _Made(Generic[T]):
    """A call that was made."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._scope: anyio.CancelScope | None = None
        self._given_up = self.ended = False

    async def answer(self) -> T:
        """Make it; in the event loop."""
        try:
            with anyio.CancelScope() as self._scope:
                if self._given_up:
                    self._scope.cancel()
                return await self._call()
        finally:
            self.ended = True
        raise OutcomeUnknown  # to nobody

    def give_up(self) -> None:
        """Cancel it; in the event loop."""
        self._given_up = True
        if self._scope is not None:
            self._scope.cancel()


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
