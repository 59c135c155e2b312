"""`ticketkit-marketplace services`: servers, processes and the one address, from start to end."""

from __future__ import annotations

import fcntl
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import uvloop
from rich.console import Console

from ticketkit.backends.errors import Misconfigured
from ticketkit.marketplace import Marketplace
from ticketkit.runtime import server
from ticketkit.services.catalogue import ServiceName
from ticketkit_marketplace.accounts import OPERATIONS
from ticketkit_marketplace.combinations import COMBINATIONS, given, provided
from ticketkit_marketplace.demo.process import Process, own_settings
from ticketkit_marketplace.deployment import listing, state
from ticketkit_marketplace.deployment.board import Board
from ticketkit_marketplace.deployment.children import Child
from ticketkit_marketplace.deployment.gateway import Gateway
from ticketkit_marketplace.deployment.journal import Journal
from ticketkit_marketplace.deployment.keyring import Keyring
from ticketkit_marketplace.deployment.layout import OPS, WEB, Layout, Part
from ticketkit_marketplace.deployment.serving import Serving
from ticketkit_marketplace.deployment.supervisor import STOPS, Stage, Supervisor
from ticketkit_marketplace.deployment.upstreams import Pool, Upstream
from ticketkit_marketplace.running import prepare

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ticketkit.runtime.settings import Settings
    from ticketkit_marketplace.combinations import Ground

BACKENDS: Final = "nats-redis"
"""Name of the combination that it runs on."""
LOCK: Final = "services.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for.

    Attributes:
        host: To listen on.
        port: The same; 0 takes a free one.
        backends: Name of a combination.
        orders: How many processes run orders.
        ops: Whether the operations page runs too.
        ops_port: Its port; 0 takes a free one, None the next after `port`, if nobody has it.
        shows: Listed at the first start, by a part of their names; all when empty.
        as_json: Logs are JSON lines.
        log_level: Least level that is logged.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    backends: str = BACKENDS
    orders: int = 1
    ops: bool = True
    ops_port: int | None = None
    shows: tuple[str, ...] = ()
    as_json: bool = False
    log_level: str = "INFO"


def run(settings: Settings, wish: Wish, *, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: Of the marketplace: the data folder, and how long a stop waits; the processes read their own.
        wish: What to run.
        say: Told the address, once it answers.

    Raises:
        Misconfigured: The address can't be had, the data folder can't be written or is in use, or a setting is wrong.
        ServerMissing: The program of a server is not installed.
        ServerFailed: A server did not start.
        DidNotStart: A process did not.
    """
    data = settings.data_dir.absolute()
    journal = Journal(Console(stderr=True, highlight=False), as_json=wish.as_json)
    with ExitStack() as stack:
        listener = stack.enter_context(server.bound_socket(wish.host, wish.port))
        inner = stack.enter_context(server.bound_socket("127.0.0.1", 0))
        prepare(data)
        stack.enter_context(_alone(data))
        state.check_nobody_left(data)
        keys = Keyring.kept(data, own_settings())
        board = Board(journal)
        stack.callback(board.close)
        try:
            _interruptible()
            with _servers(wish.backends, data, board) as ground:
                layout = Layout(urls=ground.urls, keys=keys, inherited=own_settings(), orders=wish.orders)
                _migrate(layout, board)
                stage = _staged(layout, ground, wish, journal, listeners=(listener, inner), settings=settings)

                def announce() -> None:
                    for page in stage.pages[1:]:
                        where = f"http://{page.process.host}:{page.process.port}/{OPS}"
                        say(f"The operations page is on {where}; its account is in {data / OPERATIONS.file}")
                    say(f"The marketplace is on {server.address(listener)}")

                uvloop.run(Supervisor(stage, journal, board).run(announce=announce))
        except KeyboardInterrupt:
            return


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Keep others away from the data folder.

    Raises:
        Misconfigured: Another one runs on it.
    """
    with (data / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"`ticketkit-marketplace services` runs on the data folder {data} already. Choose another --data."
            raise Misconfigured(msg) from None
        yield


def _interruptible() -> None:
    """Until the processes start, a signal breaks off what is done, once: ending the servers is not broken off."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in STOPS:
        signal.signal(number, interrupt)


@contextmanager
def _servers(backends: str, data: Path, board: Board) -> Iterator[Ground]:
    what = COMBINATIONS[backends].what
    board.begin(what)
    with provided(backends, data, named=given(), apart=True, flushed=True) as ground:
        board.ready(what)
        yield ground


def _migrate(layout: Layout, board: Board) -> None:
    """Make the schemas, or bring them up to date: once, before the processes start, which may not change them."""
    from ticketkit_sql import schema

    board.begin("schemas")
    for url in dict.fromkeys(layout.databases.values()):
        schema.upgrade(url)
    board.ready("schemas")


def _staged(
    layout: Layout,
    ground: Ground,
    wish: Wish,
    journal: Journal,
    *,
    listeners: tuple[socket.socket, socket.socket],
    settings: Settings,
) -> Stage:
    data, drain = settings.data_dir.absolute(), settings.drain
    listener, inner = listeners
    pools = {name: Pool(name) for name in (*(name.value for name in ServiceName), WEB, OPS)}

    def child(part: Part, *, port: int | None = None) -> Child:
        process = Process(
            data,
            environment=part.settings,
            arguments=("--log", "json" if wish.as_json else "text"),
            program=part.program,
            name=part.name,
            port=port or None,
            log_level=wish.log_level,
            hear=partial(journal.hear, part.name),
        )
        pool = pools[part.service or part.name]
        return Child(part, process, pool.add(Upstream(process.host, process.port)), pool)

    running = [child(part) for part in layout.services()]
    inside = server.address(inner)
    pages = [child(layout.web(inside))]
    if wish.ops:
        numbers = [f"http://{one.process.host}:{one.process.port}/metrics" for one in running]
        port = _next(listener) if wish.ops_port is None else wish.ops_port
        pages.append(child(layout.ops(inside, numbers), port=port))
    api = Marketplace().asgi()
    services = {name: pools[name] for name in ServiceName}
    public = Gateway(services, pools[WEB], api)
    return Stage(
        data=data,
        servers={server.NAME: server for server in ground.servers.values()},
        services=running,
        pages=pages,
        public=Serving(public, listener, drain=drain),
        private=Serving(Gateway(services, None, api, trusted=True), inner, drain=drain),
        close=public.close,
        anything_on_sale=partial(listing.anything_on_sale, inside),
        listing=layout.lister(),
        shows=wish.shows,
        drain=drain,
    )


def _next(listener: socket.socket) -> int:
    """The port after that of a socket; 0 where somebody has it."""
    port: int = listener.getsockname()[1] + 1
    try:
        server.bound_socket("127.0.0.1", port).close()
    except Misconfigured:
        return 0
    return port
