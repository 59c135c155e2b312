"""Webhook endpoints, and how what is sent to them is signed (docs.stripe.com/webhooks#verify-manually)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """Where events are sent.

    Attributes:
        secrets: Each signs: while a secret is rolled there are two.
    """

    id: str
    url: str
    secrets: list[str]
    created: int
    api_version: str

    def shown(self) -> dict[str, Any]:
        """Stripe's object; secrets are not shown again."""
        return {
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": None,
            "created": self.created,
            "description": None,
            "enabled_events": ["*"],
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": self.url,
        }


def sign(body: bytes, secrets: Sequence[str], at: int) -> str:
    """The header `Stripe-Signature` of a body sent at that time."""
    signed = f"{at}.".encode() + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    # In test mode Stripe adds a v0 that nobody should accept.
    return ",".join([f"t={at}", *(f"v1={mark}" for mark in marks), f"v0={hashlib.sha256(signed).hexdigest()}"])
