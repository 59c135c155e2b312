"""Webhooks: only what Stripe said itself, lately, in our version and mode, is believed (docs.stripe.com/webhooks)."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ticketkit.backends.errors import BadWebhook
from ticketkit.backends.payments import Notice
from ticketkit_stripe.reading import CHARGE_ID
from ticketkit_stripe.settings import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

HEADER: Final = "stripe-signature"
TOLERANCE: Final = 300
"""Seconds that a webhook may be old (the default of Stripe's libraries), or ahead of our clock."""
KINDS: Final = ("payment_intent.", "charge.", "refund.")
"""Beginnings of the types of events that are about a payment."""
EVENTS: Final = (
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "refund.failed",
    "refund.updated",
)
"""What an endpoint has to send, so that nothing waits for the reconciler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Verifies and reads webhooks.

    Attributes:
        secrets: Of the endpoint; more than one while it is rolled.
        live: Whether they are to be about real money.
        account: The connected account that they are to be about; None for the key's own.
        version: Of the API, that the endpoint is to send.
    """

    secrets: tuple[str, ...] = field(repr=False)
    live: bool
    account: str | None = None
    version: str = API_VERSION

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Verify the raw body, and read it.

        Args:
            headers: Names in lower case.
            body: Raw, as received.
            now: The time.

        Raises:
            BadWebhook: It can't be trusted, or read; the message says what to look at.
        """
        self._verify(headers.get(HEADER, ""), body, now)
        event = _event(body)
        self._check(event)
        about = event["data"]["object"]
        what = event["type"]
        reference, charge_id = _payment(about) if what.startswith(KINDS) else (None, None)
        return Notice(id=event["id"], what=what, reference=reference, charge_id=charge_id, body=body.decode())

    def _verify(self, header: str, body: bytes, now: datetime) -> None:
        if not self.secrets:
            raise BadWebhook(
                "There is no secret to verify webhooks with: set TICKETKIT_STRIPE_WEBHOOK_SECRET to the endpoint's."
            )
        pairs = [part.strip().partition("=")[::2] for part in header.split(",")]
        times = [value for name, value in pairs if name == "t"]
        given = [value.encode(errors="replace") for name, value in pairs if name == "v1"]
        if len(times) != 1 or not given:
            raise BadWebhook(f"The webhook has no signature that can be read: {HEADER} has one t= and some v1=.")
        signed = times[0].encode(errors="replace") + b"." + body
        expected = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in self.secrets]
        # Each with each, whatever matched already: how long it takes says nothing.
        matches = [hmac.compare_digest(one, other) for one in expected for other in given]
        if not any(matches):
            raise BadWebhook(
                "The webhook's signature is wrong: it is of another endpoint's secret than "
                "TICKETKIT_STRIPE_WEBHOOK_SECRET, or something on the way changed the body."
            )
        if not (times[0].isascii() and times[0].isdecimal()) or abs(now.timestamp() - int(times[0])) > TOLERANCE:
            raise BadWebhook(
                f"The webhook was signed more than {TOLERANCE} s before or after now: it is old, or a clock is off."
            )

    def _check(self, event: Mapping[str, Any]) -> None:
        if (version := event.get("api_version")) != self.version:
            raise BadWebhook(
                f"The webhook is of API version {_short(version)}, and ticketkit reads {self.version}: make the "
                f"endpoint anew, with api_version={self.version}."
            )
        if event.get("livemode") is not self.live:
            raise BadWebhook(
                f"The webhook is of {'test' if self.live else 'live'} mode, and the secret key of the other: give each "
                "mode an endpoint of its own."
            )
        if (account := event.get("account")) != self.account:
            raise BadWebhook(
                f"The webhook is about the account {_short(account)}, and ticketkit charges "
                f"{self.account or 'its own'}."
            )


def sign(body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a webhook, as Stripe makes them: for tests and simulators."""
    time = str(int(now.timestamp()))
    signature = hmac.new(secret.encode(), time.encode() + b"." + body, sha256).hexdigest()
    return {HEADER: f"t={time},v1={signature}", "content-type": "application/json; charset=utf-8"}


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body.decode())
    except ValueError as error:
        raise BadWebhook("The webhook's body is no JSON.") from error
    match event:
        case {"object": "v2.core.event"}:
            raise BadWebhook("The webhook is a thin event: the endpoint is to send snapshots.")
        case {"object": "event", "id": str(id), "type": str(what), "data": {"object": dict()}} if id and what:
            return dict(event)
    raise BadWebhook("The webhook's body is no event of Stripe.")


def _payment(about: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The PaymentIntent that an object is, or belongs to, and the charge that its metadata names."""
    metadata = about.get("metadata")
    charge_id = metadata.get(CHARGE_ID) if isinstance(metadata, dict) else None
    intent = about.get("id") if about.get("object") == "payment_intent" else about.get("payment_intent")
    if isinstance(intent, dict):  # expanded
        intent = intent.get("id")
    return (intent or None) if isinstance(intent, str) else None, charge_id if isinstance(charge_id, str) else None


def _short(value: object) -> str:
    return ascii(value)[:60] if value is not None else "none"
