"""Sign up, sign in, sign out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit.services.passwords import LONGEST, SHORTEST
from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.visit import Page, Visit, local

if TYPE_CHECKING:
    from starlette.responses import Response

_FIELDS: Final = {"email": "email", "password": "password"}
_EMAIL: Final = "Enter your e-mail address."
_INVALID: Final = "This is not an e-mail address. It looks like name@example.com."
_SENTENCES: Final = {
    "email_taken": "There is an account with this address already, and its password is another. Sign in instead.",
    "invalid_credentials": "E-mail address or password is wrong.",
}


async def show_sign_in(visit: Visit) -> Response:
    """The form to sign in; who is signed in goes on at once."""
    return visit.go(_next(visit)) if visit.user else _sign_in(visit, Form())


async def sign_in(visit: Visit) -> Response:
    """Begin a session."""
    form = await visit.form()
    email = form.text("email", _EMAIL)
    password = form.raw("password")
    if not password:
        form.errors["password"] = "Enter your password."  # noqa: S105 - a sentence
    if not form.errors:
        try:
            await visit.api.post("/api/users/signin", {"email": email, "password": password})
            return visit.go(_next(visit), done="signed-in")
        except Refused as refused:
            _told(form, refused)
    return _sign_in(visit, form)


async def show_sign_up(visit: Visit) -> Response:
    """The form for a new account."""
    return visit.go(_next(visit)) if visit.user else _sign_up(visit, Form())


async def sign_up(visit: Visit) -> Response:
    """Create an account. Sent twice, it signs in: the account is there, and the password is right."""
    form = await visit.form()
    email = form.text("email", _EMAIL)
    password = form.raw("password")
    if email and "@" not in email:  # the API looks closer, but only once the rest is good
        form.errors["email"] = _INVALID
    if not SHORTEST <= len(password) <= LONGEST:
        form.errors["password"] = f"Use {SHORTEST} to {LONGEST} characters; these are {len(password)}."
    if form.errors:
        return _sign_up(visit, form)
    body = {"email": email, "password": password}
    try:
        await visit.api.post("/api/users/signup", body)
        return visit.go(_next(visit), done="signed-up")
    except Refused as refused:
        if refused.code == "email_taken" and await _signed_in(visit, body):
            return visit.go(_next(visit), done="signed-in")
        _told(form, refused)
    return _sign_up(visit, form)


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.form()
    await visit.api.post("/api/users/signout", {})
    return visit.go("/", done="signed-out")


async def _signed_in(visit: Visit, body: dict[str, str]) -> bool:
    try:
        await visit.api.post("/api/users/signin", body)
    except Refused:
        return False
    return True


def _told(form: Form, refused: Refused) -> None:
    """Say in the form what was refused.

    Raises:
        Refused: It is about no field: too many tries.
    """
    if refused.status not in (400, 409, 422):
        raise refused
    if refused.code == "invalid_input":
        form.refuse(refused, _FIELDS, {"invalid_input": _INVALID})
    elif refused.code == "email_taken":
        form.errors["email"] = _SENTENCES["email_taken"]
    else:
        form.errors[""] = _SENTENCES.get(refused.code, refused.detail)


def _next(visit: Visit) -> str:
    return local(visit.query.get("next", ""))


def _sign_in(visit: Visit, form: Form) -> Response:
    over = visit.query.get("why") == "over"
    return visit.page("sign_in.html", status=_status(form), form=form, next=_next(visit), over=over)


def _sign_up(visit: Visit, form: Form) -> Response:
    return visit.page("sign_up.html", status=_status(form), form=form, next=_next(visit), shortest=SHORTEST)


def _status(form: Form) -> int:
    return 422 if form.errors else 200


PAGES: Final = (
    Page(path="/sign-in", show=show_sign_in, submit=sign_in),
    Page(path="/sign-up", show=show_sign_up, submit=sign_up),
    Page(path="/sign-out", submit=sign_out),
)
"""The pages of this subject."""
