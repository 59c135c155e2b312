"""Session tokens: only what auth signed, for as long as it said, and not after sign-out."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ticketkit.backends.errors import Misconfigured
from ticketkit.domain.entities import Session, User
from ticketkit.memory import VirtualClock
from ticketkit.services.tokens import Keys, Minter, Revocations, Verifier

LIFETIME = timedelta(hours=1)


@dataclass
class Office:
    """Mints tokens, and verifies them."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    keys: Keys = field(default_factory=Keys.generate)

    def __post_init__(self) -> None:
        self.revocations = Revocations(self.clock)
        self.verifier = Verifier(self.keys, self.clock, self.revocations)

    def mint(self, *, session_lifetime: timedelta = timedelta(days=14)) -> str:
        now = self.clock.now()
        user = User(id="user", email="u@example.com", password_hash="", roles=("operator",), created_at=now)
        session = Session(id="session", user_id="user", expires_at=now + session_lifetime, created_at=now)
        return Minter(self.keys, self.clock, lifetime=LIFETIME).mint(user, session)

    def signed(self, *, key: Any = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token as auth would make it, but for what is given; a claim of None is left out."""
        now = int(self.clock.now().timestamp())
        given = {"iss": "ticketkit", "aud": "ticketkit", "sub": "user", "sid": "session", "iat": now, "exp": now + 60}
        body = {name: value for name, value in {**given, **claims}.items() if value is not None}
        headers = {"kid": self.keys.key_id} if headers is None else headers
        private: Any = key or self.keys.private
        return jwt.encode(body, private, algorithm="EdDSA", headers=headers)


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_token_says_who_it_is_and_since_when(office: Office) -> None:
    found = office.verifier.verify(office.mint())
    assert found is not None
    assert (found.principal.id, found.principal.session_id) == ("user", "session")
    assert found.principal.roles == ("operator",)
    assert found.issued == office.clock.now()
    assert found.expires == office.clock.now() + LIFETIME


async def test_a_token_ends_by_the_clock(office: Office) -> None:
    token = office.mint()
    await office.clock.advance(minutes=59, seconds=59)
    assert office.verifier.verify(token) is not None
    await office.clock.advance(seconds=1)
    assert office.verifier.verify(token) is None


async def test_a_token_ends_with_its_session(office: Office) -> None:
    token = office.mint(session_lifetime=timedelta(minutes=5))
    await office.clock.advance(minutes=5)
    assert office.verifier.verify(token) is None


def test_a_token_of_a_revoked_session_is_refused_also_when_it_was_seen_before(office: Office) -> None:
    token = office.mint()
    assert office.verifier.verify(token) is not None
    office.revocations.add("session", office.clock.now() + timedelta(days=14))
    assert office.verifier.verify(token) is None


def test_a_token_without_signature_is_refused(office: Office) -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    _, claims, signature = office.mint().split(".")
    for alg in ("none", "None", "NONE", "EdDSA", "HS256"):
        header = part({"alg": alg, "typ": "JWT", "kid": office.keys.key_id})
        assert office.verifier.verify(f"{header}.{claims}.") is None
    assert office.verifier.verify(f"{part({'alg': 'none', 'kid': '1'})}.{claims}.{signature}") is None


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(office: Office) -> None:
    body = {"iss": "ticketkit", "aud": "ticketkit", "sub": "user", "sid": "s", "iat": 0, "exp": 9999999999}
    for secret in (b"0" * 32, office.keys.public[office.keys.key_id].public_bytes_raw()):
        token = jwt.encode(body, secret, algorithm="HS256", headers={"kid": office.keys.key_id})
        assert office.verifier.verify(token) is None


def test_a_token_of_another_key_is_refused(office: Office) -> None:
    assert office.verifier.verify(office.signed()) is not None
    assert office.verifier.verify(office.signed(key=Ed25519PrivateKey.generate())) is None


@pytest.mark.parametrize("headers", [{}, {"kid": "unknown"}, {"kid": ""}], ids=["none", "unknown", "empty"])
def test_a_token_that_names_no_known_key_is_refused(office: Office, headers: dict[str, Any]) -> None:
    assert office.verifier.verify(office.signed(headers=headers)) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody else"},
        {"aud": None},
        {"iss": "somebody else"},
        {"iss": None},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"sid": None},
        {"exp": "soon"},
        {"roles": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(office: Office, claims: dict[str, Any]) -> None:
    assert office.verifier.verify(office.signed(**claims)) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "ü.ü.ü", "\x00", "x" * 100_000])
def test_what_is_no_token_is_refused(office: Office, token: str) -> None:
    assert office.verifier.verify(token) is None


def test_a_token_that_was_changed_is_refused(office: Office) -> None:
    header, claims, signature = office.mint().split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    body["sub"] = "somebody else"
    other = base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()
    assert office.verifier.verify(f"{header}.{other}.{signature}") is None


def test_keys_are_changed_with_overlap(office: Office) -> None:
    old = office.mint()
    fresh = Keys.generate("2")
    keys = Keys({**office.keys.public, **fresh.public}, fresh.private, "2")
    both = Office(office.clock, keys)
    assert both.verifier.verify(old) is not None
    assert both.verifier.verify(both.mint()) is not None
    assert office.verifier.verify(both.mint()) is None


def test_where_only_public_keys_are_nothing_can_be_minted(office: Office) -> None:
    public = Keys(office.keys.public)
    with pytest.raises(Misconfigured, match="TICKETKIT_SESSION_PRIVATE_KEY"):
        Minter(public, office.clock, lifetime=LIFETIME)
    with pytest.raises(Misconfigured):
        public.private_pem()


def test_keys_survive_pem(office: Office) -> None:
    for pem in (office.keys.private_pem(), office.keys.private_pem().replace("\n", "\\n")):
        again = Office(office.clock, Keys.from_pem(private=pem, public={}))
        assert again.verifier.verify(office.mint()) is not None
    verifying = Office(office.clock, Keys.from_pem(private=None, public={"1": office.keys.public_pem()}))
    assert verifying.verifier.verify(office.mint()) is not None


def test_the_private_key_is_not_shown(office: Office) -> None:
    assert "PRIVATE" not in repr(office.keys)
    assert "Ed25519PrivateKey" not in repr(office.keys)


def test_keys_of_another_kind_are_refused() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    other = generate_private_key(SECP256R1())
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    given: list[tuple[str | None, dict[str, str]]] = [
        (private, {}),
        (None, {"1": public}),
        ("no PEM", {}),
        (None, {"1": "no PEM"}),
        (None, {}),
    ]
    for secret, known in given:
        with pytest.raises(Misconfigured, match="ticketkit keys new"):
            Keys.from_pem(private=secret, public=known)


async def test_revocations_are_forgotten_when_their_sessions_are_over_anyway() -> None:
    clock = VirtualClock()
    revocations = Revocations(clock)
    for number in range(900):
        revocations.add(f"old {number}", clock.now() + timedelta(minutes=1))
    await clock.advance(minutes=2)
    for number in range(100):
        revocations.add(f"new {number}", clock.now() + timedelta(minutes=1))
    assert "new 7" in revocations
    assert "old 7" not in revocations
