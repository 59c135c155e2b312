"""The deployment of compose.yaml on this machine: its own commands, settings and files, with ports for host names."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from click import Command
from click.testing import CliRunner, Result
from deploy.files import DEPLOY, MIGRATIONS, PROCESSES, interpolated, read

from ticketkit import cli as ticketkit
from ticketkit.testing.servers import Nats, PostgreSQL, Redis, Server
from ticketkit_marketplace import cli as marketplace

HOST: Final = "127.0.0.1"
READY_SECONDS: Final = 180
"""Long: the machine may be busy with other tests."""
_RETIRING: Final = 90
_PROGRAMS: Final = {"ticketkit": ticketkit.main, "ticketkit-marketplace": marketplace.main}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def program(name: str) -> str:
    """The path of a program of this environment."""
    return str(Path(sys.executable).with_name(name))


class DeployedNats(Nats):
    """NATS on the deployment's own file."""

    def __init__(self, password: str) -> None:
        super().__init__(url=f"nats://ticketkit:{password}@{{host}}:{{port}}")
        self.password = password
        (self.monitor,) = free_ports(1)

    def prepare(self) -> None:
        text = (DEPLOY / "nats" / "nats.conf").read_text(encoding="utf-8")
        for there, here in (("0.0.0.0:4222", f"{HOST}:{self.port}"), ("0.0.0.0:8222", f"{HOST}:{self.monitor}")):
            assert there in text
            text = text.replace(there, here)
        (self.folder / "nats.conf").write_text(text.replace('"/data"', f'"{self.folder}/data"'), encoding="utf-8")

    def command(self) -> Sequence[str | Path]:
        return ["env", f"NATS_PASSWORD={self.password}", *super().command()]


class DeployedRedis(Redis):
    """Redis with the options of the deployment's own command."""

    def __init__(self, command: Sequence[str], password: str) -> None:
        super().__init__(url=f"redis://:{password}@{{host}}:{{port}}/0")
        words = shlex.split(command[-1].replace('"$REDISCLI_AUTH"', password))
        assert words[:2] == ["exec", "redis-server"]
        self._words = words[2:]

    def command(self) -> Sequence[str | Path]:
        words = [str(self.folder) if word == "/data" else word for word in self._words]
        return [super().command()[0], *words, "--bind", HOST, "--port", str(self.port)]


def invoked(program: Command, arguments: Sequence[str], *, env: Mapping[str, str] | None = None) -> Result:
    """Run a program in this process, in a thread of its own: in this one a loop of other tests' fixtures may run."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(CliRunner().invoke, program, arguments, env=env).result()


@dataclass
class Running:
    """A process of the deployment."""

    name: str
    port: int
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def ready(self, path: str = "/readyz") -> bool:
        """Whether it says that it serves; fails with its log when it ended."""
        assert self.child.poll() is None, f"{self.name} ended: {self.log.read_text(encoding='utf-8')}"
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:  # noqa: S310 our own
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> int:
        """SIGTERM, and wait; the exit status."""
        self.retire()
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends; the exit status."""
        return self.child.wait(_RETIRING)

    def retire(self) -> None:
        """SIGTERM, without waiting."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)


@dataclass
class Stack:
    """What runs.

    Attributes:
        variables: Of the `.env` file.
        folder: Data of processes, and logs.
        hosts: `HOST:PORT` here, by `name:port` there.
        processes: By name.
    """

    variables: Mapping[str, str]
    folder: Path
    postgresql: PostgreSQL
    hosts: dict[str, str]
    compose: dict[str, Any]
    processes: dict[str, Running] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A text of the deployment, with the places of this machine."""
        for there, here in self.hosts.items():
            text = text.replace(f"//{there}", f"//{here}").replace(f"@{there}", f"@{here}")
        return text.replace("///data/", f"//{self.folder}/")

    def environment(self, service: str) -> dict[str, str]:
        """Of a service, and nothing of ours but what a program needs to be found."""
        given = interpolated(self.compose["services"][service]["environment"], self.variables)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        data = self.folder / service
        data.mkdir(exist_ok=True)
        return {**kept, **{name: self.here(one) for name, one in given.items()}, "TICKETKIT_DATA_DIR": str(data)}

    def run(self, job: str, *more: str) -> None:
        """Run a job of the deployment by its own command; in this process, for starting Python takes longer than it."""
        name, *arguments = self.compose["services"][job]["command"]
        result = invoked(_PROGRAMS[name], [*arguments, *more], env=self.environment(job))
        assert result.exit_code == 0, result.output

    def start(self, service: str) -> Running:
        """Start a process by its own command."""
        command = list(self.compose["services"][service]["command"])
        port = int(self.hosts[f"{service}:8000"].rpartition(":")[2])
        command[command.index("--host") + 1], command[command.index("--port") + 1] = HOST, str(port)
        log = self.folder / f"{service}.log"
        with log.open("ab") as output:
            child = subprocess.Popen(
                [program(command[0]), *command[1:]], env=self.environment(service), stdout=output, stderr=output
            )
        running = self.processes[service] = Running(service, port, child, log)
        return running


def wait_until_ready(processes: Sequence[Running], *, path: str = "/readyz") -> None:
    """Look until all are."""
    end = time.monotonic() + READY_SECONDS
    for process in processes:
        while not process.ready(path):
            assert time.monotonic() < end, f"{process.name} is not ready: {process.log.read_text(encoding='utf-8')}"
            time.sleep(0.05)


def _options(command: Sequence[str]) -> dict[str, str]:
    """Of PostgreSQL, from `-c NAME=VALUE`."""
    assert command[0] == "postgres"
    assert set(command[1::2]) == {"-c"}
    return dict(option.split("=", 1) for option in command[2::2])


def make_databases(server: PostgreSQL, variables: Mapping[str, str]) -> None:
    """Run the deployment's own script, as PostgreSQL's image does."""
    environment = {
        "PATH": f"{server.tool('psql').parent}:{os.environ['PATH']}",
        "PGHOST": HOST,
        "PGPORT": str(server.port),
        "POSTGRES_USER": "postgres",
        **{name: value for name, value in variables.items() if name.endswith("_PASSWORD")},
    }
    script = DEPLOY / "postgresql" / "databases.sh"
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = server.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all postgres {HOST}/32 trust\nhost all all {HOST}/32 scram-sha-256\n", encoding="utf-8")
    server.sql("SELECT pg_reload_conf()")  # from now on, nobody but the superuser comes in without a password


@contextmanager
def deployed(variables: Mapping[str, str], folder: Path) -> Iterator[Stack]:
    """All of it but the gateway: servers, migrations, processes that are ready."""
    compose = read("compose.yaml")
    with ExitStack() as stack:
        nats = DeployedNats(variables["NATS_PASSWORD"])
        words = interpolated(compose["services"]["redis"]["command"], variables)
        options = _options(compose["services"]["postgresql"]["command"])
        servers: list[Server] = [PostgreSQL(settings=options), nats, DeployedRedis(words, variables["REDIS_PASSWORD"])]
        postgresql, _, redis = (stack.enter_context(server) for server in servers)
        assert isinstance(postgresql, PostgreSQL)
        make_databases(postgresql, variables)
        names = (*PROCESSES, "ops", "gateway")
        hosts = {
            "postgresql:5432": f"{HOST}:{postgresql.port}",
            "nats:4222": f"{HOST}:{nats.port}",
            "nats:8222": f"{HOST}:{nats.monitor}",
            "redis:6379": f"{HOST}:{redis.port}",
            **{f"{name}:8000": f"{HOST}:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)},
        }
        made = Stack(variables, folder, postgresql, hosts, compose)
        for job in MIGRATIONS:
            made.run(job)
        try:
            wait_until_ready([made.start(name) for name in PROCESSES])
            yield made
            for process in made.processes.values():
                process.retire()
            stopped = {name: process.ended() for name, process in made.processes.items()}
            assert stopped == dict.fromkeys(made.processes, 0)
        finally:
            for process in made.processes.values():
                if process.child.poll() is None:
                    process.child.kill()
                process.child.wait()
