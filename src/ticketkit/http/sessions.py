"""The session cookie."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

from ticketkit.http.shop import Shop
from ticketkit.runtime.runtime import COOKIE
from ticketkit.services.auth import SignedIn
from ticketkit.services.principal import Principal


def set_session(response: Response, signed_in: SignedIn, shop: Shop) -> None:
    """Give the browser the token, for as long as the session lives."""
    left = signed_in.session.expires_at - shop.clock.now()
    response.set_cookie(
        COOKIE,
        signed_in.token,
        max_age=max(0, int(left.total_seconds())),
        path="/",
        secure=shop.config.secure_cookies,
        httponly=True,
        samesite="lax",
    )


def clear_session(response: Response, shop: Shop) -> None:
    """Take the token from the browser."""
    response.delete_cookie(COOKIE, path="/", secure=shop.config.secure_cookies, httponly=True, samesite="lax")


async def renewed(request: HTTPConnection, principal: Principal, shop: Shop) -> SignedIn | None:
    """A fresh token, when the cookie's is past half its life and its session lives; else None."""
    found = shop.verify(request) if COOKIE in request.cookies else None
    if found is None or found.principal.session_id != principal.session_id:
        return None
    if shop.clock.now() - found.issued < (found.expires - found.issued) / 2:
        return None
    return await shop.auth.renew(principal)
