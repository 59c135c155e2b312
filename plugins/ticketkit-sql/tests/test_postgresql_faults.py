"""PostgreSQL that is killed, started anew, cut off or silent; and URLs that can't work."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from ticketkit.backends.errors import BackendError, Misconfigured, OutcomeUnknown, Unavailable
from ticketkit.backends.spec import Context
from ticketkit.backends.storage import Answer
from ticketkit.domain import orders
from ticketkit.domain.decision import Changes, Keys, Need, State
from ticketkit.domain.entities import Order, Ticket, TicketStatus
from ticketkit.testing.servers import PostgreSQL
from ticketkit_sql.storage import open_storage

pytestmark = pytest.mark.anyio
SHORT = "connect=1&statement=1&lock=1"
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server of this module's own, to be treated badly."""
    with PostgreSQL() as server:
        server.create("shop")
        yield server


@pytest.fixture
def kind() -> str:
    return "sqlite"  # of `market`, which lends only its words here


class Proxy:
    """Between ticketkit and the server. Cuts connections, swallows answers, ends TLS.

    Attributes:
        silent: Passes nothing on, either way.
        deaf: What comes from the server is swallowed, and the connection is cut then.
    """

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self._server = port
        self._context = context
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.silent = False
        self.deaf = False
        self.refusing = False
        self.secured = 0
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            self.cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hear(self) -> None:
        self.deaf = False

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if not self.refusing:
                    await self._serve(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._context is not None:
            assert await reader.readexactly(8) == _SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.secured += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._server)
        self._writers.add(back)
        try:
            async with anyio.create_task_group() as group:

                async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answer: bool) -> None:
                    while data := await source.read(65536):
                        while self.silent:  # noqa: ASYNC110 - a test sets it
                            await anyio.sleep(0.01)
                        if answer and self.deaf:
                            break
                        target.write(data)
                        await target.drain()
                    group.cancel_scope.cancel()

                group.start_soon(lambda: pass_on(reader, back, answer=False))
                group.start_soon(lambda: pass_on(there, writer, answer=True))
        except* OSError:
            pass
        finally:
            back.transport.abort()
            self._writers.discard(back)


def url(server: PostgreSQL, *, port: int = 0, parameters: str = SHORT) -> str:
    return f"postgresql://postgres@127.0.0.1:{port or server.port}/shop?{parameters}"


class Clock:
    """The machine's; one for each storage, so that no two share connections."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@asynccontextmanager
async def opened(market: Any, there: str, checkpoint: Callable[[str], None] = lambda _: None) -> AsyncIterator[Any]:
    async with open_storage(there, Context(clock=Clock(), checkpoint=checkpoint)) as storage:
        yield market.of(storage)


async def test_after_a_restart_it_goes_on_without_being_opened_again(market: Any, server: PostgreSQL) -> None:
    async with opened(market, url(server)) as shop:
        first, second = await shop.offer(2)
        await shop.place("one", first.id)
        await asyncio.to_thread(server.restart)
        assert isinstance(await shop.place("two", second.id), Order)
        assert (await shop.ticket(second.id)).status is TicketStatus.LOCKED
        assert await shop.storage.claim_events(1, timedelta(seconds=1))


async def test_what_was_acknowledged_survives_the_servers_death_and_what_was_not_is_told(
    market: Any, server: PostgreSQL
) -> None:
    async with opened(market, url(server)) as shop:
        tickets = await shop.offer(300)
        commands = {ticket.id: shop.command() for ticket in tickets}
        going = [asyncio.create_task(shop.place("b" + id, id, command=command)) for id, command in commands.items()]
        await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.to_thread(server.kill)
        results: list[Any] = await asyncio.gather(*going, return_exceptions=True)
        with pytest.raises(BackendError):
            await shop.storage.totals()
        await asyncio.to_thread(server.start)
        for (id, command), result in zip(commands.items(), results, strict=True):
            there = (await shop.ticket(id)).order_id is not None
            assert (await shop.storage.outcome(command.id) is not None) is there
            assert isinstance(result, (Order, Unavailable, OutcomeUnknown))
            if not isinstance(result, OutcomeUnknown):
                assert there is isinstance(result, Order)


async def place_alone(shop: Any, ticket_id: str) -> Order:
    """An order with a statement of the app, which is decided alone."""
    command = shop.command()

    def decision(state: State) -> Changes | Need:
        changes = orders.place(state, command=command, buyer_id="b", ticket_ids=(ticket_id,), policy=shop.policy)
        return changes if isinstance(changes, Need) else replace(changes, also=(text("SELECT 1"),))

    answer: Answer = await shop.storage.decide(Keys.of(Ticket.key(ticket_id)), decision, command)
    return answer.one(Order)


@pytest.mark.parametrize("how", ["one statement", "locks first", "alone"])
@pytest.mark.parametrize("arrived", [True, False])
async def test_a_lost_answer_of_a_commit_is_looked_up(
    market: Any, server: PostgreSQL, *, arrived: bool, how: str
) -> None:
    async with Proxy(server.port).open() as proxy:
        armed = False

        def checkpoint(name: str) -> None:
            nonlocal armed
            if armed and name == "written":
                armed = False
                if arrived:
                    proxy.deaf = True  # of this connection: those that follow come through
                    asyncio.get_running_loop().call_later(0.3, proxy.hear)
                else:
                    proxy.cut()

        async with opened(market, url(server, port=proxy.port), checkpoint) as shop:
            # All of its connections have prepared their statements: what is lost is the answer of the commit.
            ticket, *others = await shop.offer(21)
            await asyncio.gather(*(shop.place(f"b{number}", other.id) for number, other in enumerate(others)))
            for lane in shop.storage._database._writer._lanes:
                lane._careful = 5 if how == "locks first" else 0
            armed = True
            placing = shop.place("buyer", ticket.id) if how != "alone" else place_alone(shop, ticket.id)
            results: Any = await asyncio.gather(placing, return_exceptions=True)
            assert isinstance(results[0], Order if arrived else Unavailable)
            assert (await shop.ticket(ticket.id)).version == (2 if arrived else 1)
            assert await shop.offer()


async def test_when_the_look_up_fails_too_the_outcome_is_unknown(market: Any, server: PostgreSQL) -> None:
    async with Proxy(server.port).open() as proxy:
        armed = False

        def checkpoint(name: str) -> None:
            if armed and name == "written":
                proxy.deaf = proxy.refusing = True

        async with opened(market, url(server, port=proxy.port), checkpoint) as shop:
            (ticket,) = await shop.offer()
            armed = True
            with pytest.raises(OutcomeUnknown):
                await shop.place("buyer", ticket.id)
            armed = proxy.deaf = proxy.refusing = False
            assert (await shop.ticket(ticket.id)).status is TicketStatus.LOCKED


async def test_a_silent_server_is_unavailable_in_bounded_time(market: Any, server: PostgreSQL) -> None:
    parameters = "connect=1&statement=0.5"
    async with (
        Proxy(server.port).open() as proxy,
        opened(market, url(server, port=proxy.port, parameters=parameters)) as shop,
    ):
        (ticket,) = await shop.offer()
        await shop.ticket(ticket.id)
        proxy.silent = True
        with anyio.fail_after(12):
            results = await asyncio.gather(
                shop.place("buyer", ticket.id), shop.storage.totals(), return_exceptions=True
            )
        assert [type(one) for one in results] == [Unavailable, Unavailable]
        proxy.silent = False
        assert isinstance(await shop.place("buyer", ticket.id), Order)


async def test_a_process_that_froze_in_a_transaction_is_put_out_by_the_server(market: Any, server: PostgreSQL) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async with opened(market, url(server, parameters="lock=5")) as shop:
        held, free = await shop.offer(2)
        engine = create_async_engine(
            url(server, parameters="").rstrip("?").replace("postgresql:", "postgresql+asyncpg:"),
            connect_args={"server_settings": {"idle_in_transaction_session_timeout": "700"}},
        )
        frozen = await engine.connect()
        await frozen.begin()
        await frozen.exec_driver_sql(f"SELECT ticketkit_hold_1(ARRAY['ticket:{held.id}'], NULL, true)")
        waiting = asyncio.create_task(shop.place("late", held.id))
        assert isinstance(await shop.place("quick", free.id), Order)
        with anyio.fail_after(4):
            assert isinstance(await waiting, Order)
        await frozen.invalidate()
        await frozen.close()
        await engine.dispose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, with its key, signed by itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path


async def test_tls_is_used_and_the_server_is_verified(market: Any, server: PostgreSQL, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with Proxy(server.port, context).open() as proxy:
        for parameters in ("sslmode=require", f"sslmode=verify-full&sslrootcert={certificate}"):
            async with opened(market, url(server, port=proxy.port, parameters=parameters)) as shop:
                assert await shop.offer()
        assert proxy.secured >= 2
        for wrong in ("sslmode=verify-full", "sslmode=verify-ca"):  # signed by nobody that this machine knows
            with pytest.raises(BackendError, match="certificate"):
                async with opened(market, url(server, port=proxy.port, parameters=wrong)):
                    pass
        there = url(server, port=proxy.port, parameters=f"sslmode=verify-full&sslrootcert={certificate}")
        with pytest.raises(BackendError, match=r"(?i)hostname"):
            async with opened(market, there.replace("127.0.0.1", "localhost")):
                pass


async def test_a_server_without_tls_is_refused_where_it_is_required(market: Any, server: PostgreSQL) -> None:
    with pytest.raises(BackendError, match="SSL"):
        async with opened(market, url(server, parameters="sslmode=require")):
            pass


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("postgresql://postgres:hush@127.0.0.1:{port}/nowhere", "nowhere.*createdb"),
        ("postgresql://nobody:hush@127.0.0.1:{port}/shop", "nobody.*URL"),
        ("postgresql://postgres:hush@127.0.0.1/", "database"),
        ("postgresql://127.0.0.1/shop", "user"),
        ("postgresql://postgres:hush@127.0.0.1:x/shop", "port"),
        ("postgresql://postgres:hush@127.0.0.1/shop?pol=5", "pol"),
        ("postgresql://postgres:hush@127.0.0.1/shop?pool=none", "pool"),
        ("postgresql://postgres:hush@127.0.0.1/shop?sslmode=maybe", "sslmode"),
        ("postgresql://postgres:hush@127.0.0.1/shop?sslmode=require&sslrootcert=/nowhere", "sslrootcert"),
        ("postgresql://postgres:hush@127.0.0.1/shop?sslrootcert=/nowhere", "sslmode=require"),
    ],
)
async def test_a_url_that_cant_work_says_what_to_do_and_not_the_password(
    market: Any, server: PostgreSQL, there: str, says: str
) -> None:
    with pytest.raises(Misconfigured, match=says) as caught:
        async with opened(market, there.format(port=server.port)):
            pass
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hush" not in str(chain) + repr(chain)
        chain = chain.__cause__


async def test_a_wrong_password_is_told_from_a_server_that_is_away(market: Any, server: PostgreSQL) -> None:
    server.sql("CREATE ROLE locked LOGIN PASSWORD 'right'")
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + before)
    server.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(Misconfigured, match="password"):
            async with opened(market, url(server).replace("postgres@", "locked:wrong@")):
                pass
    finally:
        rules.write_text(before)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/shop"):
        async with opened(market, url(server, port=1)):
            pass


async def test_nothing_is_decided_on_a_database_that_cant_be_written(market: Any, server: PostgreSQL) -> None:
    server.create("replica")
    server.sql("ALTER DATABASE replica SET default_transaction_read_only = on")
    with pytest.raises(Misconfigured, match="primary"):
        async with opened(market, url(server).replace("/shop", "/replica")):
            pass
