"""What holds for every page: headers that keep it to itself, and no posts from other sites."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from ticketkit.http.envelope import HSTS, cross_site
from ticketkit.ids import new_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "ticketkit.request_id"
"""Where a request's id is in its scope."""
FOREIGN: Final = "ticketkit.foreign"
"""Where it is in the scope whether another site sent a request that changes something."""
_SANE: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_SAFE: Final = frozenset({"GET", "HEAD"})

POLICY: Final[dict[str, str]] = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "img-src": "'self'",
    "manifest-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}
"""Content security policy of a page: nothing inline, nothing from elsewhere."""
STRIPE: Final[dict[str, str]] = {
    "connect-src": "https://api.stripe.com",
    "frame-src": "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
    "script-src": "https://js.stripe.com https://*.js.stripe.com",
}
"""Added where Stripe takes the card (https://docs.stripe.com/security/guide#content-security-policy)."""

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=(), payment=(self)"),
)


def policy(*added: dict[str, str]) -> str:
    """A content security policy.

    Args:
        *added: Sources besides the usual ones, by directive.
    """
    directives = dict(POLICY)
    for more in added:
        for name, sources in more.items():
            directives[name] = f"{directives[name]} {sources}" if name in directives else sources
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


def card_form_headers() -> dict[str, str]:
    """Headers of a page with Stripe's card form, instead of the usual ones of these names."""
    permitted = 'camera=(), geolocation=(), microphone=(), payment=(self "https://js.stripe.com")'
    return {"content-security-policy": policy(STRIPE), "permissions-policy": permitted}


class Guard:
    """The outermost layer of the web client: a request id, security headers, no posts from other sites.

    Args:
        app: What answers.
        secure: Tell browsers to keep to HTTPS.
    """

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        usual = (*_HEADERS, (b"content-security-policy", policy().encode()))
        self._security = (*usual, HSTS) if secure else usual

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _SANE.fullmatch(given) else new_id()
        scope[REQUEST_ID] = request_id
        scope[FOREIGN] = scope["method"] not in _SAFE and cross_site(headers, scope.get("scheme", "http"))

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                more = [header for header in self._security if header[0] not in names]
                message["headers"] = [*message["headers"], *more, (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, sent)


def check_same_origin(scope: Scope) -> None:
    """Refuse what another site sent in the visitor's name.

    Raises:
        HTTPException: 403.
    """
    if scope.get(FOREIGN):
        raise HTTPException(403)
