"""What the server or the network said, in the words of `ticketkit.backends.errors`."""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - the driver's
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004 - the driver's
    TryAgainError,
)

from ticketkit.backends.errors import BackendError, Misconfigured, Unavailable

_DENIED: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError, NoPermissionError)
_PASSING: Final = (
    ClusterDownError,  # MASTERDOWN too
    ConnectionError,
    InvalidResponse,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)
# An error inside of a script has its code somewhere in the text: "... @user_script: 3: -OOM command not allowed".
_CODE: Final = re.compile(
    r"(?:^|[\s:-])"
    r"(OOM|MISCONF|READONLY|MASTERDOWN|NOREPLICAS|LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|NOGROUP|NOPERM)\b"
)

_NO_RIGHT: Final = re.compile("Authentication required|user executing the script|ACL failure in script")


class GroupMissing(Unavailable):
    """The server does not know the group: it lost data, or somebody removed it."""


def translated(error: RedisError | OSError, server: str) -> BackendError:
    """An error of the driver as a backend's own.

    Args:
        error: Of redis-py.
        server: Which server, for people.
    """
    said = str(error).rstrip(".") or type(error).__name__
    found = _CODE.search(said)
    code = found[1] if found else ""
    if isinstance(error, _DENIED) or code == "NOPERM" or _NO_RIGHT.search(said):
        return Misconfigured(
            f"Redis at {server} refuses this user: {said}.",
            mend="Put user and password into the URL, redis://user:password@host; the README of ticketkit-redis has "
            "the line that gives a user the rights it needs (ACL SETUSER).",
        )
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Misconfigured(
            f"The certificate of {server} is not trusted: {said}.", mend="Name its authority in the URL: ?ca=FILE"
        )
    if isinstance(error, (MovedError, ClusterCrossSlotError)):
        return Misconfigured(
            f"Redis at {server} is a cluster: ticketkit-redis needs a single primary.",
            mend="In its redis.conf: cluster-enabled no",
        )
    if code == "NOGROUP":
        return GroupMissing(f"Redis at {server} does not know the group: {said}.")
    if isinstance(error, (*_PASSING, OSError)) or code:
        return Unavailable(f"Redis at {server} can't do this now: {said}.")
    return Misconfigured(
        f"Redis at {server} refuses: {said}.", mend="If another program has these keys: ?prefix=another in the URL."
    )
