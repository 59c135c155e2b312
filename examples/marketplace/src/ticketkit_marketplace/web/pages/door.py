"""The door: a pass is read, and lets its holder in once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ticketkit_marketplace.web.api import Refused
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

_ANSWERED: Final = (400, 403, 404, 409)
REFUSALS: Final[Mapping[str, str]] = {
    "admitted_already": "In already",
    "pass_void": "Not good any more",
    "invalid_pass": "Not a pass",
    "not_the_seller": "Not your door",
    "ticket_not_found": "Not a pass",
}
"""What is said large, by the API's code."""


async def door(visit: Visit) -> Response:
    """Where passes are entered or scanned."""
    return visit.page("door.html", form=Form(), admitted=None, refusal=None, detail="")


async def admit(visit: Visit) -> Response:
    """Read a pass, and say whether its holder may go in."""
    form = await visit.form()
    text = "".join(form.text("pass", "Scan a pass, or enter its text.").split())
    if form.errors:
        return visit.page("door.html", status=422, form=form, admitted=None, refusal=None, detail="")
    try:
        admitted = await visit.api.post("/api/passes/admissions", {"pass": text})
    except Refused as refused:
        if refused.status not in _ANSWERED:
            raise
        refusal = REFUSALS.get(refused.code, "Not good")
        return visit.page(
            "door.html", status=_ANSWERED[-1], form=Form(), admitted=None, refusal=refusal, detail=refused.detail
        )
    return visit.page("door.html", form=Form(), admitted=admitted, refusal=None, detail="")


PAGES: Final = (Page(path="/door", show=door, submit=admit, signed_in=True),)
"""The pages of this subject."""
