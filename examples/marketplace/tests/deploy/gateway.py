"""The gateway as it is deployed: real Caddy, on ports of this machine."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
from deploy.files import DEPLOY
from deploy.stack import HOST, free_ports, program

START_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where it answers.

    Attributes:
        public: Over TLS, with a certificate that `trust` knows.
        plain: Without TLS.
        inside: Plain HTTP.
        health: Plain HTTP, for its own probes.
    """

    public: str
    plain: str
    inside: str
    health: str
    trust: ssl.SSLContext

    def client(self) -> httpx2.Client:
        """A program that comes from outside."""
        return httpx2.Client(base_url=self.public, verify=self.trust, trust_env=False, timeout=30)


@contextmanager
def gateway(
    folder: Path, hosts: Mapping[str, str], *, inside: int | None = None, caddyfile: str = "Caddyfile"
) -> Iterator[Gateway]:
    """Run it.

    Args:
        folder: For its configuration and certificates.
        hosts: `HOST:PORT` here, by `name:8000` there.
        inside: Port for whoever calls from inside.
        caddyfile: Which of the two.
    """
    http, https, health, chosen = free_ports(4)
    inside = inside or chosen
    shutil.copytree(DEPLOY / "gateway", folder / "etc")
    for file in (folder / "etc").iterdir():
        text = file.read_text(encoding="utf-8")
        for there, here in hosts.items():
            text = text.replace(f" {there}\n", f" {here}\n")
        text = text.replace("servers :8000", f"servers {HOST}:{inside}")
        text = text.replace("http://:8000", f"http://:{inside}").replace("http://:8001", f"http://:{health}")
        text = text.replace(
            "\tadmin off\n", f"\tadmin off\n\tdefault_bind {HOST}\n\thttp_port {http}\n\thttps_port {https}\n"
        )
        file.write_text(text, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SITE_ADDRESS": "localhost"}
    command = [program("caddy"), "run", "--config", str(folder / "etc" / caddyfile)]
    with (folder / "caddy.log").open("ab") as log:
        child = subprocess.Popen(command, env=environment, cwd=folder / "etc", stdout=log, stderr=log)
    try:
        trust = ssl.create_default_context()
        made = Gateway(
            f"https://localhost:{https}",
            f"http://localhost:{http}",
            f"http://{HOST}:{inside}",
            f"http://{HOST}:{health}",
            trust,
        )
        _wait(child, f"{made.health}/healthz", trust, folder / "caddy.log")
        if caddyfile == "Caddyfile":
            trust.load_verify_locations(folder / ".local/share/caddy/pki/authorities/local/root.crt")
            _wait(child, f"{made.public}/healthz", trust, folder / "caddy.log")
        yield made
    finally:
        child.terminate()
        child.wait(30)


def _wait(child: subprocess.Popen[bytes], url: str, trust: ssl.SSLContext, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        assert child.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        try:
            httpx2.get(url, verify=trust, trust_env=False)
            return
        except httpx2.TransportError:
            time.sleep(0.02)
