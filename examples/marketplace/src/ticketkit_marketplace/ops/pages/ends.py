"""Ends of the way: not signed in, not an operator, not found, refused, something away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from ticketkit.backends.errors import OutcomeUnknown, Unavailable
from ticketkit.backends.storage import BadCursor
from ticketkit.domain.errors import Conflict, DomainError, NotFound
from ticketkit_marketplace.ops.visit import HOME, NoOperator
from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.end import FOREIGN, MALFORMED, End
from ticketkit_marketplace.web.incoming import SignInFirst, request_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from ticketkit_marketplace.ops.visit import Visit


NO_OPERATOR: Final = End(
    status=403,
    title="This page is for operators",
    text="You are signed in, but your account does not have the role of operators, so nothing is shown here.",
    advice="Ask somebody who runs this marketplace for the role, or sign out and sign in with another account.",
)
NOT_FOUND: Final = End(
    status=404,
    title="There is nothing here",
    text="The address may be mistyped, or what was here is gone.",
)
AWAY: Final = End(
    status=503,
    title="The services do not answer just now",
    text="Nothing was done.",
    advice="Try again in a moment. What is known without them is on the overview.",
)
UNSURE: Final = End(
    status=503,
    title="It is not known whether that was done",
    text="The answer was lost.",
    advice="Look before you try again. Doing it twice is harmless.",
)
FAILED: Final = End(
    status=500, title="Something went wrong here", text="It is our mistake; the log has the error.", advice=""
)
_BY_STATUS: Final = {end.status: end for end in (MALFORMED, FOREIGN, NOT_FOUND)}


def page_of(visit: Visit, error: Exception) -> Response:
    """The page for an error that a page has not dealt with itself."""
    match error:
        case SignInFirst() | Refused(status=401):
            over = {"why": "over"} if isinstance(error, Refused) else {}
            return visit.go(f"{HOME}/sign-in?" + urlencode({"next": visit.here, **over}))
        case Unavailable() | OutcomeUnknown() | NotFound() | BadCursor():
            return show(visit, _end_of(error), detail=str(error))
    return show(visit, _end_of(error))


def _end_of(error: Exception) -> End:  # noqa: PLR0911 - one a kind of error
    match error:
        case NoOperator():
            return NO_OPERATOR
        case Unavailable() | Away(certain=True):
            return AWAY
        case OutcomeUnknown() | Away():
            return UNSURE
        case NotFound() | BadCursor():
            return NOT_FOUND
        case HTTPException():
            return _BY_STATUS.get(error.status_code, replace(MALFORMED, status=error.status_code))
        case Refused():
            return End(status=error.status, title="This can't be done", text=error.detail)
        case DomainError():
            status = 409 if isinstance(error, Conflict) else 422
            return End(status=status, title="This can't be done", text=str(error))
    return FAILED


def show(visit: Visit, end: End, *, detail: str = "") -> Response:
    """Show an end.

    Args:
        visit: Whose.
        end: Which.
        detail: What exactly was said.
    """
    number = request_id(visit.request) if end is FAILED else ""
    return visit.page("end.html", status=end.status, end=end, detail=detail, number=number)
