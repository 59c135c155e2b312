"""What doctor is told about Stripe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeAlias

import pytest

from ticketkit.backends.errors import Misconfigured, Unavailable
from ticketkit.backends.findings import Finding, Severity
from ticketkit.backends.spec import Context
from ticketkit_stripe.plugin import ticketkit_backends
from ticketkit_stripe.settings import API_VERSION
from ticketkit_stripe.simulator import Simulator
from ticketkit_stripe.webhooks import EVENTS

pytestmark = pytest.mark.anyio

Wire: TypeAlias = Any  # of conftest
KEY = "sk_test_made4up"
WHOLE = "&webhook_secret=whsec_a&publishable_key=pk_test_a"
URL = "https://t.example/api/payments/webhooks/stripe"
PAYMENTS, ENDPOINTS = "GET /v1/payment_intents", "GET /v1/webhook_endpoints"
NOTHING = {"object": "list", "data": [], "has_more": False, "url": "/v1/x"}


async def look(url: str, more: str = WHOLE) -> Sequence[Finding]:
    (backend,) = ticketkit_backends()
    assert backend.check is not None
    return await backend.check(f"stripe:?key={KEY}&base={url}{more}", Context())


def endpoint(**values: Any) -> dict[str, Any]:
    return {
        "id": "we_1",
        "object": "webhook_endpoint",
        "url": URL,
        "status": "enabled",
        "api_version": API_VERSION,
        "enabled_events": list(EVENTS),
        "livemode": False,
        **values,
    }


def worst(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity is not Severity.NOTE]


@pytest.fixture(autouse=True)
def _well(wire: Wire) -> None:
    wire.answer(PAYMENTS, NOTHING)
    wire.answer(ENDPOINTS, {**NOTHING, "data": [endpoint()]})


async def test_of_what_is_well_only_the_test_mode_is_noted(wire: Wire) -> None:
    (finding,) = await look(wire.url)
    assert (finding.severity, finding.what) == (Severity.NOTE, "Stripe's key is of test mode: no money moves.")
    assert {asked.method for asked in wire.asked} == {"GET"}


async def test_missing_secrets_are_told(wire: Wire) -> None:
    found = {finding.mend.partition("=")[0]: finding.severity for finding in await look(wire.url, "")}
    assert found["export TICKETKIT_STRIPE_WEBHOOK_SECRET"] is Severity.WARNING
    assert found["export TICKETKIT_STRIPE_PUBLISHABLE_KEY"] is Severity.NOTE


@pytest.mark.parametrize(
    ("endpoints", "severity", "says"),
    [
        ([], Severity.WARNING, "no webhook endpoint that ends with /api/payments/webhooks/stripe"),
        ([endpoint(url="https://t.example/other")], Severity.WARNING, "no webhook endpoint"),
        ([endpoint(livemode=True)], Severity.WARNING, "no webhook endpoint"),
        ([endpoint(status="disabled")], Severity.ERROR, f"{URL} is disabled"),
        ([endpoint(api_version="2020-08-27")], Severity.ERROR, "sends API version 2020-08-27"),
        ([endpoint(api_version=None)], Severity.ERROR, "sends API version of the account"),
        ([endpoint(enabled_events=EVENTS[1:])], Severity.ERROR, f"does not send {EVENTS[0]}"),
    ],
    ids=["none", "elsewhere", "live", "disabled", "version", "any version", "events"],
)
async def test_an_endpoint_that_does_not_tell_us_all_is_told_with_the_line_that_makes_one(
    wire: Wire, endpoints: list[Any], severity: Severity, says: str
) -> None:
    wire.answer(ENDPOINTS, {**NOTHING, "data": endpoints})
    (finding,) = worst(await look(wire.url))
    assert finding.severity is severity
    assert says in finding.what
    assert finding.mend.startswith("stripe webhook_endpoints create -d url=https://")
    assert API_VERSION in finding.mend
    assert all(name in finding.mend for name in EVENTS)


async def test_one_endpoint_that_is_well_is_enough(wire: Wire) -> None:
    more = [endpoint(status="disabled"), endpoint(enabled_events=["*"])]
    wire.answer(ENDPOINTS, {**NOTHING, "data": more})
    assert worst(await look(wire.url)) == []


async def test_a_key_that_may_not_see_the_endpoints_is_noted(wire: Wire) -> None:
    wire.answer(ENDPOINTS, (403, {"error": {"type": "invalid_request_error", "message": "no"}}))
    notes = [finding for finding in await look(wire.url) if "nobody has looked" in finding.what]
    assert [note.severity for note in notes] == [Severity.NOTE]


async def test_a_clock_that_is_off_is_told(wire: Wire) -> None:
    theirs = format_datetime(datetime.now(UTC) - timedelta(minutes=10), usegmt=True)
    wire.answer(PAYMENTS, (200, NOTHING, {"date": theirs}))
    (finding,) = worst(await look(wire.url))
    assert "600 s behind" in finding.what or "599 s behind" in finding.what or "601 s behind" in finding.what


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_is_an_error_and_is_not_shown(wire: Wire, status: int) -> None:
    wire.answer(PAYMENTS, (status, {"error": {"type": "invalid_request_error", "message": f"Invalid: {KEY}"}}))
    with pytest.raises(Misconfigured, match="TICKETKIT_STRIPE_SECRET_KEY=sk_test_") as refused:
        await look(wire.url)
    assert KEY not in str(refused.value)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await look("http://127.0.0.1:1")


async def test_it_asks_nothing_that_stripe_has_not() -> None:
    with Simulator(key=KEY, webhooks=["http://127.0.0.1:1/api/payments/webhooks/stripe"]) as simulator:
        assert worst(await look(simulator.url)) == []
        assert simulator.control.books().violations == []
