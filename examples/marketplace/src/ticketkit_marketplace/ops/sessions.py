"""Who is at the operations page: ticketkit's own sessions, in another cookie, for users with the operators' role."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection

from ticketkit.backends.errors import Unavailable
from ticketkit.domain.entities import User
from ticketkit.services.principal import OPERATOR
from ticketkit_marketplace.web import api
from ticketkit_marketplace.web.api import Away, Refused

if TYPE_CHECKING:
    from starlette.responses import Response

    from ticketkit_marketplace.ops.desk import Desk
    from ticketkit_marketplace.web.api import Visitor

COOKIE: Final = "ops_session"
"""Of the session. Cookies know no ports: under the web client's name it would end the session there."""
PATH: Final = "/ops"
"""Where it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Somebody who is signed in.

    Attributes:
        name: E-mail address; the id where accounts can't be read.
        operator: Whether they have the role.
    """

    id: str
    name: str
    operator: bool
    token: str


async def who(desk: Desk, request: HTTPConnection, visitor: Visitor) -> Who | None:
    """Who sends a request; None for nobody, or a session that is over.

    The role is the account's as it is now; only where accounts can't be read, that of the token.

    Args:
        desk: With the accounts.
        request: With the cookie.
        visitor: Renews the session in time; nothing is lost where the API is away.
    """
    token = request.cookies.get(COOKIE)
    if token is None:
        return None
    bearer = HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})
    verified = desk.market.runtime.verify(bearer)
    if verified is None:
        return None
    age, life = desk.clock.now() - verified.issued, verified.expires - verified.issued
    if age > life / 2:
        await _renew(visitor)
    id, roles = verified.principal.id, verified.principal.roles
    try:
        user = (await desk.accounts.get([User.key(id)])).get(User.key(id))
    except Unavailable:
        return Who(id=id, name=id, operator=OPERATOR in roles, token=token)
    if not isinstance(user, User):
        return None
    return Who(id=id, name=user.email, operator=OPERATOR in user.roles, token=token)


def pass_on(visitor: Visitor, response: Response, *, secure: bool) -> None:
    """Give the browser the session that the API has begun, renewed or ended."""
    for header in visitor.cookies:
        morsel = SimpleCookie(header).get(api.COOKIE)
        if morsel is None:
            continue
        age = morsel["max-age"]
        response.set_cookie(
            COOKIE,
            morsel.value,
            max_age=int(age) if age else None,
            path=PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )


async def _renew(visitor: Visitor) -> None:
    try:
        await visitor.get("/api/users/currentuser")
    except (Refused, Away):
        return
