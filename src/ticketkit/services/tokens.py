"""Session tokens: JWT signed with Ed25519, minted by auth alone, verified by every service with the public keys."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ticketkit.backends.errors import Misconfigured
from ticketkit.services.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ticketkit.backends.clock import Clock
    from ticketkit.domain.entities import Session, User

ISSUER: Final = "ticketkit"
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of session tokens.

    Attributes:
        public: By key id; a token names the one it was signed with, so that keys can be changed with overlap.
        private: Only where auth runs.
        key_id: Of the private key.
    """

    public: Mapping[str, Ed25519PublicKey]
    private: Ed25519PrivateKey | None = field(default=None, repr=False)
    key_id: str = "1"

    @classmethod
    def from_pem(cls, *, private: str | None, public: Mapping[str, str], key_id: str = "1") -> Keys:
        """Read keys from PEM (PKCS 8 and SubjectPublicKeyInfo).

        Raises:
            Misconfigured: One is no Ed25519 key, or there is none at all.
        """
        try:
            secret = load_pem_private_key(_lines(private), None) if private else None
            known = {id: load_pem_public_key(_lines(pem)) for id, pem in public.items()}
        except ValueError as error:
            msg = f"A session key can't be read; make one with `ticketkit keys new`. ({error})"
            raise Misconfigured(msg) from None
        if secret is not None:
            if not isinstance(secret, Ed25519PrivateKey):
                msg = "The private session key is not an Ed25519 key; make one with `ticketkit keys new`."
                raise Misconfigured(msg)
            known.setdefault(key_id, secret.public_key())
        usable = {id: key for id, key in known.items() if isinstance(key, Ed25519PublicKey)}
        if not usable or len(usable) < len(known):
            msg = "There is no public session key, or one is not an Ed25519 key; make them with `ticketkit keys new`."
            raise Misconfigured(msg)
        return cls(usable, secret, key_id)

    @classmethod
    def generate(cls, key_id: str = "1") -> Keys:
        """A fresh pair."""
        private = Ed25519PrivateKey.generate()
        return cls({key_id: private.public_key()}, private, key_id)

    def private_pem(self) -> str:
        """The private key as PEM.

        Raises:
            Misconfigured: This process has none.
        """
        if self.private is None:
            msg = "This process has no private session key: only auth has it."
            raise Misconfigured(msg)
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def public_pem(self, key_id: str | None = None) -> str:
        """A public key as PEM."""
        key = self.public[key_id or self.key_id]
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _lines(pem: str) -> bytes:
    """PEM from an env file, where a line end may be written as a backslash and an n."""
    return pem.replace("\\n", "\n").encode()


class Minter:
    """Mints session tokens; where auth runs.

    Args:
        keys: With the private one.
        clock: For issue and expiry.
        lifetime: Of a token. It is renewed while its session lives.
    """

    def __init__(self, keys: Keys, clock: Clock, *, lifetime: timedelta) -> None:
        if keys.private is None:
            msg = "Auth needs the private session key (TICKETKIT_SESSION_PRIVATE_KEY)."
            raise Misconfigured(msg)
        self._keys, self._clock, self.lifetime = keys, clock, lifetime
        self._private = keys.private

    def mint(self, user: User, session: Session) -> str:
        """A token of a user's session."""
        now = self._clock.now()
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": user.id,
            "sid": session.id,
            "roles": list(user.roles),
            "iat": int(now.timestamp()),
            "exp": int(min(now + self.lifetime, session.expires_at).timestamp()),
        }
        return jwt.encode(claims, self._private, algorithm="EdDSA", headers={"kid": self._keys.key_id})


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good token says."""

    principal: Principal
    issued: datetime
    expires: datetime


class Revocations:
    """Sessions that were signed out, until their tokens would have expired anyway; heard by broadcast.

    Args:
        clock: To forget.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, datetime] = {}

    def add(self, session_id: str, expires_at: datetime) -> None:
        """Refuse a session from now on."""
        self._until[session_id] = expires_at
        if len(self._until) % 1_000 == 0:
            now = self._clock.now()
            self._until = {id: until for id, until in self._until.items() if until > now}

    def __contains__(self, session_id: object) -> bool:
        """Whether a session was signed out."""
        return session_id in self._until


class Verifier:
    """Verifies session tokens; in every service.

    Args:
        keys: The public ones.
        clock: For expiry.
        revocations: Sessions to refuse.
    """

    def __init__(self, keys: Keys, clock: Clock, revocations: Revocations) -> None:
        self._keys, self._clock, self._revocations = keys, clock, revocations
        self._seen: OrderedDict[str, Verified] = OrderedDict()

    def verify(self, token: str) -> Verified | None:
        """What the token says, or None: forged, malformed, expired or revoked."""
        found = self._seen.get(token)
        if found is None:
            found = self._read(token)
            if found is None:
                return None
            self._seen[token] = found
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        if found.expires <= self._clock.now() or found.principal.session_id in self._revocations:
            return None
        return found

    def _read(self, token: str) -> Verified | None:
        try:
            key = self._keys.public[jwt.get_unverified_header(token)["kid"]]
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=ISSUER,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub", "sid"], "verify_exp": False, "verify_iat": False},
            )
            principal = Principal(str(claims["sub"]), tuple(claims.get("roles", ())), str(claims["sid"]))
            return Verified(
                principal, datetime.fromtimestamp(claims["iat"], UTC), datetime.fromtimestamp(claims["exp"], UTC)
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
