"""What is demonstrated: the marketplace on its backends, as one process with all services or as five with one each."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING

from ticketkit.http import service_paths
from ticketkit.services.catalogue import Boundary, ServiceName
from ticketkit_marketplace.combinations import ACCOUNTS, BUS, PAYMENTS, STORAGE, provided
from ticketkit_marketplace.demo.process import DidNotStart, Process, environment_of
from ticketkit_marketplace.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ticketkit.testing.servers import Server
    from ticketkit_stripe.simulator import Simulator


class Shape(StrEnum):
    """How many processes."""

    ONE = "one"
    FIVE = "five"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The processes of a marketplace, and what they stand on.

    Attributes:
        data: Data folder.
        settings: Of every process.
        processes: By the name of the service, or one for all.
        shows: On sale, by a part of their names; all when empty.
        servers: Databases and buses that were started for it, by scheme.
        stripe: The simulator that takes the money, if it is not the fake provider.
    """

    shape: Shape
    data: Path
    settings: Mapping[str, str]
    processes: Mapping[str, Process]
    shows: tuple[str, ...] = ()
    servers: Mapping[str, Server] = field(default_factory=dict)
    stripe: Simulator | None = None

    @property
    def databases(self) -> dict[Boundary, str]:
        """URL of each boundary's storage."""
        inventory = self.settings.get(STORAGE, f"sqlite:///{self.data.absolute() / 'ticketkit.db'}")
        return {
            Boundary.INVENTORY: inventory,
            Boundary.ACCOUNTS: self.settings.get(ACCOUNTS, inventory),
            Boundary.PAYMENTS: self.settings.get(PAYMENTS, inventory),
        }

    @property
    def bus(self) -> str | None:
        """URL of the bus; None for the one inside the process."""
        return self.settings.get(BUS)

    @property
    def books(self) -> Path:
        """Journal of the fake payment provider."""
        return self.data / "fake-payments.jsonl"

    async def start(self) -> None:
        """Start all processes, with the Broadway week on sale.

        Raises:
            DidNotStart: One did not.
        """
        if self.stripe is not None:
            await asyncio.to_thread(self.stripe.control.add_endpoint, self._webhooks())
        await self._start(self.processes.values())
        if self.shape is Shape.FIVE:
            await self._list_the_week()

    async def kill(self, name: str) -> None:
        """Kill a process with SIGKILL, and start it again."""
        self.processes[name].kill()
        await self._start([self.processes[name]])

    async def kill_servers(self) -> None:
        """Kill every database and bus with SIGKILL, and start it again on its data."""
        for server in self.servers.values():
            server.kill()
        for server in self.servers.values():
            await asyncio.to_thread(server.start)

    async def stop(self) -> list[str]:
        """Ask all to stop at once, and wait; what is wrong with how they ended."""
        ended = await asyncio.gather(*(asyncio.to_thread(process.stop) for process in self.processes.values()))
        return [f"{name} exited {status}" for name, status in zip(self.processes, ended, strict=True) if status]

    def end(self) -> None:
        """SIGKILL whatever runs still."""
        for process in self.processes.values():
            process.kill()

    def rss(self) -> int:
        """Resident memory of all processes, bytes."""
        return sum(process.rss() for process in self.processes.values())

    def wire(self, *, connections: int) -> Wire:
        """To all services."""
        if self.shape is Shape.ONE:
            (process,) = self.processes.values()
            return Wire(process.host, process.port, connections=connections)
        owned = service_paths().items()
        ports = {path: self.processes[name].port for name, paths in owned for path in paths}
        return Wire(self.processes[ServiceName.AUTH].host, ports, connections=connections)

    def _webhooks(self) -> str:
        """Where payments takes what Stripe has to tell."""
        taker = next(iter(self.processes.values())) if self.shape is Shape.ONE else self.processes[ServiceName.PAYMENTS]
        return f"http://{taker.host}:{taker.port}/api/payments/webhooks/stripe"

    async def _start(self, processes: Iterable[Process]) -> None:
        starting = list(processes)
        for process in starting:
            process.spawn()
        await asyncio.gather(*(asyncio.to_thread(process.wait) for process in starting))

    async def _list_the_week(self) -> None:
        command = [sys.executable, "-m", "ticketkit_marketplace", "list", *_chosen(self.shows)]
        child = await asyncio.create_subprocess_exec(
            *command, env=environment_of(self.data, self.settings), stdout=DEVNULL, stderr=PIPE
        )
        try:
            _, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode != 0:
            msg = f"The Broadway week was not listed: {errors.decode(errors='replace').strip()}"
            raise DidNotStart(msg)


@contextmanager
def built(
    combination: str,
    shape: Shape,
    data: Path,
    *,
    settings: Mapping[str, str],
    named: Mapping[str, str],
    shows: tuple[str, ...] = (),
) -> Iterator[System]:
    """Start the servers of a combination, and say what runs on them; at the end nothing runs any more.

    Args:
        combination: Its name.
        shape: One process, or five.
        data: Data folder, also of the servers.
        settings: Of the marketplace.
        named: Backends that are there already, by setting.
        shows: On sale, by a part of their names; all when empty.

    Raises:
        Misconfigured: See `provided`.
    """
    data.mkdir(parents=True, exist_ok=True)
    with provided(combination, data, named=named, apart=shape is Shape.FIVE) as ground:
        every = {**settings, **ground.urls}
        system = System(
            shape=shape,
            data=data,
            settings=every,
            processes=_processes(shape, data, every, shows),
            shows=shows,
            servers=ground.servers,
            stripe=ground.stripe,
        )
        try:
            yield system
        finally:
            system.end()


def _processes(shape: Shape, data: Path, settings: Mapping[str, str], shows: tuple[str, ...]) -> dict[str, Process]:
    if shape is Shape.ONE:
        return {"marketplace": Process(data, environment=settings, arguments=["--no-ops", *_chosen(shows)])}
    return {
        name.value: Process(data, environment=settings, program=("ticketkit", "serve", name.value), name=name.value)
        for name in ServiceName
    }


def _chosen(shows: tuple[str, ...]) -> list[str]:
    return [word for name in shows for word in ("--show", name)]
