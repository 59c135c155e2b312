"""Settings of each combination of backends; every call has databases, a stream and keys of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from uuid import uuid4

from ticketkit.testing.servers import PostgreSQL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COMBINATIONS = ("sqlite", "nats", "redis")


def settings(name: str, request: pytest.FixtureRequest, folder: Path, *, apart: bool) -> dict[str, str]:
    """`TICKETKIT_*` of a combination.

    Args:
        name: Of the combination.
        request: To ask for the servers that it needs.
        folder: For files.
        apart: Whether each boundary has a database of its own.
    """
    own = uuid4().hex[:12]
    boundaries = ("inventory", "accounts", "payments") if apart else ("market",)
    urls = {"TICKETKIT_DATA_DIR": str(folder)}
    if name == "sqlite":
        databases = [f"sqlite:///{folder / boundary}.db" for boundary in boundaries]
        urls["TICKETKIT_BUS_URL"] = f"sqlite:///{folder / 'bus.db'}"
    else:
        server = request.getfixturevalue("postgresql_url")
        databases = [_database(server, f"{boundary}_{own}") for boundary in boundaries]
    if name == "nats":
        urls["TICKETKIT_BUS_URL"] = f"{request.getfixturevalue('nats_url')}?stream=processes_{own}"
    if name == "redis":
        url = f"{request.getfixturevalue('redis_url')}?prefix=processes_{own}"
        urls |= {"TICKETKIT_BUS_URL": url, "TICKETKIT_TIMERS_URL": url}
    names = ("TICKETKIT_STORAGE_URL", "TICKETKIT_AUTH_STORAGE_URL", "TICKETKIT_PAYMENTS_STORAGE_URL")
    return urls | dict(zip(names, databases, strict=False))


def _database(server: str, name: str) -> str:
    psql = [
        str(PostgreSQL.tool("psql")),
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        f'CREATE DATABASE "{name}"',
        server,
    ]
    subprocess.run(psql, check=True, capture_output=True, timeout=60)
    return f"{server.rpartition('/')[0]}/{name}"
