"""A deployment as its how-to makes it."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.stack import Stack, deployed, program

PASSWORDS = ("POSTGRES", "MIGRATIONS", "ACCOUNTS", "INVENTORY", "PAYMENTS", "NATS", "REDIS", "GRAFANA")


@pytest.fixture(scope="package")
def variables() -> dict[str, str]:
    """What is in `.env`, with fresh secrets."""
    keys = subprocess.run([program("ticketkit"), "keys", "new", "--json"], capture_output=True, text=True, check=True)
    passwords = {f"{name}_PASSWORD": secrets.token_hex(24) for name in PASSWORDS}
    return {"TICKETKIT_PAYMENTS": "fake:///data/fake-payments.jsonl", **json.loads(keys.stdout), **passwords}


@pytest.fixture(scope="package")
def stack(variables: dict[str, str]) -> Iterator[Stack]:
    """All processes of compose.yaml, ready, on servers with its settings."""
    with tempfile.TemporaryDirectory(prefix="ticketkit-deploy-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as somebody else
        with deployed(variables, Path(folder)) as made:
            yield made
