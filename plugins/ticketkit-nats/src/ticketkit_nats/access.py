"""Who we are and whom we trust: credentials, TLS, and what a server has to be."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ticketkit.backends.errors import Misconfigured
from ticketkit_nats.faults import info_of, said_by

if TYPE_CHECKING:
    from nats.aio.client import Client

    from ticketkit_nats.settings import Settings


def credentials(settings: Settings, client: Client) -> dict[str, Any]:
    """What `Client.connect` is told of who we are and whom we trust.

    Raises:
        Misconfigured: A file is missing or can't be used.
    """
    options: dict[str, Any] = {}
    if settings.tls or settings.ca:
        options["tls"] = _context(settings)
    if settings.creds is not None:
        if not Path(settings.creds).is_file():
            raise Misconfigured(
                f"creds={settings.creds}: there is no such file.", mend="Set creds= to the file's path."
            )
        options["user_credentials"] = settings.creds

    def secret(value: str) -> Any:
        def say() -> str:
            # Asked for after TLS began, or did not: a secret is not said in the clear to whoever claims to have no TLS.
            _check_tls(client, settings)
            return value

        return say

    if settings.password is not None:
        options |= {"user": settings.user, "password": secret(settings.password)}
    elif settings.token is not None:
        options["token"] = secret(settings.token)
    return options


def check_server(client: Client, settings: Settings, *, oldest: tuple[int, int]) -> None:
    """Check what a server that has let us in says of itself.

    Raises:
        Misconfigured: It is too old, or it does not use TLS where the URL wants it.
    """
    _check_tls(client, settings)
    version = client.connected_server_version
    check_version(version.major, version.minor, settings, oldest=oldest)


def check_version(major: int, minor: int, settings: Settings, *, oldest: tuple[int, int]) -> None:
    """Check the version of a server.

    Raises:
        Misconfigured: It is too old.
    """
    if (major, minor) < oldest:
        least = ".".join(map(str, oldest))
        raise Misconfigured(
            f"NATS ({settings.where}) is {major}.{minor}; it has to be {least} or newer.", mend="Upgrade nats-server."
        )


def _check_tls(client: Client, settings: Settings) -> None:
    if settings.tls and not info_of(client).get("tls_required"):
        raise Misconfigured(
            f"NATS ({settings.where}) does not require TLS, and the URL does.",
            mend="Add a tls block to the server's configuration, or write nats:// in a network that you trust.",
        )


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"ca, cert or key of the NATS URL can't be used: {said_by(error)}.") from error
    return context
