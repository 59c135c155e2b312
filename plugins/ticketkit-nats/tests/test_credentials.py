"""Users, tokens, permissions and TLS, on servers that ask for them."""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ticketkit.backends.errors import Misconfigured
from ticketkit.backends.spec import Context
from ticketkit.events.envelope import Envelope
from ticketkit.testing.servers import Nats
from ticketkit_nats.bus import open_bus

pytestmark = pytest.mark.anyio
NAMES = ["order.created"]
Make = Callable[..., Envelope]

USERS = """
authorization { users: [
  { user: ann, password: "s3cret/@" }
  { user: reader, password: pw, permissions: { publish: ["$JS.API.STREAM.INFO.*", "$JS.API.INFO"] } }
  { user: mute, password: pw, permissions: { publish: { deny: ["ticketkit.order.created.v1"] } } }
] }
"""
READER = "nats://reader:pw@{host}:{port}?timeout=2"


async def works(url: str, event: Make) -> None:
    async with open_bus(url, Context()) as bus, bus.subscribe("a", NAMES) as member:
        sent = event()
        await bus.publish([sent])
        async with asyncio.timeout(5):
            (delivery,) = await member.receive(1)
        assert delivery.event == sent
        await delivery.ack()


async def refusal(url: str) -> str:
    async def attempt() -> None:
        async with open_bus(url, Context()):
            pass

    with pytest.raises(Misconfigured) as told:
        await asyncio.wait_for(attempt(), 8)
    return str(told.value)


async def test_user_and_password_are_taken_from_the_url(event: Make) -> None:
    with Nats(config=USERS, url="nats://ann:s3cret%2F%40@{host}:{port}") as server:
        await works(server.url, event)
        for login in ("ann:wr0ng@", "", "token0@"):
            said = await refusal(f"nats://{login}127.0.0.1:{server.port}")
            assert "refuses these credentials" in said
            assert "user:password@" in said
            assert "wr0ng" not in said
            assert "token0" not in said


async def test_a_token_is_taken_from_the_url(event: Make) -> None:
    with Nats(config='authorization { token: "t0ken" }', url="nats://t0ken@{host}:{port}") as server:
        await works(server.url, event)
        assert "refuses these credentials" in await refusal(f"nats://other@127.0.0.1:{server.port}")


async def test_what_is_not_permitted_is_told_at_start(event: Make) -> None:
    with Nats(config=USERS, url="nats://ann:s3cret%2F%40@{host}:{port}") as server:
        said = await refusal(READER.format(host="127.0.0.1", port=server.port))
        assert "permissions" in said
        assert "stream.create" in said


async def test_what_may_not_be_published_is_told_and_not_waited_for(event: Make) -> None:
    with Nats(config=USERS, url="nats://ann:s3cret%2F%40@{host}:{port}") as server:
        async with (
            open_bus(f"nats://mute:pw@127.0.0.1:{server.port}", Context()) as bus,
            asyncio.timeout(2),
        ):
            with pytest.raises(Misconfigured, match=r"ticketkit\.order\.created\.v1"):
                await bus.publish([event()])
            await bus.publish([event("ticket.sold")])


async def test_the_permissions_that_the_readme_lists_suffice(event: Make) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    allowed = {}
    for way in ("publish", "subscribe"):
        row = next(line for line in readme.splitlines() if line.startswith(f"| {way} |"))
        allowed[way] = json.dumps(row.split("|")[2].replace("`", "").replace(" ", "").split(","))
    permissions = f"publish: {allowed['publish']}, subscribe: {allowed['subscribe']}"
    users = f"authorization {{ users: [ {{ user: shop, password: pw, permissions: {{ {permissions} }} }} ] }}"
    with Nats(config=users, url="nats://shop:pw@{host}:{port}?timeout=2") as server:
        await works(server.url, event)
        async with open_bus(server.url, Context()) as bus, bus.subscribe("a", NAMES) as member, bus.broadcast(NAMES):
            await bus.publish([event(), event()])
            first, *_ = await member.receive(2)
            await first.retry(0)
            (again,) = [one for one in await member.receive(2) if one.event == first.event]
            await again.bury("bad")
            (letter,) = await bus.dead_letters(5)
            assert await bus.replay_dead_letter(letter.id)
            await bus.replay("a", since=datetime.now(UTC))


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ticketkit test authority")])
        self.ca = self._write("ca.pem", self._certificate(self._name, self._key, ca=True))

    def certificate(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (
            self._write(f"{name}.pem", self._certificate(subject, key, ca=False)),
            self._write(f"{name}.key", pem),
        )

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(authority: Authority, *, more: str = "", url: str) -> Nats:
    cert, key = authority.certificate("server")
    return Nats(config=f'tls {{ cert_file: "{cert}", key_file: "{key}"{more} }}', url=url)


async def test_a_server_with_tls_is_checked_against_the_given_authority(
    authority: Authority, tmp_path: Path, event: Make
) -> None:
    with tls(authority, url="tls://{host}:{port}?ca=" + str(authority.ca)) as server:
        await works(server.url, event)
        await works(f"nats://localhost:{server.port}?ca={authority.ca}", event)
        said = await refusal(f"tls://127.0.0.1:{server.port}")
        assert "no TLS with this server" in said
        assert "ca=FILE" in said
        (tmp_path / "other").mkdir()
        other = Authority(tmp_path / "other")
        assert "no TLS with this server" in await refusal(f"tls://127.0.0.1:{server.port}?ca={other.ca}")
        assert "can't be used" in await refusal(f"tls://127.0.0.1:{server.port}?ca={tmp_path / 'none.pem'}")


async def test_a_server_may_ask_for_our_certificate(authority: Authority, event: Make) -> None:
    cert, key = authority.certificate("client")
    more = f', ca_file: "{authority.ca}", verify: true'
    with tls(authority, more=more, url="tls://{host}:{port}?ca=" + str(authority.ca)) as server:
        await works(f"{server.url}&cert={cert}&key={key}", event)
        assert "cert=FILE" in await refusal(server.url)


async def test_no_password_is_said_to_a_server_without_tls_when_the_url_wants_it(tmp_path: Path) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n')
        heard.extend(await reader.read(4096))
        writer.close()
        await writer.wait_closed()

    impostor = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with impostor:
        port = impostor.sockets[0].getsockname()[1]
        said = await refusal(f"tls://ann:s3cret@127.0.0.1:{port}")
    assert "does not require TLS" in said
    assert b"s3cret" not in heard


async def test_a_credentials_file_is_read(tmp_path: Path, event: Make) -> None:
    assert "there is no such file" in await refusal(f"nats://127.0.0.1:1?creds={tmp_path / 'none.creds'}")
    operator = Operator(tmp_path)
    with Nats(config=operator.config) as server:
        await works(f"{server.url}?creds={operator.creds}", event)
        assert "refuses these credentials" in await refusal(server.url)


class Operator:
    """An operator with one account and one user, by NATS's JWTs."""

    def __init__(self, folder: Path) -> None:
        def pair(prefix: int) -> Any:
            return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))

        operator = pair(nkeys.PREFIX_BYTE_OPERATOR)
        account = pair(nkeys.PREFIX_BYTE_ACCOUNT)
        user = pair(nkeys.PREFIX_BYTE_USER)
        system = pair(nkeys.PREFIX_BYTE_ACCOUNT)
        limits = {"subs": -1, "data": -1, "payload": -1}
        many = {**limits, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        disk = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        operator_jwt = signed(operator, operator.public_key.decode(), {"type": "operator", "version": 2})
        accounts = ""
        for pair_, its in ((system, many), (account, {**many, **disk})):
            key = pair_.public_key.decode()
            accounts += f"{key}: {signed(operator, key, {'type': 'account', 'version': 2, 'limits': its})}\n"
        user_jwt = signed(account, user.public_key.decode(), {"type": "user", "version": 2, **limits})
        self.creds = folder / "user.creds"
        self.creds.write_text(
            f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{bytes(user.seed).decode()}\n------END USER NKEY SEED------\n"
        )
        self.config = (
            f"operator: {operator_jwt}\nsystem_account: {system.public_key.decode()}\n"
            f"resolver: MEMORY\nresolver_preload: {{\n{accounts}}}\n"
        )


def signed(by: Any, subject: str, claims: dict[str, Any]) -> str:
    def encoded(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    body = {"jti": subject, "iat": int(time.time()), "iss": by.public_key.decode(), "sub": subject, "nats": claims}
    body["name"] = subject
    head = encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    said = f"{head}.{encoded(json.dumps(body).encode())}"
    return f"{said}.{encoded(bytes(by.sign(said.encode())))}"
