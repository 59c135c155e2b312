"""One request of one operator: who it is, what the pages need, and the answers that they give."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from ticketkit.ids import is_id
from ticketkit_marketplace.ops import sessions
from ticketkit_marketplace.web.incoming import DONE, Incoming, SignInFirst

if TYPE_CHECKING:
    from ticketkit_marketplace.ops.app import Ops
    from ticketkit_marketplace.ops.desk import Desk
    from ticketkit_marketplace.ops.sampling import Sampler
    from ticketkit_marketplace.ops.sessions import Who

log = logging.getLogger("ticketkit_marketplace.ops")

HOME: Final = "/ops"
NOTICES: Final[Mapping[str, str]] = {
    "signed-in": "You are signed in.",
    "signed-out": "You are signed out.",
    "released": "The lock is released: its tickets are for sale again.",
    "replayed": "The dead letter is tried again.",
    "dropped": "The dead letter is deleted.",
    "gone": "That dead letter is not there any more: it was replayed or dropped before.",
    "paused": "Sales are paused. What was ordered before can still be paid.",
    "resumed": "Tickets can be ordered again.",
    "cancelled": "The event is cancelled. Refunds are on record and are being made.",
}
"""What pages say after a redirect, by its word in the address."""


class NoOperator(Exception):
    """Somebody is signed in, without the role."""


@dataclass(slots=True)
class Visit(Incoming):
    """A request with all that a page needs.

    Attributes:
        ops: The operations page.
        who: Who is signed in.
    """

    ops: Ops
    who: Who | None = None

    @property
    def desk(self) -> Desk:
        """What operators work on."""
        return self.ops.desk

    @property
    def sampler(self) -> Sampler:
        """What was seen in the last minutes."""
        return self.ops.sampler

    @property
    def id(self) -> str:
        """The id in the path.

        Raises:
            HTTPException: It is no id, so there is nothing (404).
        """
        id = str(self.request.path_params["id"])
        if not is_id(id):
            raise HTTPException(404)
        return id

    @property
    def me(self) -> Who:
        """The operator.

        Raises:
            SignInFirst: Nobody is signed in.
            NoOperator: Who is has not the role.
        """
        if self.who is None:
            raise SignInFirst
        if not self.who.operator:
            raise NoOperator
        return self.who

    def note(self, what: str, **about: object) -> None:
        """Log an action: who, what, and about which."""
        log.warning("operator: %s", what, extra={"actor": self.me.id, "operator": self.me.name, **about})

    def page(self, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """A page.

        Args:
            template: Name of the file.
            status: Of the response.
            **values: For the template, besides `visit`, `who` and `notice`.
        """
        notice = NOTICES.get(self.request.query_params.get(DONE, ""))
        made = self.ops.templates.get_template(template)
        text = made.render(visit=self, who=self.who, notice=notice, now=self.desk.clock.now(), **values)
        return self.with_cookies(HTMLResponse(text, status, headers={"cache-control": "no-store"}))

    def with_cookies(self, response: Response) -> Response:
        """Pass on the session that the API has begun, renewed or ended."""
        sessions.pass_on(self.api, response, secure=self.desk.secure)
        return response


Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]
"""Answers a visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What there is at a path.

    Attributes:
        path: Below `HOME`, with `{id}` where an id stands.
        show: Answers GET.
        submit: Answers POST, with a redirect or the page again. A form that is sent twice is answered twice the same,
            and done once.
        open: For everybody, not for operators alone.
    """

    path: str
    show: Handler | None = None
    submit: Handler | None = None
    open: bool = False

    @property
    def methods(self) -> list[str]:
        """Those that it answers."""
        return [method for method, handler in (("GET", self.show), ("POST", self.submit)) if handler is not None]


def local(path: str) -> str:
    """A page to go back to, if it is one of these."""
    inside = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    return path if inside and path.isprintable() else HOME
