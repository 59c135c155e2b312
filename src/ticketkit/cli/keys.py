"""`ticketkit keys`: keys of session tokens and passes."""

from __future__ import annotations

import json

import click


@click.group()
def keys() -> None:
    """Keys of session tokens, and of passes."""


@keys.command()
@click.option("--key-id", default=None, help="Name of the new key; default: a fresh id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines for an env file.")
def new(key_id: str | None, *, as_json: bool) -> None:
    """Make keys and print them as settings.

    The private session key is for auth, the public one for every service, the pass key for orders. To change keys with
    overlap, add the new ones to the JSON objects, and name them by TICKETKIT_SESSION_KEY_ID and TICKETKIT_PASS_KEY_ID.
    """
    from ticketkit.ids import new_id
    from ticketkit.services.passes import PassKeys
    from ticketkit.services.tokens import Keys

    made = Keys.generate(key_id or new_id())
    door = PassKeys.fresh(made.key_id)
    settings = {
        "TICKETKIT_SESSION_KEY_ID": made.key_id,
        "TICKETKIT_SESSION_PRIVATE_KEY": made.private_pem(),
        "TICKETKIT_SESSION_PUBLIC_KEYS": json.dumps({made.key_id: made.public_pem()}),
        "TICKETKIT_PASS_KEY_ID": door.key_id,
        "TICKETKIT_PASS_KEYS": json.dumps(dict(door.secrets)),
    }
    if as_json:
        click.echo(json.dumps(settings, indent=2))
        return
    for name, value in settings.items():
        quoted = value.replace("\n", "\\n") if name.endswith("PRIVATE_KEY") else value
        click.echo(f"{name}='{quoted}'")
