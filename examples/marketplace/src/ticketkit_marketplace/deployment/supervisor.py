"""Runs the processes: starts them, starts them again when they die, ends them all."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from anyio.to_thread import run_sync

from ticketkit.domain.errors import TicketkitError
from ticketkit.runtime.backoff import Backoff
from ticketkit_marketplace.demo.process import DidNotStart
from ticketkit_marketplace.deployment import listing, state
from ticketkit_marketplace.deployment.children import Child, ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from anyio.abc import TaskGroup

    from ticketkit.testing.servers import Server
    from ticketkit_marketplace.deployment.board import Board
    from ticketkit_marketplace.deployment.journal import Journal
    from ticketkit_marketplace.deployment.serving import Serving

LOOK: Final = 0.05
STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last one comes when a terminal is closed."""
ROLL: Final = signal.SIGUSR1
GRACE: Final = 5.0
"""Seconds beyond its drain after which a process that was asked to end is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is run.

    Attributes:
        data: Data folder.
        servers: Databases and buses that were started for it, by name.
        services: Processes of the services.
        pages: Of the web client and the operations page; started when the services are ready.
        public: Where everybody is answered.
        private: Where the web client reaches the services.
        close: Ends streams of events.
        anything_on_sale: Whether there are live events.
        listing: Settings of the command that lists the Broadway week.
        shows: What it lists, by a part of their names; all when empty.
        drain: Seconds that a stop waits for what is under way.
    """

    data: Path
    servers: Mapping[str, Server]
    services: Sequence[Child]
    pages: Sequence[Child]
    public: Serving
    private: Serving
    close: Callable[[], None]
    anything_on_sale: Callable[[], Awaitable[bool]]
    listing: Mapping[str, str]
    shows: Sequence[str] = ()
    drain: float = 10.0

    @property
    def children(self) -> tuple[Child, ...]:
        """All processes."""
        return (*self.services, *self.pages)


class Supervisor:
    """Runs a stage until it is told to stop.

    Args:
        journal: Gets what happens.
        board: Shows what is ready.
    """

    def __init__(self, stage: Stage, journal: Journal, board: Board) -> None:
        self._stage, self._journal, self._board = stage, journal, board
        self._stopping, self._roll = asyncio.Event(), asyncio.Event()
        self._down: set[str] = set()

    async def run(self, *, announce: Callable[[], None]) -> None:
        """Run until SIGINT or SIGTERM; a second one kills. SIGUSR1 restarts the processes one after the other.

        Args:
            announce: Called once all are ready.

        Raises:
            DidNotStart: A process did not, at the first start.
        """
        failure: TicketkitError | None = None
        with self._listening():
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._until_stopped, group)
                    try:
                        await self._start()
                    except TicketkitError as error:
                        failure = error
                        group.cancel_scope.cancel()
                    else:
                        self._board.close()
                        announce()
                        group.start_soon(self._watch, group)
                        group.start_soon(self._roll_when_asked)
            finally:
                self._board.close()
                with anyio.CancelScope(shield=True):
                    await self._end()
        if failure is not None:
            raise failure

    async def _start(self) -> None:
        stage = self._stage
        self._note()
        await stage.private.start()
        await self._begin(stage.services)
        if not await stage.anything_on_sale():
            await self._awaited("tickets on sale", self._list)
        await self._begin(stage.pages)
        await stage.public.start()
        self._note()

    async def _begin(self, children: Sequence[Child]) -> None:
        """Start some at the same time.

        Raises:
            DidNotStart: One did not; the others are not waited for.
        """
        failures: list[TicketkitError] = []
        async with anyio.create_task_group() as group:

            async def begin(child: Child) -> None:
                try:
                    await self._awaited(child.name, child.start)
                except TicketkitError as error:
                    failures.append(error)
                    group.cancel_scope.cancel()

            for child in children:
                group.start_soon(begin, child)
        if failures:
            raise failures[0]

    async def _awaited(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        self._board.begin(what)
        await work()
        self._board.ready(what)

    async def _list(self) -> None:
        stage = self._stage
        await listing.listed(stage.data, stage.listing, stage.shows, hear=lambda line: self._journal.hear("list", line))

    async def _until_stopped(self, group: TaskGroup) -> None:
        await self._stopping.wait()
        group.cancel_scope.cancel()

    async def _watch(self, group: TaskGroup) -> None:
        """Notice whoever died."""
        while True:
            for child in self._stage.children:
                if child.watched and not child.process.running:
                    child.gone()
                    group.start_soon(self._revive, child)
            for name, server in self._stage.servers.items():
                if name not in self._down and not server.running:
                    self._down.add(name)
                    group.start_soon(self._restore, name, server)
            await anyio.sleep(LOOK)

    async def _revive(self, child: Child) -> None:
        while True:
            how = ending(child.process.status)
            await run_sync(child.process.heard)
            pause = child.pause()
            last = "".join(f"\n    | {line}" for line in self._journal.last(child.name)) or " It said nothing."
            self._journal.say(
                f"{child.name} {how}, and starts again in {pause:g} s. Its last lines:{last}", level="error"
            )
            self._journal.forget(child.name)
            await anyio.sleep(pause)
            try:
                await child.start()
            except DidNotStart:
                continue
            self._journal.say(f"{child.name} is ready again (process {child.process.pid})")
            self._note()
            return

    async def _restore(self, name: str, server: Server) -> None:
        backoff = Backoff(first=0.25, most=30.0)
        while not server.running:
            pause = backoff.next()
            self._journal.say(f"{name} ended, and starts again in {pause:g} s; its log is {server.log}", level="error")
            await anyio.sleep(pause)
            try:
                await run_sync(server.start)
            except TicketkitError as error:
                self._journal.say(str(error), level="error")
        self._journal.say(f"{name} is ready again")
        self._down.discard(name)
        self._note()

    async def _roll_when_asked(self) -> None:
        while True:
            await self._roll.wait()
            self._roll.clear()
            for child in self._stage.children:
                if not child.watched:
                    continue  # it is being started again as it is
                await child.rest(seconds=self._stage.drain)
                try:
                    await child.start()
                except DidNotStart:
                    child.watched = True  # then it is noticed like any that died
                else:
                    self._journal.say(f"{child.name} was restarted (process {child.process.pid})")
                    self._note()

    async def _end(self) -> None:
        stage = self._stage
        if self._stopping.is_set():
            self._journal.say("Stopping: what is under way is finished. Ctrl-C again kills.")
        stage.close()
        await stage.public.stop()
        ended: dict[str, int | None] = {}

        async def stop(child: Child) -> None:
            ended[child.name] = await child.stop(seconds=stage.drain + GRACE)

        async with anyio.create_task_group() as group:
            for child in stage.children:
                group.start_soon(stop, child)
        await stage.private.stop()
        for child in stage.children:
            child.process.kill()
        for name, status in ended.items():
            if status:
                self._journal.say(f"{name} {ending(status)}", level="error")
        for child in stage.children:
            await child.pool.close()
        state.remove(stage.data)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """React to signals; afterwards they are ignored: what is left to be ended is servers, in order."""
        loop = asyncio.get_running_loop()
        for number in STOPS:
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(self._stop))
        signal.signal(ROLL, lambda _number, _frame: loop.call_soon_threadsafe(self._roll.set))
        try:
            yield
        finally:
            for number in (*STOPS, ROLL):
                signal.signal(number, signal.SIG_IGN)

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            return
        self._stage.public.hurry()
        self._stage.private.hurry()
        for child in self._stage.children:
            child.kill()

    def _note(self) -> None:
        """Write down who runs."""
        running = [child.process for child in self._stage.children if child.process.running]
        servers = self._stage.servers.items()
        state.write(
            self._stage.data,
            {process.name: (process.pid, process.port) for process in running},
            {name: (server.pid, server.port) for name, server in servers if server.pid is not None},
        )
