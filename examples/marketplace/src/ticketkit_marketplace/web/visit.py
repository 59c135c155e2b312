"""One request of one visitor: who it is, what the pages need, and the answers that they give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from ticketkit_marketplace.web.incoming import DONE, Incoming, SignInFirst
from ticketkit_marketplace.web.topics import address_of

if TYPE_CHECKING:
    from ticketkit.http.shapes import User
    from ticketkit_marketplace.web.site import Site
    from ticketkit_marketplace.web.topics import Topic

NOTICES: Final[Mapping[str, str]] = {
    "signed-up": "Your account is ready, and you are signed in.",
    "signed-in": "You are signed in.",
    "signed-out": "You are signed out, here and everywhere this session was used.",
    "listed": "Your ticket is for sale.",
    "edited": "The change is saved, and buyers see it at once.",
    "withdrawn": "The ticket is off the market.",
    "paid": "Thank you. Your payment has arrived.",
    "extended": "You have more time now.",
    "not-extended": "Your time was extended already; it can't be extended again.",
}
"""What pages say after a redirect, by its word in the address."""


_SIGNING: Final = ("/sign-in", "/sign-up", "/sign-out")


@dataclass(slots=True)
class Visit(Incoming):
    """A request with all that a page needs.

    Attributes:
        site: The parts of the web client.
        user: Who is signed in.
        since: The hub's moment when the visit began: nothing that was read is older.
    """

    site: Site
    user: User | None = None
    since: str = field(init=False)

    def __post_init__(self) -> None:
        """Remember when."""
        self.since = self.site.hub.now

    @property
    def id(self) -> str:
        """The id in the path."""
        return str(self.request.path_params["id"])

    @property
    def onward(self) -> str:
        """Parameter for links to sign in or up: where to go on after that; empty for the front page."""
        path = self.here if self.request.method == "GET" else self.request.url.path
        if self.request.url.path in _SIGNING:
            path = local(self.request.query_params.get("next", ""))
        return "" if path == "/" else "?" + urlencode({"next": path})

    @property
    def me(self) -> User:
        """Who is signed in.

        Raises:
            SignInFirst: Nobody.
        """
        if self.user is None:
            raise SignInFirst
        return self.user

    def check_signed_in(self) -> None:
        """Go on only for who is signed in.

        Raises:
            SignInFirst: Nobody is.
        """
        _ = self.me

    async def identify(self) -> None:
        """Find out who is signed in; asks the API only where there is a session."""
        if self.api.has_session:
            self.user = (await self.api.get("/api/users/currentuser"))["currentUser"]

    def page(
        self,
        template: str,
        /,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        shows: Sequence[Topic] = (),
        **values: Any,
    ) -> Response:
        """A page.

        Args:
            template: Name of the file.
            status: Of the response.
            headers: Of the response, instead of the usual ones of these names.
            shows: What changes by itself; the page is looked at again then.
            **values: For the template, besides `visit`, `user` and `notice`.
        """
        notice = NOTICES.get(self.request.query_params.get(DONE, ""))
        made = self.site.templates.get_template(template)
        live = address_of(shows) if shows and self.site.hub.hears else None
        text = made.render(visit=self, user=self.user, notice=notice, shows=shows, live=live, **values)
        kept = {"cache-control": "no-store" if self.api.has_session else "no-cache"}
        return self.with_cookies(HTMLResponse(text, status, headers={**kept, **(headers or {})}))


Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]
"""Answers a visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What there is at a path.

    Attributes:
        path: With `{id}` where an id stands.
        show: Answers GET.
        submit: Answers POST, mostly with a redirect.
        signed_in: Only for who is signed in; others are sent to sign in first, and then back.
    """

    path: str
    show: Handler | None = None
    submit: Handler | None = None
    signed_in: bool = False

    @property
    def methods(self) -> list[str]:
        """Those that it answers."""
        return [method for method, handler in (("GET", self.show), ("POST", self.submit)) if handler is not None]

    def handler(self, method: str) -> Handler:
        """What answers a method.

        Raises:
            HTTPException: Nothing does (405).
        """
        found = self.submit if method == "POST" else self.show
        if found is None:
            raise HTTPException(405, headers={"allow": ", ".join(self.methods)})
        return found


def local(path: str, default: str = "/") -> str:
    """A path to go back to, if it is one of this site and no address of another."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside else default
