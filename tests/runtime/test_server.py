"""Where it listens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.runtime.processes import processes

from ticketkit.backends.errors import Misconfigured
from ticketkit.runtime.server import address, bound_socket


def test_port_0_is_any_free_port_and_the_address_says_which() -> None:
    with bound_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert address(listener) == f"http://127.0.0.1:{port}"
        assert port > 0
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_port_in_use_is_refused() -> None:
    with bound_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}.*--port"):
            bound_socket("127.0.0.1", port)


def test_a_port_can_be_used_again_at_once() -> None:
    with bound_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    with bound_socket("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("no.such.host.invalid", 0)])
def test_an_address_that_cant_be_had_is_refused(host: str, port: int) -> None:
    with pytest.raises(Misconfigured, match="Can't listen on"):
        bound_socket(host, port)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = bound_socket("::1", 0)
    except Misconfigured:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"


ENDLESS = """
import asyncio
from contextlib import asynccontextmanager
from ticketkit.runtime import server

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"on and on", "more_body": True})
    await over.wait()
    await send({"type": "http.response.body", "body": b", and out"})

@asynccontextmanager
async def lifespan():
    yield

over = asyncio.Event()
listener = server.bound_socket("127.0.0.1", 0)
announce = lambda: print(server.address(listener), flush=True)
server.serve(app, lifespan(), listener, announce=announce, drain=60, stopping=over.set)
"""


def test_answers_that_go_on_by_themselves_are_ended_when_it_stops() -> None:
    child = subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        with httpx2.stream("GET", child.stdout.readline().strip(), timeout=20) as response:
            pieces = response.iter_text()
            assert next(pieces) == "on and on"
            child.send_signal(signal.SIGINT)
            assert "".join(pieces) == ", and out"
        assert child.wait(20) == 0, "and not after the minute that it would wait for open requests"
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("trusted", "last"), [("127.0.0.1", "invalid_credentials"), ("192.0.2.0/24", "too_many_requests")]
)
def test_the_address_that_a_proxy_tells_is_believed_when_the_proxy_is_trusted(
    tmp_path: Path, trusted: str, last: str
) -> None:
    env = {
        "TICKETKIT_DATA_DIR": str(tmp_path),
        "TICKETKIT_TRUSTED_PROXIES": trusted,
        "TICKETKIT_SIGN_IN_PER_MINUTE_AND_ADDRESS": "1",
    }
    tried = {"email": "ada@example.com", "password": "correct horse"}
    with processes(env, "") as running:
        url = f"{running[''].url()}/api/users/signin"
        answers = [
            httpx2.post(url, json=tried, headers={"x-forwarded-for": address}, trust_env=False).json()["code"]
            for address in ("198.51.100.1", "198.51.100.2")
        ]
    assert answers == ["invalid_credentials", last]
