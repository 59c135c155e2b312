"""Passwords, rights, TLS, and servers that will not do."""

import asyncio
import logging
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Redis
from ticketkit_redis.bus import open_bus
from ticketkit_redis.checks import check_kind
from ticketkit_redis.timers import open_timers

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]
SECRET = "correct-horse"
RULES = ["resetchannels", "&{ticketkit}:*", "~{ticketkit}:*", "+@all", "-@dangerous", "-@admin", "+info"]
"""As the README says."""


async def use(url: str, event: Make) -> None:
    """Bus and timers do their work."""
    async with (
        open_bus(url, Context()) as bus,
        bus.subscribe("a", NAMES) as member,
        bus.broadcast(NAMES) as listener,
        open_timers(url, Context()) as timers,
    ):
        sent = event()
        await bus.publish([sent])
        (delivery,) = await asyncio.wait_for(member.receive(1), 5)
        await delivery.retry(0)
        (delivery,) = await asyncio.wait_for(member.receive(1), 5)
        await delivery.bury("bad")
        (letter,) = await bus.dead_letters(1)
        assert await bus.replay_dead_letter(letter.id)
        (delivery,) = await asyncio.wait_for(member.receive(1), 5)
        await delivery.ack()
        assert [heard.event for heard in await asyncio.wait_for(listener.receive(1), 5)] == [sent]
        await bus.trim()
        await timers.schedule("a", datetime.now(UTC))
        await timers.wait(1)
        (due,) = await timers.claim(1, timedelta(seconds=1))
        await timers.done(due)


async def acl(admin: Client, *rules: str) -> None:
    await admin.execute_command("ACL", "SETUSER", *rules)  # type: ignore[no-untyped-call]


def low_port() -> int:
    for port in range(20_000 + os.getpid() % 10_000, 50_000, 7):
        with socket.socket() as probe, socket.socket() as other:
            try:
                probe.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise AssertionError


async def refused(url: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        async with open_bus(url, Context()):
            pass
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET not in str(chain)
        chain = chain.__cause__
    return str(caught.value)


async def test_passwords_and_users_of_the_url_are_used(event: Make) -> None:
    with Redis(settings={"requirepass": SECRET}, url=f"redis://:{SECRET}@{{host}}:{{port}}/3") as server:
        await use(server.url, event)
        plain = f"redis://127.0.0.1:{server.port}"
        assert "user and password" in await refused(plain)
        assert "user and password" in await refused(f"redis://:{SECRET}x@127.0.0.1:{server.port}")
        async with Client.from_url(server.url) as admin:
            assert await admin.dbsize() > 0
            await acl(admin, "shop", "on", f">{SECRET}", *RULES)
            mine = f"redis://shop:{SECRET}@127.0.0.1:{server.port}/0"
            await use(mine, event)
            await acl(admin, "shop", "-info")
            assert "README" in await refused(mine)
            await acl(admin, "shop", "+info")
            async with open_bus(mine, Context()) as bus:
                await acl(admin, "shop", "-xadd")
                with pytest.raises(Misconfigured, match="README"):
                    await bus.publish([event()])


async def test_a_replica_is_refused_with_what_to_do(server: Redis) -> None:
    async with Client(port=server.port) as admin:
        await admin.replicaof("127.0.0.1", "1")
        assert "Name its primary" in await refused(server.url)


async def test_a_cluster_is_refused() -> None:
    # The cluster's own port is 10,000 above, so most ports of the operating system's choice are too high.
    with Redis(port=low_port(), settings={"cluster-enabled": "yes"}) as server:
        assert "is a cluster" in await refused(server.url)


@pytest.mark.parametrize("version", ["6.0.16", "5.0.7", "4.2"])
def test_an_old_server_is_refused(version: str) -> None:
    with pytest.raises(Misconfigured, match=r"needs 6\.2"):
        check_kind({"redis_version": version, "role": "master", "aof_enabled": 1}, "h")


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    for port in (1, 2):
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            async with open_timers(f"redis://127.0.0.1:{port}", Context()):
                pass


async def test_keys_of_another_program_are_said(server: Redis, event: Make) -> None:
    async with Client(port=server.port) as other, open_bus(server.url, Context()) as bus:
        await other.set("{ticketkit}:events:order.created", "x")
        with pytest.raises(Misconfigured, match="prefix"):
            await bus.publish([event()])


async def test_a_missing_append_only_file_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Redis(fsync=None) as server:
        async with open_timers(server.url, Context()) as timers:
            await timers.claim(1, timedelta(seconds=1))
    assert caplog.text.count("no append-only file") == 1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name, subject in (("server", "/CN=127.0.0.1"), ("client", "/CN=shop")):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / f"{name}.key")]
        subprocess.run([*command, *names, "-out", str(folder / f"{name}.pem")], check=True, capture_output=True)
    return folder


@asynccontextmanager
async def tls(server: Redis, certificates: Path, *, ask: bool = False) -> AsyncIterator[int]:
    """A port that speaks TLS before a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "client.pem")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        await proxy.wait_closed()
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > 1 and any("pump" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_tls_checks_the_server_and_shows_the_clients_certificate(
    server: Redis, certificates: Path, event: Make
) -> None:
    async with tls(server, certificates) as port:
        await use(f"rediss://127.0.0.1:{port}?ca={certificates / 'server.pem'}", event)
        assert "?ca=FILE" in await refused(f"rediss://127.0.0.1:{port}")
        assert "no such file" in await refused(f"rediss://127.0.0.1:{port}?ca=/nowhere")
    async with tls(server, certificates, ask=True) as port:
        url = f"rediss://127.0.0.1:{port}?timeout=2&ca={certificates / 'server.pem'}"
        with pytest.raises(Unavailable):
            async with open_bus(url, Context()):
                pass
        await use(f"{url}&cert={certificates / 'client.pem'}&key={certificates / 'client.key'}", event)
