"""Passes: what the buyer of a ticket shows at the door, as a QR code or as text.

A pass is a JWT (RFC 7519, HS256) that names a ticket and the order that bought it. Whether it is still good, and was
not shown before, is decided by the ticket alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import jwt

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.errors import InvalidInput

AUDIENCE: Final = "ticketkit:door"
SHORTEST: Final = 32
"""Least bytes of a key (RFC 7518, section 3.2)."""


@dataclass(frozen=True, slots=True)
class PassKeys:
    """Keys of passes: the newest mints, all of them read, so that keys can be changed with overlap.

    Attributes:
        secrets: By key id.
        key_id: Of the one that mints.
    """

    secrets: Mapping[str, str] = field(repr=False)
    key_id: str

    @classmethod
    def of(cls, secrets: Mapping[str, str], key_id: str | None = None) -> PassKeys:
        """Check and build.

        Args:
            secrets: By key id, at least one, oldest first.
            key_id: Of the one that mints; the last when left out.

        Raises:
            Misconfigured: There is none, one is too short, or the id is not among them.
        """
        if not secrets:
            msg = "There is no pass key."
            raise Misconfigured(msg, mend="`ticketkit keys new` makes one.")
        if any(len(secret.encode()) < SHORTEST for secret in secrets.values()):
            msg = f"A pass key has at least {SHORTEST} bytes."
            raise Misconfigured(msg, mend="`ticketkit keys new` makes one.")
        chosen = key_id or list(secrets)[-1]
        if chosen not in secrets:
            msg = f"There is no pass key {chosen!r}."
            raise Misconfigured(msg)
        return cls(dict(secrets), chosen)

    @classmethod
    def fresh(cls, key_id: str = "1") -> PassKeys:
        """A key of its own: passes are good until the process ends."""
        return cls({key_id: secrets.token_urlsafe(SHORTEST)}, key_id)


class Shown(NamedTuple):
    """What a pass says."""

    ticket_id: str
    order_id: str


class Passes:
    """Makes passes and reads them.

    Args:
        keys: Shared by all processes of orders.
    """

    def __init__(self, keys: PassKeys) -> None:
        self._keys = keys

    def mint(self, ticket_id: str, order_id: str) -> str:
        """The pass of a ticket for the order that bought it; always the same with the same key."""
        claims = {"aud": AUDIENCE, "sub": ticket_id, "ord": order_id}
        key_id = self._keys.key_id
        return jwt.encode(claims, self._keys.secrets[key_id], algorithm="HS256", headers={"kid": key_id})

    def read(self, text: str) -> Shown:
        """What a pass says.

        Raises:
            InvalidInput: It is none, or was not made here.
        """
        try:
            secret = self._keys.secrets[str(jwt.get_unverified_header(text).get("kid"))]
            claims = jwt.decode(text, secret, algorithms=["HS256"], audience=AUDIENCE, options={"require": ["sub"]})
            return Shown(str(claims["sub"]), str(claims["ord"]))
        except (jwt.InvalidTokenError, KeyError, UnicodeError):
            msg = "This is not a pass of this marketplace."
            raise InvalidInput(msg, code="invalid_pass", field="pass") from None
