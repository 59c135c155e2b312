"""Which address a client has."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from ticketkit.http.problems import Refusal
from ticketkit.http.throttle import Throttle, address_of


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("a socket", "a socket"),
    ],
)
def test_the_address_of_a_client(host: str, address: str) -> None:
    assert address_of(HTTPConnection({"type": "http", "client": (host, 1)})) == address
    assert address_of(HTTPConnection({"type": "http"})) == ""


def test_each_has_tries_of_their_own() -> None:
    throttle = Throttle()
    for who in ("a", "b"):
        for _ in range(2):
            throttle.count("x", who, most=2)
        with pytest.raises(Refusal) as refusal:
            throttle.count("x", who, most=2)
        assert refusal.value.status == 429
