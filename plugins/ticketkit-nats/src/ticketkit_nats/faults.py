"""What can be wrong with servers, streams, permissions and credentials, in words that say what to do."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nats.errors
import nats.js.errors

from ticketkit.backends.errors import BackendError, Misconfigured, Unavailable

if TYPE_CHECKING:
    from nats.aio.client import Client

    from ticketkit_nats.settings import Settings

# Numbers of the server's errors (`server/errors.json` of nats-server).
NO_PEERS: Final = 10005
CONSUMER_NOT_FOUND: Final = 10014
NO_RESOURCES: Final = 10023
MAXIMUM_STREAMS: Final = 10027
STORAGE_EXCEEDED: Final = 10047
NO_MESSAGE: Final = 10037
OFF_FOR_ACCOUNT: Final = 10039
TOO_LARGE: Final = 10054
OTHER_CONFIGURATION: Final = 10058
STREAM_NOT_FOUND: Final = 10059
OVERLAP: Final = 10065
WRONG_SEQUENCE: Final = 10071
NO_CLUSTER: Final = 10074
OFF: Final = 10076

_DENIED: Final = "permissions violation"
_OUT: Final = ("authorization violation", "authentication", "account", "credentials", "invalid client")


def unavailable(error: Exception, where: str) -> Unavailable:
    """What becomes of an error of the driver."""
    return Unavailable(f"NATS ({where}): {_said(error)}.")


def of_connecting(error: Exception, client: Client, settings: Settings) -> BackendError:
    """Why no connection was made: what people must mend, or what may mend itself."""
    where, said = settings.where, _said(error)
    # A server that wants our certificate says so, and may hang up without another word when there is none.
    if isinstance(error, ssl.SSLError) or (_info(client).get("tls_verify") and settings.cert is None):
        advice = "Give the authority's certificate as ca=FILE, and cert=FILE and key=FILE if it asks for ours"
        return Misconfigured(f"NATS ({where}): no TLS with this server: {said}. {advice}.")
    if isinstance(error, nats.errors.AuthorizationError) or any(word in said.lower() for word in _OUT):
        advice = "Set user:password@ or token@ in the URL, or creds=FILE, to what the server's configuration has"
        return Misconfigured(f"NATS ({where}) refuses these credentials: {said}. {advice}.")
    if isinstance(error, FileNotFoundError | PermissionError):
        return Misconfigured(f"A file of the NATS URL can't be read: {said}.")
    return Unavailable(f"NATS ({where}) can't be reached: {said}.")


def denied(error: Exception) -> str | None:
    """What the server said when it did not permit something; None when this is another error."""
    said = str(error)
    return said.removeprefix("nats: ") if _DENIED in said.lower() else None


def translated(error: nats.js.errors.APIError, settings: Settings) -> BackendError:  # noqa: PLR0911 - a table
    """What becomes of an error of JetStream."""
    said = error.description or "no answer"
    where, code = settings.where, error.err_code
    if code in (OFF, OFF_FOR_ACCOUNT) or (code is None and isinstance(error, nats.js.errors.ServiceUnavailableError)):
        return Misconfigured(
            f"NATS ({where}) has no JetStream: {said}. Put `jetstream {{ store_dir: /data, sync_interval: always }}` "
            "into the server's configuration, and enable it for the account."
        )
    if code == NO_CLUSTER:
        return Misconfigured(f"NATS ({where}) is one server: {said}. Set replicas=1, or run a cluster.")
    if code == NO_PEERS:
        return Unavailable(
            f"NATS ({where}) has too few servers now: {said}. Start them, or set replicas={settings.replicas} lower."
        )
    if code in (STORAGE_EXCEEDED, MAXIMUM_STREAMS, NO_RESOURCES):
        return Misconfigured(f"NATS ({where}) has no room: {said}. Raise the limits of the account or of the server.")
    if code == OVERLAP:
        return Misconfigured(
            f"Another stream of NATS ({where}) has the subjects {settings.prefix}.>: {said}. Find it with "
            f"`nats stream find --subject '{settings.prefix}.>'`, or give this market a prefix=… of its own."
        )
    if code in (STREAM_NOT_FOUND, CONSUMER_NOT_FOUND) or (error.code or 0) >= 500:  # noqa: PLR2004 - as in HTTP
        return Unavailable(f"NATS ({where}): {said}.")
    return Misconfigured(f"NATS ({where}) refused: {said} (error {code}).")


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
            raise Misconfigured(f"creds={settings.creds}: there is no such file.")
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
        raise Misconfigured(f"NATS ({settings.where}) is {major}.{minor}; it has to be {least} or newer: upgrade it.")


def _check_tls(client: Client, settings: Settings) -> None:
    if settings.tls and not _info(client).get("tls_required"):
        raise Misconfigured(
            f"NATS ({settings.where}) does not require TLS, and the URL does: add a tls block to the server's "
            "configuration, or write nats:// in a network that you trust."
        )


def _info(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client._server_info  # noqa: SLF001 - nats-py has no public way to see it
    return found


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"ca, cert or key of the NATS URL can't be used: {_said(error)}.") from error
    return context


def _said(error: Exception) -> str:
    return (str(error).removeprefix("nats: ") or type(error).__name__).rstrip(".")
