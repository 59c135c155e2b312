"""Prints the Secrets that the manifests name, with fresh keys and passwords.

    python make_secrets.py | kubectl apply -f -

Passwords that exist already are taken from the environment: MIGRATIONS_PASSWORD, ACCOUNTS_PASSWORD, INVENTORY_PASSWORD,
PAYMENTS_PASSWORD, NATS_PASSWORD, REDIS_PASSWORD; so are TICKETKIT_STRIPE_SECRET_KEY, TICKETKIT_STRIPE_WEBHOOK_SECRET
and TICKETKIT_WEB_STRIPE_PUBLISHABLE_KEY. It needs `ticketkit` on PATH and nothing else, and writes no file.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from typing import Any

NAMES = ("POSTGRES", "MIGRATIONS", "ACCOUNTS", "INVENTORY", "PAYMENTS", "NATS", "REDIS")
STRIPE = {
    "secret-key": "TICKETKIT_STRIPE_SECRET_KEY",
    "webhook-secret": "TICKETKIT_STRIPE_WEBHOOK_SECRET",
    "publishable-key": "TICKETKIT_WEB_STRIPE_PUBLISHABLE_KEY",
}


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="ticketkit")
    parser.add_argument("--postgresql", default="postgresql:5432", metavar="HOST:PORT")
    parser.add_argument("--postgresql-options", default="", metavar="OPTIONS", help="sslmode=verify-full, for one.")
    parser.add_argument("--nats", default="nats:4222", metavar="HOST:PORT")
    parser.add_argument("--redis", default="redis:6379", metavar="HOST:PORT")
    parser.add_argument(
        "--payments", default="fake:///data/fake-payments.jsonl", metavar="URL", help="stripe:, for one."
    )
    parser.add_argument("--servers", action="store_true", help="Also the passwords of servers of this cluster.")
    return parser.parse_args()


def main() -> None:
    """Print them as one List."""
    given = arguments()
    passwords = {name: os.environ.get(f"{name}_PASSWORD") or secrets.token_hex(24) for name in NAMES}
    made = subprocess.run(["ticketkit", "keys", "new", "--json"], check=True, capture_output=True, text=True)  # noqa: S607 it is on PATH
    found = {**keys(json.loads(made.stdout)), **urls(given, passwords)}
    if given.servers:
        found["servers"] = {f"{name}_PASSWORD": password for name, password in passwords.items()}
    items = [secret(name, given.namespace, values) for name, values in found.items()]
    json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout, indent=2)


def keys(made: dict[str, str]) -> dict[str, dict[str, str]]:
    """Of sessions and passes: each goes where it is needed, and nowhere else."""
    where = {
        "session-private-key": ("TICKETKIT_SESSION_PRIVATE_KEY", "TICKETKIT_SESSION_KEY_ID"),
        "session-public-keys": ("TICKETKIT_SESSION_PUBLIC_KEYS",),
        "pass-keys": ("TICKETKIT_PASS_KEYS", "TICKETKIT_PASS_KEY_ID"),
    }
    return {secret: {name: made[name] for name in names} for secret, names in where.items()}


def urls(given: argparse.Namespace, passwords: dict[str, str]) -> dict[str, dict[str, str]]:
    """Of databases, bus, timers and provider."""

    def database(role: str, name: str, *options: str) -> str:
        query = "&".join(filter(None, [*options, given.postgresql_options]))
        url = f"postgresql://{role}:{passwords[role.upper()]}@{given.postgresql}/{name}"
        return f"{url}?{query}" if query else url

    boundaries = ("accounts", "inventory", "payments")
    monitor = f"http://{given.nats.partition(':')[0]}:8222"
    stripe = {key: os.environ[name] for key, name in STRIPE.items() if os.environ.get(name)}
    return {
        **{f"storage-{name}": {"url": database(name, name, "migrate=no")} for name in boundaries},
        "migrations": {f"{name}-url": database("migrations", name) for name in boundaries},
        "bus": {"url": f"nats://ticketkit:{passwords['NATS']}@{given.nats}?monitor={monitor}"},
        "timers": {"url": f"redis://:{passwords['REDIS']}@{given.redis}/0"},
        "payment-provider": {"url": given.payments, **stripe},
    }


def secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, Any]:
    """One of them."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "ticketkit"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


if __name__ == "__main__":
    main()
