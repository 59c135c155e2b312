"""What a request of a person has on every page: for visitors and, in `ticketkit_marketplace.ops`, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.security import REQUEST_ID, check_same_origin

if TYPE_CHECKING:
    from starlette.requests import Request

    from ticketkit_marketplace.web.api import Visitor

DONE: Final = "done"
"""Parameter that says what was just done, by a word for which the page has a sentence."""


class SignInFirst(Exception):
    """This page is for who is signed in."""


@dataclass(slots=True)
class Incoming:
    """A request, and where it goes on.

    Attributes:
        api: ticketkit's API, in the name of who sent it.
    """

    request: Request
    api: Visitor
    _form: Form | None = field(default=None, repr=False, kw_only=True)

    @property
    def query(self) -> Mapping[str, str]:
        """Parameters of the address, trimmed."""
        return {name: value.strip() for name, value in self.request.query_params.items()}

    @property
    def here(self) -> str:
        """Path and parameters of this page, without what was just done."""
        kept = [(name, value) for name, value in self.request.query_params.multi_items() if name != DONE]
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")

    async def form(self) -> Form:
        """The form that was sent.

        Raises:
            HTTPException: Another site sent it (403), or it can't be read (400, 413).
        """
        check_same_origin(self.request.scope)
        if self._form is None:
            self._form = await Form.sent(self.request)
        return self._form

    def go(self, path: str, *, done: str | None = None) -> Response:
        """A redirect after a form (303).

        Args:
            path: Of this site.
            done: A word of `NOTICES`.
        """
        if done is not None:
            path += ("&" if "?" in path else "?") + urlencode({DONE: done})
        return self.with_cookies(RedirectResponse(path, 303, headers={"cache-control": "no-store"}))

    def with_cookies(self, response: Response) -> Response:
        """Pass on the cookies that the API has set."""
        for cookie in self.api.cookies:
            response.raw_headers.append((b"set-cookie", cookie.encode("latin-1")))
        return response


def request_id(request: Request) -> str:
    """The id of a request."""
    return str(request.scope.get(REQUEST_ID, ""))
