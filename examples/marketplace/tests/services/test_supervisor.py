"""Processes are started, started again when they die, and all ended; tried with small ones."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import anyio
import httpx2
import pytest
from rich.console import Console
from services.conftest import App

from ticketkit.runtime.server import bound_socket
from ticketkit.services.catalogue import ServiceName
from ticketkit.testing.servers import Redis
from ticketkit_marketplace.demo.process import DidNotStart, Process
from ticketkit_marketplace.deployment import state
from ticketkit_marketplace.deployment.board import Board
from ticketkit_marketplace.deployment.children import Child
from ticketkit_marketplace.deployment.gateway import Gateway
from ticketkit_marketplace.deployment.journal import Journal
from ticketkit_marketplace.deployment.layout import Part
from ticketkit_marketplace.deployment.serving import Serving
from ticketkit_marketplace.deployment.supervisor import ROLL, STOPS, Stage, Supervisor
from ticketkit_marketplace.deployment.upstreams import Pool, Upstream


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Tests go on with the reactions to signals that they began with."""
    before = {number: signal.getsignal(number) for number in (*STOPS, ROLL)}
    yield
    for number, reaction in before.items():
        signal.signal(number, reaction)


@dataclass
class Site:
    """A stage of small processes."""

    stage: Stage
    journal: Journal
    out: StringIO
    client: httpx2.AsyncClient

    def pids(self) -> dict[str, int]:
        """As the file says."""
        told = json.loads((self.stage.data / state.FILE).read_text())
        assert told["supervisor"] == os.getpid()
        return {name: process["pid"] for name, process in told["processes"].items()}

    async def answer(self, path: str) -> str:
        """Who answers."""
        answer = await self.client.get(path)
        return answer.text if answer.status_code == 200 else f"{answer.status_code}"

    async def until(self, look: Callable[[], object]) -> None:
        """Wait until it is so."""
        with anyio.fail_after(20):
            while not look():  # noqa: ASYNC110 - other processes make it so
                await anyio.sleep(0.02)


SMALL = (ServiceName.TICKETS, ServiceName.ORDERS, ServiceName.ORDERS)


@pytest.fixture
async def site(tmp_path: Path, api: App) -> AsyncIterator[Callable[..., Site]]:
    clients: list[httpx2.AsyncClient] = []

    def made(*, drain: float = 5.0, redis: Redis | None = None, **special: str) -> Site:
        out = StringIO()
        journal = Journal(Console(file=out, color_system=None), as_json=False)
        pools: dict[str, Pool] = {name.value: Pool(name.value) for name in ServiceName} | {"web": Pool("web")}
        listener, inner = bound_socket("127.0.0.1", 0), bound_socket("127.0.0.1", 0)

        def child(name: str, service: ServiceName | None) -> Child:
            settings = {"PYTHONPATH": str(Path(__file__).parents[1]), "TICKETKIT_SMALL_NAME": name}
            settings |= {setting: "1" for setting, who in special.items() if who == name}
            part = Part(name=name, service=service, settings=settings)
            hear = partial(journal.hear, name)
            process = Process(tmp_path, environment=settings, program=("services.small",), name=name, hear=hear)
            pool = pools[service or "web"]
            return Child(part, process, pool.add(Upstream(process.host, process.port)), pool)

        services = {name: pools[name] for name in ServiceName}
        gateway = Gateway(services, pools["web"], api)

        async def there() -> bool:
            return True

        stage = Stage(
            data=tmp_path,
            servers={} if redis is None else {"Redis": redis},
            services=[child(f"{name}-{number}", name) for number, name in enumerate(SMALL)],
            pages=[child("web", None)],
            public=Serving(gateway, listener, drain=drain),
            private=Serving(Gateway(services, None, api, trusted=True), inner, drain=drain),
            close=gateway.close,
            anything_on_sale=there,
            listing={},
            drain=drain,
        )
        url = "http://{}:{}".format(*listener.getsockname())
        clients.append(httpx2.AsyncClient(base_url=url, verify=False, trust_env=False, timeout=20))
        return Site(stage, journal, out, clients[-1])

    yield made
    for client in clients:
        await client.aclose()


@asynccontextmanager
async def running(site: Site, *, stop: signal.Signals = signal.SIGINT) -> AsyncIterator[Site]:
    """Run it, and end it with a signal."""
    ready = anyio.Event()
    ended: list[None] = []

    async def run(announce: Callable[[], None]) -> None:
        await Supervisor(site.stage, site.journal, Board(site.journal)).run(announce=announce)
        ended.append(None)

    async with anyio.create_task_group() as group:
        group.start_soon(run, ready.set)
        with anyio.fail_after(30):
            await ready.wait()
        yield site
        os.kill(os.getpid(), stop)
        await site.until(lambda: ended)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def heard(site: Site, sentence: str) -> bool:
    return sentence in site.out.getvalue()


def changed(site: Site, name: str, pid: int) -> bool:
    return site.pids()[name] != pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_all_answer_at_one_address_and_a_signal_leaves_none_running(
    site: Callable[..., Site], number: signal.Signals
) -> None:
    async with running(site(), stop=number) as made:
        pids = made.pids()
        assert list(pids) == ["tickets-0", "orders-1", "orders-2", "web"]
        assert await made.answer("/api/tickets") == f"tickets-0 {pids['tickets-0']}"
        assert await made.answer("/") == f"web {pids['web']}"
        assert all(map(alive, pids.values()))
    assert not any(map(alive, pids.values()))
    assert not (made.stage.data / state.FILE).exists()
    with pytest.raises(httpx2.ConnectError):
        await made.answer("/")
    assert "exited" not in made.out.getvalue()


async def test_a_process_that_dies_is_named_with_its_last_words_and_comes_back(site: Callable[..., Site]) -> None:
    async with running(site()) as made:
        before = made.pids()
        assert (await made.client.post("/api/tickets/crash")).status_code == 502
        assert (await made.answer("/api/tickets")).startswith("tickets-0 "), "it was waited for"
        await made.until(lambda: "is ready again" in made.out.getvalue())
        after = made.pids()
    assert "tickets-0 exited 3, and starts again in 0.25 s. Its last lines:" in made.out.getvalue()
    assert "    | something is wrong\n    | the last words\n" in made.out.getvalue()
    assert before["tickets-0"] != after["tickets-0"]
    assert {**before, "tickets-0": 0} == {**after, "tickets-0": 0}


async def test_the_pauses_grow_while_a_process_dies_again_and_again(site: Callable[..., Site]) -> None:
    async with running(site()) as made:
        for pause in ("0.25", "0.5"):
            pid = made.pids()["orders-1"]
            os.kill(pid, signal.SIGKILL)
            said = f"orders-1 was ended by SIGKILL, and starts again in {pause} s. Its last lines: It said nothing."
            await made.until(partial(heard, made, said))
            assert (await made.answer("/api/orders")).startswith("orders-2 ")
            await made.until(partial(changed, made, "orders-1", pid))


async def test_processes_are_restarted_one_after_the_other_while_others_answer(site: Callable[..., Site]) -> None:
    async with running(site()) as made:
        before = made.pids()
        os.kill(os.getpid(), ROLL)
        answers: list[str] = []

        def all_new() -> bool:
            return not set(before.values()) & set(made.pids().values())

        with anyio.fail_after(20):
            while not all_new():
                answers += [await made.answer("/api/orders"), await made.answer("/api/tickets")]
        assert {answer.split()[0] for answer in answers} == {"orders-1", "orders-2", "tickets-0"}
    assert made.out.getvalue().count("was restarted") == 4


async def test_a_second_signal_kills_what_does_not_end(site: Callable[..., Site]) -> None:
    made = site(drain=60.0, TICKETKIT_SMALL_STUBBORN="orders-2")
    async with running(made):
        pids = made.pids()
        os.kill(os.getpid(), signal.SIGINT)
        await made.until(lambda: not alive(pids["tickets-0"]) and not alive(pids["web"]))
        assert alive(pids["orders-2"])
    assert not alive(pids["orders-2"])
    assert "orders-2 was ended by SIGKILL" in made.out.getvalue()


async def test_what_does_not_end_in_time_is_killed(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ticketkit_marketplace.deployment.supervisor.GRACE", 0.2)
    async with running(site(drain=0.3, TICKETKIT_SMALL_STUBBORN="web")) as made:
        pids = made.pids()
    assert not any(map(alive, pids.values()))
    assert "web was ended by SIGKILL" in made.out.getvalue()


async def test_a_process_that_does_not_start_at_first_ends_all_and_is_told(site: Callable[..., Site]) -> None:
    made = site(TICKETKIT_SMALL_BROKEN="orders-1")
    with pytest.raises(DidNotStart, match="the setting is wrong"):
        await Supervisor(made.stage, made.journal, Board(made.journal)).run(announce=pytest.fail)
    assert not any(child.process.running for child in made.stage.children)


async def test_a_server_that_dies_is_started_again_on_its_data(site: Callable[..., Site]) -> None:
    with Redis(fsync="always") as redis:
        async with running(site(redis=redis)) as made:
            redis._signal(signal.SIGKILL)
            await made.until(lambda: "Redis is ready again" in made.out.getvalue())
            assert redis.running
            told = json.loads((made.stage.data / state.FILE).read_text())
            assert told["servers"] == {"Redis": {"pid": redis.pid, "port": redis.port}}
            assert "Redis ended, and starts again in 0.25 s; its log is" in made.out.getvalue()
