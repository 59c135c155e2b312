"""Headers of requests and answers that pass a gateway (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

Header = tuple[bytes, bytes]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Between two parties only, besides those that `Connection` names."""
_OURS: Final = frozenset({b"expect", b"forwarded", b"x-real-ip"})
"""What only this gateway may say, or has dealt with."""
_FORWARDED: Final = b"x-forwarded-"
_OF_A_SERVER: Final = frozenset({b"date", b"server"})
"""Set by whoever answers last."""


def of_request(scope: Scope, *, trusted: bool) -> list[Header]:
    """What a process is to get.

    Args:
        scope: Of the request.
        trusted: Whether `X-Forwarded-*` is believed: it comes from a process of the marketplace.
    """
    given: list[Header] = scope["headers"]
    gone = _between_two(given) | _OURS
    kept = [one for one in given if one[0] not in gone and (trusted or not one[0].startswith(_FORWARDED))]
    names = {name for name, _ in kept}
    return [*kept, *(one for one in _forwarded(scope, dict(given)) if one[0] not in names)]


def of_answer(given: Iterable[Header]) -> list[Header]:
    """What a client is to get."""
    headers = [(name.lower(), value) for name, value in given]
    gone = _between_two(headers) | _OF_A_SERVER
    return [one for one in headers if one[0] not in gone]


def _between_two(headers: Iterable[Header]) -> frozenset[bytes]:
    named = [value for name, value in headers if name == b"connection"]
    return HOP_BY_HOP | {word.strip().lower() for value in named for word in value.split(b",")}


def _forwarded(scope: Scope, given: dict[bytes, bytes]) -> list[Header]:
    host = scope["client"][0] if scope.get("client") else "unknown"
    return [
        (b"x-forwarded-for", host.encode()),
        (b"x-forwarded-proto", scope.get("scheme", "http").encode()),
        (b"x-forwarded-host", given.get(b"host", b"")),
    ]
