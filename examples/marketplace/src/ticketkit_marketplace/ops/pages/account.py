"""Sign in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit_marketplace.ops.visit import HOME, Page, Visit, local
from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form

if TYPE_CHECKING:
    from starlette.responses import Response

_ABOUT_THE_FORM: Final = (400, 422)
_WRONG: Final = "E-mail address or password is wrong."


async def show_sign_in(visit: Visit) -> Response:
    """The form to sign in; who is signed in goes on at once."""
    return visit.go(_next(visit)) if visit.who else _sign_in(visit, Form())


async def sign_in(visit: Visit) -> Response:
    """Begin a session. Whether it is an operator's, the next page says."""
    form = await visit.form()
    email = form.text("email", "Enter your e-mail address.")
    password = form.raw("password")
    if not password:
        form.errors["password"] = "Enter your password."  # noqa: S105 - a sentence
    if form.errors:
        return _sign_in(visit, form)
    try:
        await visit.api.post("/api/users/signin", {"email": email, "password": password})
    except Refused as refused:
        if refused.status not in _ABOUT_THE_FORM:
            raise
        form.errors[""] = _WRONG
        return _sign_in(visit, form)
    return visit.go(_next(visit), done="signed-in")


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.form()
    await visit.api.post("/api/users/signout", {})
    return visit.go(f"{HOME}/sign-in", done="signed-out")


def _next(visit: Visit) -> str:
    return local(visit.query.get("next", ""))


def _sign_in(visit: Visit, form: Form) -> Response:
    over = visit.query.get("why") == "over"
    return visit.page("sign_in.html", status=422 if form.errors else 200, form=form, over=over)


PAGES: Final = (
    Page(path="/sign-in", show=show_sign_in, submit=sign_in, open=True),
    Page(path="/sign-out", submit=sign_out, open=True),
)
"""The pages of this subject."""
