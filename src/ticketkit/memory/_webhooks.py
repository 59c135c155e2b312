"""Webhooks of the fake payment provider: signed, sent, and verified.

The signature is made as Stripe does it (docs.stripe.com/webhooks#verify-manually): HMAC-SHA256 over `time.body`, in a
header `t=...,v1=...`.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import anyio

from ticketkit.backends.errors import BadWebhook
from ticketkit.backends.payments import Notice, Receive

if TYPE_CHECKING:
    from ticketkit.backends.clock import Clock

HEADER: Final = "fake-signature"
TOLERANCE: Final = 300
"""Seconds that a webhook may be old, or ahead of our clock."""
PAUSES: Final = (5.0, 60.0, 600.0)
"""Seconds after which a delivery that failed is tried again."""

log = logging.getLogger(__name__)


def sign(body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a webhook."""
    time = str(int(now.timestamp()))
    return {HEADER: f"t={time},v1={_signature(time, body, secret)}", "content-type": "application/json"}


def verify(headers: Mapping[str, str], body: bytes, *, secret: str, now: datetime) -> Notice:
    """Check signature and time, and read.

    Raises:
        BadWebhook: It can't be trusted, or read.
    """
    pairs = [part.partition("=")[::2] for part in headers.get(HEADER, "").split(",")]
    time = dict(pairs).get("t", "")
    expected = _signature(time, body, secret).encode()
    if not any(name == "v1" and hmac.compare_digest(expected, value.encode(errors="replace")) for name, value in pairs):
        msg = "The webhook's signature is wrong."
        raise BadWebhook(msg)
    if not time.isdecimal() or abs(int(now.timestamp()) - int(time)) > TOLERANCE:
        msg = f"The webhook was signed more than {TOLERANCE} s before or after now."
        raise BadWebhook(msg)
    return _read(body)


async def send(body: bytes, receive: Receive, *, secret: str, clock: Clock) -> None:
    """Deliver, and try again when the receiver fails; signed anew each time."""
    for pause in (*PAUSES, None):
        try:
            await receive(sign(body, secret=secret, now=clock.now()), body)
            return
        except Exception:  # the receiver's failure is not the provider's
            log.warning("a webhook was not taken", exc_info=True)
        if pause is not None:
            await clock.sleep(pause)


def start(group: anyio.abc.TaskGroup, body: bytes, receive: Receive, *, secret: str, clock: Clock, late: float) -> None:
    """Send from a task group, after so many seconds of the clock."""

    async def run() -> None:
        await clock.sleep(late)
        await send(body, receive, secret=secret, clock=clock)

    group.start_soon(run)


def _signature(time: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), time.encode() + b"." + body, sha256).hexdigest()


def _read(body: bytes) -> Notice:
    try:
        found: dict[str, Any] = json.loads(body)
        texts = [found["id"], found["what"]]
        reference, charge_id = found["reference"], found.get("charge_id")
        text = body.decode()
    except (ValueError, TypeError, KeyError) as error:
        msg = "The webhook's body is not a notice."
        raise BadWebhook(msg) from error
    texts += [optional for optional in (reference, charge_id) if optional is not None]
    if not all(isinstance(value, str) for value in texts):
        msg = "The webhook's body is not a notice."
        raise BadWebhook(msg)
    return Notice(id=texts[0], what=texts[1], reference=reference, charge_id=charge_id, body=text)
