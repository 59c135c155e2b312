"""Routes of auth."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from ticketkit.domain.accounts import email_id
from ticketkit.http import shapes
from ticketkit.http.bodies import Json
from ticketkit.http.inputs import Nothing, SignIn, SignUp
from ticketkit.http.operation import Answer, Call, Operation
from ticketkit.http.sessions import clear_session, renewed, set_session
from ticketkit.http.throttle import address_of
from ticketkit.services.catalogue import ServiceName

COOKIE: Final = {"Set-Cookie": "The session."}


async def sign_up(call: Call[SignUp, None]) -> Response:
    """Create an account."""
    shop = call.shop
    call.throttle.count("sign-up", address_of(call.request), most=shop.config.sign_in_per_minute_and_address)
    signed_in = await shop.auth.sign_up(call.body.email, call.body.password)
    response = Json(shapes.user(signed_in), status_code=201)
    set_session(response, signed_in, shop)
    return response


async def sign_in(call: Call[SignIn, None]) -> Response:
    """Begin a session."""
    shop = call.shop
    call.throttle.count("sign-in from", address_of(call.request), most=shop.config.sign_in_per_minute_and_address)
    call.throttle.count("sign-in as", email_id(call.body.email), most=shop.config.sign_in_per_minute)
    signed_in = await shop.auth.sign_in(call.body.email, call.body.password)
    response = Json(shapes.user(signed_in))
    set_session(response, signed_in, shop)
    return response


async def sign_out(call: Call[Nothing, None]) -> Response:
    """End the session."""
    if call.caller is not None:
        await call.shop.auth.sign_out(call.caller)
    response = Json({})
    clear_session(response, call.shop)
    return response


async def current_user(call: Call[None, None]) -> Response:
    """Who is signed in."""
    nobody: shapes.CurrentUser = {"currentUser": None}
    if call.caller is None:
        return Json(nobody)
    signed_in = await renewed(call.request, call.caller, call.shop)
    user = signed_in.user if signed_in else await call.shop.auth.user(call.caller.id)
    if user is None:
        return Json(nobody)
    response = Json({"currentUser": shapes.user(user)})
    if signed_in is not None:
        set_session(response, signed_in, call.shop)
    return response


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/users/signup",
        tag=ServiceName.AUTH,
        summary="Sign up",
        description="Creates an account and signs in.",
        handler=sign_up,
        body=SignUp,
        answers={201: Answer(what="The new account.", shape=shapes.User, headers=COOKIE)},
        errors={409: ("email_taken",), 429: ("too_many_requests",)},
    ),
    Operation(
        method="POST",
        path="/api/users/signin",
        tag=ServiceName.AUTH,
        summary="Sign in",
        description="Unknown account and wrong password are refused alike.",
        handler=sign_in,
        body=SignIn,
        answers={200: Answer(what="The account.", shape=shapes.User, headers=COOKIE)},
        errors={400: ("invalid_credentials",), 429: ("too_many_requests",)},
    ),
    Operation(
        method="POST",
        path="/api/users/signout",
        tag=ServiceName.AUTH,
        summary="Sign out",
        description="Revokes the session everywhere, within 5 s. Fine for who is not signed in.",
        handler=sign_out,
        body=Nothing,
        body_optional=True,
        asks=True,
        answers={200: Answer(what="Signed out.", shape=dict[str, object], headers=COOKIE)},
    ),
    Operation(
        method="GET",
        path="/api/users/currentuser",
        tag=ServiceName.AUTH,
        summary="Who is signed in",
        description="Renews the session's cookie when half of its token's life is over.",
        handler=current_user,
        asks=True,
        answers={200: Answer(what="The account, or null.", shape=shapes.CurrentUser)},
    ),
)
"""The table of these routes."""
