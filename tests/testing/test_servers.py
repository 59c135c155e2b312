"""Real servers as child processes: started, killed, frozen, and what is said when there is none."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ticketkit.testing.servers import Nats, PostgreSQL, Redis, Server, ServerFailed, ServerMissing
from ticketkit.testing.servers import postgresql as postgresql_module
from ticketkit.testing.servers.server import program

ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can enter: pytest's are for this user alone, and PostgreSQL does not run as root."""
    path = Path(tempfile.mkdtemp(prefix="ticketkit-test-"))
    yield path
    shutil.rmtree(path)


def ask(server: Server, words: bytes, *, seconds: float = 5) -> bytes:
    """The first bytes of its answer over a new connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(words)
        return connection.recv(4096)


def test_redis_keeps_its_data_over_restart_and_kill(folder: Path) -> None:
    with Redis(folder, fsync="always") as server:
        url = server.url
        assert ask(server, b"SET seat 1A\r\n") == b"+OK\r\n"
        server.restart()
        assert ask(server, b"GET seat\r\n") == b"$2\r\n1A\r\n"
        ask(server, b"SET seat 2B\r\n")
        server.kill()
        assert not server.running
        with pytest.raises(ConnectionRefusedError):
            ask(server, b"PING\r\n")
        server.start()
        assert ask(server, b"GET seat\r\n") == b"$2\r\n2B\r\n"
        assert server.url == url
    assert not server.running
    assert (folder / "server.log").exists(), "a folder that was given stays"


def test_a_paused_server_is_connected_and_silent_until_it_goes_on() -> None:
    with Redis() as server:
        server.pause()
        with pytest.raises(TimeoutError):
            ask(server, b"PING\r\n", seconds=0.2)
        server.resume()
        assert ask(server, b"PING\r\n") == b"+PONG\r\n"
        own = server.folder
        server.pause()
    assert not server.running, "one that is paused is ended too"
    assert not own.exists(), "a folder of its own goes with it"


def test_a_server_with_a_password_is_up_when_it_asks_for_it() -> None:
    with Redis(settings={"requirepass": "secret"}, url="redis://:secret@{host}:{port}/1") as server:
        assert ask(server, b"PING\r\n").startswith(b"-NOAUTH")
        assert server.url == f"redis://:secret@127.0.0.1:{server.port}/1"


def test_nats_has_jetstream_on_disk_and_keeps_it_over_a_kill(folder: Path) -> None:
    create = b'{"name":"KIT","subjects":["kit"],"storage":"file"}'
    with Nats(folder) as server:
        assert b'"jetstream":true' in ask(server, b"")
        talk(server, b"PUB $JS.API.STREAM.CREATE.KIT here %d\r\n%s\r\n" % (len(create), create))
        assert b'"seq":1' in talk(server, b"PUB kit here 4\r\nseat\r\n")
        server.kill()
        server.start()
        assert b'"seq":2' in talk(server, b"PUB kit here 4\r\nseat\r\n")


def talk(server: Server, words: bytes) -> bytes:
    """Publish with an inbox; what comes back there."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        lines = connection.makefile("rb")
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB here 1\r\n' + words)
        for line in lines:
            if line.startswith(b"MSG"):
                return lines.readline()
    raise AssertionError(words)


def test_postgresql_keeps_its_data_over_a_kill_and_makes_databases(folder: Path) -> None:
    with PostgreSQL(folder, settings={"max_connections": "17"}) as server:
        assert server.sql("SHOW max_connections") == "17"
        assert server.create("shop") == f"postgresql://postgres@127.0.0.1:{server.port}/shop"
        server.sql("CREATE TABLE seats (id text); INSERT INTO seats VALUES ('1A')", database="shop")
        server.kill()
        server.start()
        assert server.sql("SELECT id FROM seats", database="shop") == "1A"
        with pytest.raises(subprocess.CalledProcessError):
            server.sql("SELECT nonsense")
        assert server.tool("pgbench").exists()
    assert (folder / "data" / "PG_VERSION").exists(), "a folder that was given stays"


@pytest.mark.skipif(not ROOT, reason="PostgreSQL runs as another user only where this one is root")
def test_a_folder_that_only_root_can_enter_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = PostgreSQL(tmp_path / "data")
    (tmp_path / "data").chmod(0o711)
    with pytest.raises(ServerFailed, match="give it a folder that everybody can enter, or none"), server:
        pass


COPYING = """
from pathlib import Path
from ticketkit.testing.servers import postgresql
copy = postgresql._copied(Path({programs!r}))
print(copy)
"""


@pytest.mark.skipif(not ROOT, reason="only root needs a copy of the programs")
def test_programs_that_only_root_can_read_are_copied_for_everybody_until_the_end(tmp_path: Path) -> None:
    home = tmp_path / "wheel" / "home"
    programs = home / "pg" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "wheel" / "home.libs").mkdir()
    (tmp_path / "wheel" / "home.libs" / "libx.so").write_text("")
    (programs / "postgres").write_text("")
    (programs / "postgres").chmod(0o700)
    copy = postgresql_module._copied(programs)
    everybody = stat.S_IROTH | stat.S_IXOTH
    assert (copy / "postgres").stat().st_mode & everybody == everybody
    assert postgresql_module._enterable(copy)
    assert (copy.parents[2] / "home.libs" / "libx.so").stat().st_mode & stat.S_IROTH
    code = COPYING.format(programs=str(programs))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip().endswith("home/pg/bin")
    assert not Path(done.stdout.strip()).exists(), "the copy outlives the process that made it"


def test_a_program_that_is_missing_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerMissing, match=r"^acmed 3 or newer is not installed: pip install acmed-bin$"):
        program("acmed", distribution="acmed-bin", oldest="3 or newer")


class Broken(Server):
    """A program that says why it can't, and ends."""

    NAME = "Broken"

    @property
    def url(self) -> str:
        return f"broken://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "import sys; sys.exit('the disk is full')"]


def test_a_server_that_does_not_start_shows_its_last_words_and_leaves_nothing() -> None:
    server = Broken()
    with pytest.raises(ServerFailed, match=r"Broken did not start:\nthe disk is full"), server:
        pass
    assert not server.folder.exists()
    assert not server.running


def test_servers_at_once_have_ports_of_their_own() -> None:
    with Redis() as one, Redis() as two:
        assert one.port != two.port
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda s=s: answers.append(ask(s, b"PING\r\n"))) for s in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [b"+PONG\r\n"] * 2


def test_a_server_whose_start_is_broken_off_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Redis()
    started: list[int] = []

    def interrupted() -> bool:
        assert server._child is not None
        started.append(server._child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt), server:
        pass
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    assert not server.folder.exists()
