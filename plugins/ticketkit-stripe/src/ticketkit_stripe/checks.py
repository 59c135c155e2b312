"""What `ticketkit doctor` asks of Stripe. It changes nothing there."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import stripe

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.findings import Finding, Severity, clock_off
from ticketkit_stripe.calls import calling
from ticketkit_stripe.settings import API_VERSION, PREFIX, Settings
from ticketkit_stripe.webhooks import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from stripe import StripeClient

    from ticketkit.backends.spec import Context

PATH: Final = "/api/payments/webhooks/stripe"
"""Where ticketkit takes webhooks, below the address of the marketplace."""


async def look(url: str, context: Context) -> list[Finding]:
    """What is wrong with the settings, the key, and what Stripe has of us.

    Raises:
        Misconfigured: URL or environment are wrong, or Stripe refuses the key.
        Unavailable: Stripe can't be reached.
    """
    settings = Settings.of(url)
    async with calling(settings, context.clock) as (client, _):
        payments = await _asked(settings, client.v1.payment_intents.list_async({"limit": 1}))
        found = list(_settings(settings))
        if (off := _clock(payments.last_response, context.clock.now())) is not None:
            found.append(off)
        return [*found, *await _endpoints(settings, client)]


def _settings(settings: Settings) -> Iterator[Finding]:
    if not settings.webhook_secrets:
        yield Finding(
            severity=Severity.WARNING,
            what="There is no secret to verify Stripe's webhooks with: what the buyer or a bank decides later is heard "
            "of by the reconciler alone.",
            mend=f"export {PREFIX}WEBHOOK_SECRET=whsec_... (of the endpoint, dashboard.stripe.com/webhooks)",
        )
    if settings.publishable_key is None:
        yield Finding(
            severity=Severity.NOTE,
            what="There is no publishable key: the buyer's form has to bring its own.",
            mend=f"export {PREFIX}PUBLISHABLE_KEY=pk_{'live' if settings.live else 'test'}_...",
        )
    if not settings.live:
        yield Finding(
            severity=Severity.NOTE,
            what="Stripe's key is of test mode: no money moves.",
            mend=f"export {PREFIX}SECRET_KEY=sk_live_... (when it is to)",
        )


def _clock(response: Any, now: datetime) -> Finding | None:
    """The `Date` of an answer is in whole seconds, within the tolerance of `clock_off`."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return clock_off("Stripe's", theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC), now)


async def _endpoints(settings: Settings, client: StripeClient) -> list[Finding]:
    """What is wrong with the webhook endpoints, as far as this key may see them."""
    try:
        listed = await client.v1.webhook_endpoints.list_async({"limit": 100})
    except stripe.StripeError:
        return [
            Finding(
                severity=Severity.NOTE,
                what="Stripe does not let this key see the webhook endpoints: nobody has looked at them.",
                mend=f"Give it the right to read webhook endpoints, or see that one sends {', '.join(EVENTS)} of API "
                f"version {API_VERSION}",
            )
        ]
    return list(endpoint_findings([one for one in listed.to_dict()["data"] if one["livemode"] is settings.live]))


def endpoint_findings(endpoints: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """What is wrong with the webhook endpoints of an account; nothing when one of them is right.

    Args:
        endpoints: Stripe's objects.
    """
    ours = [one for one in endpoints if str(one.get("url", "")).rstrip("/").endswith(PATH)]
    if not ours:
        yield Finding(
            severity=Severity.WARNING,
            what=f"Stripe has no webhook endpoint that ends with {PATH}: nobody tells us what the buyer or a bank "
            "decides later.",
            mend=_create(f"https://tickets.example{PATH}"),
        )
        return
    faults = [fault for one in ours if (fault := _fault(one))]
    if len(faults) == len(ours):
        yield Finding(severity=Severity.ERROR, what=faults[0], mend=_create(ours[0]["url"]))


def _fault(endpoint: Mapping[str, Any]) -> str | None:
    name = f"The webhook endpoint {endpoint.get('url')}"
    if endpoint.get("status") != "enabled":
        return f"{name} is disabled: Stripe sends nothing."
    if (version := endpoint.get("api_version")) != API_VERSION:
        return f"{name} sends API version {version or 'of the account'}, and ticketkit reads {API_VERSION} alone."
    sent = set(endpoint.get("enabled_events") or ())
    if "*" not in sent and (missing := [event for event in EVENTS if event not in sent]):
        return f"{name} does not send {', '.join(missing)}."
    return None


def _create(url: str) -> str:
    events = " ".join(f"-d 'enabled_events[]={event}'" for event in EVENTS)
    return f"stripe webhook_endpoints create -d url={url} -d api_version={API_VERSION} {events}"


async def _asked(settings: Settings, call: Any) -> Any:
    """An answer of Stripe, or what `doctor` says instead."""
    try:
        return await call
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        mode = "live" if settings.live else "test"
        raise Misconfigured(
            f"Stripe refuses the secret key ({error.http_status}).",
            mend=f"export {PREFIX}SECRET_KEY=sk_{mode}_... (dashboard.stripe.com/apikeys)",
        ) from error
    except stripe.StripeError as error:
        raise Unavailable(f"Stripe can't be asked at {settings.base}: {type(error).__name__}.") from error
