"""Sell many tickets from a file: choose it, see what is in it, list it, watch it being listed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ticketkit.services.listings_csv import COLUMNS, MOST_TICKETS, REQUIRED, parse
from ticketkit_marketplace.web import files
from ticketkit_marketplace.web.files import BadRow, Checked
from ticketkit_marketplace.web.forms import Form
from ticketkit_marketplace.web.lister import BATCH, listed_already
from ticketkit_marketplace.web.uploads import State
from ticketkit_marketplace.web.visit import Page, Visit

if TYPE_CHECKING:
    from ticketkit_marketplace.web.uploads import Upload

MOST_BYTES: Final = 24 * 1024 * 1024
"""Of a file."""
SHOWN: Final = 50
"""Bad rows that are shown; the rest is counted."""
EXAMPLE: Final = """\
event,venue,starts_at,zone,seat,price,currency,quantity
Summer Night,Waldbühne,2027-07-03T20:00,Europe/Berlin,Block A Row 3 Seat 12,79.50,EUR,
Summer Night,Waldbühne,2027-07-03T20:00,Europe/Berlin,Lawn,45,EUR,20
"""
"""A file to begin with: one seat, and a block of twenty."""


async def show_choice(visit: Visit) -> Response:
    """The form to choose a file."""
    return _choice(visit, Form())


async def check(visit: Visit) -> Response:
    """Look through a file; nothing is listed by that."""
    form = await visit.form()
    content = await _content(form)
    if content is None:
        return _choice(visit, form)
    name = (form.files["file"].filename or "file.csv")[-120:]
    options = visit.site.options
    checked, usable = await anyio.to_thread.run_sync(
        partial(files.check, content, currency=options.currency, now=visit.site.now())
    )
    if checked.tickets:
        checked = await _with_doubles(visit, checked, usable)
    upload = await visit.site.lister.uploads.keep(owner=visit.me["id"], name=name, content=usable, checked=checked)
    return visit.go(f"/sell/file/{upload.id}")


async def show(visit: Visit) -> Response:
    """What is in a file, or how far its listing has come."""
    upload = await _upload(visit)
    stopped = upload.state is State.STOPPED or upload.broken_off(visit.site.now())
    template = "file_preview.html" if upload.state is State.CHECKED else "file_progress.html"
    return visit.page(template, upload=upload, checked=upload.checked, stopped=stopped, batch=BATCH, form=Form())


async def begin(visit: Visit) -> Response:
    """List a file, or go on where it was broken off."""
    await visit.form()
    upload = await _upload(visit)
    if upload.checked.tickets:
        await visit.site.lister.begin(upload, visit.api, currency=visit.site.options.currency)
    return visit.go(f"/sell/file/{upload.id}")


async def example(_: Visit) -> Response:
    """A file to begin with."""
    headers = {"content-disposition": 'attachment; filename="tickets.csv"'}
    return Response(EXAMPLE.encode(), media_type="text/csv; charset=utf-8", headers=headers)


async def _content(form: Form) -> bytes | None:
    file = form.files.get("file")
    if file is None or not file.filename:
        form.errors["file"] = "Choose a file."
        return None
    if (file.size or 0) > MOST_BYTES:
        form.errors["file"] = f"The file has more than {MOST_BYTES // 1024 // 1024} MB. Split it."
        return None
    return await file.read()


async def _with_doubles(visit: Visit, checked: Checked, content: bytes) -> Checked:
    """What is in a file, with the seats that its seller lists already as bad rows: they would be sold twice."""
    catalogue = await anyio.to_thread.run_sync(partial(parse, content, currency=visit.site.options.currency))
    again = await listed_already(visit.api, catalogue)
    if not again:
        return checked
    rows = [
        BadRow(line=offer.line, column="seat", reason=f"You list {offer.seat!r} of this event already.")
        for offer in again[:SHOWN]
    ]
    return Checked(bad=[*checked.bad, *rows], bad_total=checked.bad_total + len(again))


async def _upload(visit: Visit) -> Upload:
    upload = await visit.site.lister.uploads.get(visit.id, owner=visit.me["id"])
    if upload is None:
        raise HTTPException(404)
    return upload


def _choice(visit: Visit, form: Form) -> Response:
    return visit.page(
        "file_choice.html",
        status=422 if form.errors else 200,
        form=form,
        columns=COLUMNS,
        required=REQUIRED,
        most=MOST_TICKETS,
        megabytes=MOST_BYTES // 1024 // 1024,
    )


PAGES: Final = (
    Page(path="/sell/file", show=show_choice, submit=check, signed_in=True),
    Page(path="/sell/file/tickets.csv", show=example),
    Page(path="/sell/file/{id}", show=show, submit=begin, signed_in=True),
)
"""The pages of this subject."""
