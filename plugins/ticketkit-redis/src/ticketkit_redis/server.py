"""One Redis server: its connections, and the scripts that run on it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit_redis.checks import check_kind, keeping
from ticketkit_redis.failures import translated
from ticketkit_redis.keys import Keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from redis.commands.core import AsyncScript

    from ticketkit_redis.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")


class Server:
    """A Redis server. Made by `opened`.

    Attributes:
        keys: Names of the keys.
        settings: From the URL.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self._client = Redis(connection_pool=_pool(settings))
        self._ear = Redis(connection_pool=_pool(settings, listens=True))
        self._scripts: dict[str, AsyncScript] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def call(self, script: str, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        """Run one of the scripts in `lua/`, in one step; bounded by the time-out.

        Raises:
            Unavailable: It may or may not have run.
            Misconfigured: The server refuses.
        """
        return await self.shielded(self._call(script, keys, arguments))

    async def kept(self, script: str, keys: Sequence[str], *arguments: str | bytes | int) -> None:
        """As `call`, and wait until as many replicas as the settings say have it.

        Raises:
            Unavailable: Or too few of them have it.
        """
        if not self.settings.wait:
            await self.call(script, keys, *arguments)
            return
        have: int = await self.shielded(self._waited(script, keys, arguments))
        if have < self.settings.wait:
            raise Unavailable(
                f"Only {have} of {self.settings.wait} replicas (wait=) of {self.settings.server} have it."
            )

    async def about(self) -> dict[str, Any]:
        """What the server says of itself (INFO).

        Raises:
            Unavailable: It can't be reached now.
            Misconfigured: It refuses.
        """
        return await self.shielded(self._client.info())

    async def configured(self, name: str) -> str | None:
        """A line of the server's configuration; None when this user may not see it."""
        try:
            found: dict[str, str] = await self.shielded(self._client.config_get(name))
        except Misconfigured:
            return None
        return found.get(name)

    async def now(self) -> datetime:
        """The server's time, UTC."""
        time: tuple[int, int] = await self.shielded(self._client.time())
        return datetime.fromtimestamp(time[0], UTC) + timedelta(microseconds=time[1])

    async def fields(self, key: str) -> dict[bytes, bytes]:
        """A hash."""
        return await self.shielded(self._client.hgetall(key))

    async def first(self, key: str, limit: int) -> list[bytes]:
        """The first members of a sorted set."""
        return await self.shielded(self._client.zrange(key, 0, limit - 1)) if limit > 0 else []

    @property
    def listening(self) -> Redis:
        """A client whose answers may take forever: for channels only."""
        return self._ear

    async def shielded(self, command: Coroutine[Any, Any, T] | Any) -> T:
        """Run commands to their end, whoever stops waiting for it: a connection is never left in mid-answer."""
        task = self.start(command)
        try:
            return await asyncio.shield(task)
        except (RedisError, OSError) as error:
            raise translated(error, self.settings.server) from error

    def start(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that ends by itself, before the connections are closed."""
        task = asyncio.ensure_future(job)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it may have given up: asyncio is not to complain

    async def close(self) -> None:
        """Wait for what runs, and close the connections."""
        if self._running:
            await asyncio.wait(self._running, timeout=2 * self.settings.timeout)
        for client in (self._client, self._ear):
            await client.aclose()
            await client.connection_pool.disconnect()

    async def _call(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        return await self._script(script)(keys, arguments)

    async def _waited(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> int:
        # WAIT speaks of what its own connection wrote.
        async with self._client.pipeline(transaction=False) as pipe:
            await self._script(script)(keys, arguments, client=pipe)
            pipe.execute_command("WAIT", self.settings.wait, int(self.settings.timeout * 500))
            answers = await pipe.execute()
        return int(answers[-1])

    def _script(self, name: str) -> AsyncScript:
        if name not in self._scripts:
            self._scripts[name] = self._client.register_script(_text(name))
        return self._scripts[name]


@cache
def _text(name: str) -> str:
    return (files("ticketkit_redis") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def _pool(settings: Settings, *, listens: bool = False) -> ConnectionPool:
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "db": settings.db,
        "username": settings.username,
        "password": settings.password,
        "protocol": 2,
        "socket_connect_timeout": settings.timeout,
        # redis-py's own default ends whatever waits for longer than 5 seconds.
        "socket_timeout": None if listens else settings.timeout,
        # Trying again is for the runtime, which pauses everything at once.
        "retry": Retry(NoBackoff(), 0),
        "connection_class": SSLConnection if settings.tls else Connection,
    }
    if settings.tls:
        options |= {"ssl_ca_certs": settings.ca, "ssl_certfile": settings.cert, "ssl_keyfile": settings.key}
    if listens:
        return ConnectionPool(**options)
    return BlockingConnectionPool(max_connections=settings.connections, timeout=settings.timeout, **options)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Server]:
    """A server, whatever it is; nothing is sent yet.

    Raises:
        Misconfigured: A file of the settings is missing.
    """
    for name in ("ca", "cert", "key"):
        file = getattr(settings, name)
        if file is not None and not await anyio.Path(file).is_file():
            raise Misconfigured(f"{name}={file}: there is no such file.")
    server = Server(settings)
    try:
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            await server.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Server]:
    """Connect, and look whether the server will do.

    Raises:
        Misconfigured: It is too old, a replica or a cluster, or refuses the user; or a file of the settings is missing.
        Unavailable: It can't be reached.
    """
    async with connected(settings) as server:
        about = await server.about()
        check_kind(about, settings.server)
        if (finding := keeping(about, settings.server)) is not None:
            log.warning("%s Mend it: %s", finding.what, finding.mend)
        yield server
