"""`/live`: a stream of server-sent events that says when the page should look again.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import anyio
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from ticketkit_marketplace.web.api import Away, Refused
from ticketkit_marketplace.web.live import Full
from ticketkit_marketplace.web.topics import Kind, Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from ticketkit_marketplace.web.live import Ear, Hub
    from ticketkit_marketplace.web.visit import Visit

BEAT: Final = 20.0
"""Seconds of silence after which a comment is sent, so that nobody on the way takes the stream for dead."""
PAUSE: Final = 1.0
"""Seconds between two messages at least: what changes in between is told together."""
LOOKS: Final = 50
"""Pages a second that look again because of one topic: when many show it, each is told less often."""
LONGEST: Final = 600.0
"""Seconds after which a stream ends; the browser opens another, and it is asked anew who may see what."""
RETRY: Final = 2.0
"""Seconds after which a browser opens another, and up to twice that."""
MOST_TOPICS: Final = 4
_KINDS: Final = frozenset(Kind)
_BUSY: Final = 30
_ID: Final = re.compile(r"[0-9a-fA-F-]{1,64}")
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def live(visit: Visit) -> Response:
    """Answer a browser that wants to be told; one without JavaScript never asks."""
    request, hub = visit.request, visit.site.hub
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return PlainTextResponse("This stream is for pages of this site.", 403)
    topics = asked(request.query_params.multi_items())
    if topics is None:
        return PlainTextResponse("Say what to tell of: event, tickets, ticket or order, with an id.", 400)
    if not hub.hears:
        return _later(503, "There is nothing to be heard now.")
    try:
        for topic in topics:
            if topic.kind is Kind.ORDER:
                await visit.api.get(f"/api/orders/{topic.id}")  # whose it is, says the API
    except Refused:
        return PlainTextResponse("There is no such order of yours.", 404)
    except Away:
        return _later(503, "The services are away.")
    return _stream(visit, topics)


def _stream(visit: Visit, topics: frozenset[Topic]) -> Response:
    request, hub = visit.request, visit.site.hub
    address = request.client.host if request.client else ""
    try:
        hub.check_room(address)
    except Full as full:
        return _later(429 if full.address else 503, "Too many pages are open here: look again now and then.")
    since = request.headers.get("last-event-id") or visit.query.get("since", "")
    return Stream(hub, topics, address=address, since=since)


def asked(parameters: list[tuple[str, str]]) -> frozenset[Topic] | None:
    """Topics of an address, such as `?ticket=…&event=…`; None when it has none, too many, or something else."""
    given = [(name, value) for name, value in parameters if name != "since"]
    if not all(name in _KINDS and _ID.fullmatch(value) for name, value in given):
        return None
    topics = frozenset(Topic(Kind(name), value) for name, value in given)
    return topics if 0 < len(topics) <= MOST_TOPICS else None


class Stream(StreamingResponse):
    """The stream of one page."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, topics: frozenset[Topic], *, address: str, since: str) -> None:
        self._hub, self._topics, self._address, self._since = hub, topics, address, since
        super().__init__((), headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader is gone, or the hub is closed."""
        if scope["method"] == "HEAD":
            await Response(headers=_HEADERS, media_type=self.media_type)(scope, receive, send)
            return
        with self._hub.ear(self._topics, address=self._address, since=self._since) as ear:
            self.body_iterator = messages(self._hub, ear)
            await super().__call__(scope, receive, send)


async def messages(hub: Hub, ear: Ear) -> AsyncIterator[bytes]:
    """What one page is told, as it travels.

    The hub never waits for a reader: what a slow one has not read yet is one message, to look again.
    """
    yield f"retry: {round(1000 * RETRY * (1 + ear.place))}\n\n".encode()
    ends = anyio.current_time() + LONGEST * (0.9 + ear.place / 5)
    while not ear.over.is_set() and (left := ends - anyio.current_time()) > 0:
        with anyio.move_on_after(min(BEAT, left)) as silence:
            await ear.told()
        if silence.cancelled_caught:
            yield b":\n\n"
            continue
        crowd = max(hub.listeners(topic) for topic in ear.topics) / LOOKS
        await _rest(ear, crowd * ear.place)
        if ear.over.is_set():
            return
        yield _told(hub, ear)
        await _rest(ear, max(PAUSE, crowd))


async def _rest(ear: Ear, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await ear.over.wait()


def _told(hub: Hub, ear: Ear) -> bytes:
    moment, changes = hub.now, ear.take()
    if changes is None:
        return f"id: {moment}\nevent: again\ndata: {{}}\n\n".encode()
    said = [
        json.dumps({"what": change.what, "id": change.id, "version": change.version}, separators=(",", ":"))
        for change in changes
    ]
    return "".join(f"id: {moment}\nevent: change\ndata: {data}\n\n" for data in said).encode()


def _later(status: int, why: str) -> Response:
    return PlainTextResponse(why, status, headers={"retry-after": str(_BUSY)})
