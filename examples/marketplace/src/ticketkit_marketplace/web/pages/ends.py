"""Ends of the way: not found, not allowed, too many tries, the services away, an error of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.end import FOREIGN, MALFORMED, End
from ticketkit_marketplace.web.incoming import SignInFirst, request_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from ticketkit_marketplace.web.visit import Visit


NOT_FOUND: Final = End(
    status=404,
    title="This page does not exist",
    text="The address may be mistyped, or what was here is gone.",
    advice="Look for the live event on the front page.",
)
TOO_LARGE: Final = End(
    status=413, title="That is too large", text="Nothing was sent on.", advice="Send less, or split the file."
)
METHOD: Final = End(
    status=405, title="This does not work here", text="The page can't be used in that way.", advice=NOT_FOUND.advice
)
FAILED: Final = End(
    status=500,
    title="Something went wrong here",
    text="It is our mistake, and it was noted. If you were paying, your order shows what became of it.",
    advice="Try again in a moment.",
)
AWAY: Final = End(
    status=503,
    title="The box office does not answer just now",
    text="Nothing has happened: nothing was ordered, and nothing was charged.",
    advice="Try again in a moment.",
)
UNSURE: Final = End(
    status=503,
    title="The box office did not answer in time",
    text="We can't see yet whether it was done. Nothing is ever done twice.",
    advice="Look before you try again: what was done shows in your orders and listings.",
)
TOO_MANY: Final = End(
    status=429,
    title="Too many tries",
    text="For your safety there is a limit on how often this can be tried in a minute.",
)
_BY_STATUS: Final = {end.status: end for end in (MALFORMED, FOREIGN, NOT_FOUND, METHOD, TOO_LARGE, FAILED)}


def page_of(visit: Visit, error: Exception) -> Response:
    """The page for an error that a page has not dealt with itself."""
    match error:
        case SignInFirst():
            return visit.go("/sign-in?" + urlencode({"next": _back(visit)}))
        case Refused(status=401):
            # The session is over, or was ended somewhere else: the page as it is for nobody would only mislead.
            return visit.go("/sign-in?" + urlencode({"next": _back(visit), "why": "over"}))
        case Away():
            return show(visit, AWAY if error.certain else UNSURE, retry_after=error.retry_after or 1)
        case Refused():
            return _refused(visit, error)
        case HTTPException():
            end = _BY_STATUS.get(error.status_code, MALFORMED)
            return show(visit, end, headers=error.headers)
    return show(visit, FAILED)


def show(
    visit: Visit, end: End, *, retry_after: int | None = None, headers: object = None, detail: str = ""
) -> Response:
    """Show an end.

    Args:
        visit: Whose.
        end: Which.
        retry_after: Seconds, told to programs and people.
        headers: More of the response.
        detail: What the API said.
    """
    response = visit.page(
        "end.html",
        status=end.status,
        end=end,
        detail=detail,
        retry_after=retry_after,
        again=visit.request.method == "GET",
        request_id=request_id(visit.request) if end is FAILED else "",
    )
    if retry_after is not None:
        response.headers["retry-after"] = str(retry_after)
    if isinstance(headers, dict):
        response.headers.update(headers)
    return response


def _refused(visit: Visit, refused: Refused) -> Response:
    if refused.status == TOO_MANY.status:
        return show(visit, TOO_MANY, retry_after=refused.retry_after, detail=refused.detail)
    if refused.code == "malformed_id" or refused.status == NOT_FOUND.status:
        return show(visit, NOT_FOUND)
    end = _BY_STATUS.get(refused.status, End(status=refused.status, title="This can't be done", text=""))
    return show(visit, end if refused.status >= FAILED.status else _said(refused))


def _said(refused: Refused) -> End:
    return End(status=refused.status, title="This can't be done", text=refused.detail)


def _back(visit: Visit) -> str:
    """Where to go on after signing in: this page, or the one that the form was on."""
    return visit.here if visit.request.method == "GET" else visit.request.url.path
