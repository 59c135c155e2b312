"""What can be wrong with servers, streams, permissions and credentials, in words that say what to do."""

from __future__ import annotations

import ssl
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

_ROOM: Final = ("has no room", "Raise the limits of the account, or of the server's jetstream block.")
_JETSTREAM: Final = (
    "has no JetStream",
    "Put `jetstream {{ store_dir: /data, sync_interval: always }}` into its configuration; enable it for the account.",
)
_WRONG: Final = {
    OFF: _JETSTREAM,
    OFF_FOR_ACCOUNT: _JETSTREAM,
    NO_CLUSTER: ("is one server", "Set replicas=1, or run a cluster."),
    STORAGE_EXCEEDED: _ROOM,
    MAXIMUM_STREAMS: _ROOM,
    NO_RESOURCES: _ROOM,
    OVERLAP: (
        "has another stream for these subjects",
        "Find it with `nats stream find --subject '{prefix}.>'`, or give this market a prefix=… of its own.",
    ),
}
"""What people have to mend, and how, by number."""
_DENIED: Final = "permissions violation"
_OUT: Final = ("authorization violation", "authentication", "account", "credentials", "invalid client")


def unavailable(error: Exception, where: str) -> Unavailable:
    """What becomes of an error of the driver."""
    return Unavailable(f"NATS ({where}): {said_by(error)}.")


def of_connecting(error: Exception, client: Client, settings: Settings) -> BackendError:
    """Why no connection was made: what people must mend, or what may mend itself."""
    where, said = settings.where, said_by(error)
    # A server that wants our certificate says so, and may hang up without another word when there is none.
    if isinstance(error, ssl.SSLError) or (info_of(client).get("tls_verify") and settings.cert is None):
        return Misconfigured(
            f"NATS ({where}): no TLS with this server: {said}.",
            mend="Add ca=FILE with its authority's certificate to the URL; cert=FILE and key=FILE if it asks for ours.",
        )
    if isinstance(error, nats.errors.AuthorizationError) or any(word in said.lower() for word in _OUT):
        return Misconfigured(
            f"NATS ({where}) refuses these credentials: {said}.",
            mend="Set user:password@ or token@ in the URL, or creds=FILE, to what the server's configuration has.",
        )
    if isinstance(error, FileNotFoundError | PermissionError):
        return Misconfigured(f"A file of the NATS URL can't be read: {said}.")
    return Unavailable(f"NATS ({where}) can't be reached: {said}.")


def denied(error: Exception) -> str | None:
    """What the server said when it did not permit something; None when this is another error."""
    said = str(error)
    return said.removeprefix("nats: ") if _DENIED in said.lower() else None


def translated(error: nats.js.errors.APIError, settings: Settings) -> BackendError:
    """What becomes of an error of JetStream."""
    said = error.description or "no answer"
    where, code = settings.where, error.err_code
    if code is None and isinstance(error, nats.js.errors.ServiceUnavailableError):
        code = OFF  # nobody listens to JetStream's subjects
    if code in _WRONG:
        what, mend = _WRONG[code]
        return Misconfigured(f"NATS ({where}) {what}: {said}.", mend=mend.format(prefix=settings.prefix))
    if code == NO_PEERS:
        return Unavailable(
            f"NATS ({where}) has too few servers now: {said}. Start them, or set replicas={settings.replicas} lower."
        )
    if code in (STREAM_NOT_FOUND, CONSUMER_NOT_FOUND) or (error.code or 0) >= 500:  # noqa: PLR2004 - as in HTTP
        return Unavailable(f"NATS ({where}): {said}.")
    return Misconfigured(f"NATS ({where}) refused: {said} (error {code}).")


def info_of(client: Client) -> dict[str, Any]:
    """What the server says of itself."""
    found: dict[str, Any] = client._server_info  # noqa: SLF001 - nats-py has no public way to see it
    return found


def said_by(error: Exception) -> str:
    """An error in its own words."""
    return (str(error).removeprefix("nats: ") or type(error).__name__).rstrip(".")
