"""Which webhooks are believed, and what is read of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from ticketkit.backends.errors import BadWebhook
from ticketkit_stripe.settings import API_VERSION
from ticketkit_stripe.webhooks import EVENTS, KINDS, Verifier, sign

SECRET = "whsec_of_the_test"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
INTENT = {"id": "pi_1", "object": "payment_intent", "metadata": {"ticketkit_charge_id": "c-1"}}


def event(about: dict[str, Any] | None = None, **values: Any) -> bytes:
    return json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "api_version": API_VERSION,
            "livemode": False,
            "type": "payment_intent.succeeded",
            "data": {"object": INTENT if about is None else about},
            **values,
        }
    ).encode()


def verifier(*secrets: str, **values: Any) -> Verifier:
    return Verifier(secrets=secrets or (SECRET,), live=False, **values)


@pytest.mark.parametrize(
    ("what", "about", "reference", "charge_id"),
    [
        ("payment_intent.succeeded", INTENT, "pi_1", "c-1"),
        ("payment_intent.created", {**INTENT, "metadata": {}}, "pi_1", None),
        ("charge.refunded", {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, "pi_1", None),
        (
            "charge.succeeded",
            {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "metadata": {"ticketkit_charge_id": "c-1"}},
            "pi_1",
            "c-1",
        ),
        ("charge.dispute.created", {"id": "dp_1", "object": "dispute", "payment_intent": "pi_1"}, "pi_1", None),
        ("refund.updated", {"id": "re_1", "object": "refund", "payment_intent": INTENT}, "pi_1", None),
        ("charge.succeeded", {"id": "ch_1", "object": "charge", "payment_intent": None}, None, None),
        ("customer.created", {"id": "cus_1", "object": "customer"}, None, None),
        ("invoice.paid", {"id": "in_1", "object": "invoice", "payment_intent": "pi_1"}, None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_webhook_names_its_payment_and_charge_and_a_strange_one_nothing(
    what: str, about: dict[str, Any], reference: str | None, charge_id: str | None
) -> None:
    body = event(about, type=what)
    notice = verifier().read(sign(body, SECRET, NOW), body, NOW)
    assert (notice.id, notice.what, notice.body) == ("evt_1", what, body.decode())
    assert (notice.reference, notice.charge_id) == (reference, charge_id)


def test_what_we_sign_stripes_library_believes() -> None:
    body, now = event(), datetime.now(UTC)
    header = sign(body, SECRET, now)["stripe-signature"]
    assert stripe.Webhook.construct_event(body, header, SECRET).id == "evt_1"


def test_while_a_secret_is_rolled_both_are_believed() -> None:
    body = event()
    old, new = (sign(body, secret, NOW)["stripe-signature"] for secret in ("whsec_old", "whsec_new"))
    both = {"stripe-signature": f"{old},{new.partition(',')[2]}"}
    for secrets in (("whsec_old",), ("whsec_new",), ("whsec_new", "whsec_old")):
        assert verifier(*secrets).read(both, body, NOW).id == "evt_1"
    assert verifier("whsec_new", "whsec_old").read({"stripe-signature": old}, body, NOW).id == "evt_1"
    with pytest.raises(BadWebhook):
        verifier("whsec_other").read(both, body, NOW)


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_an_old_one_and_one_of_the_future_are_refused(seconds: int) -> None:
    body = event()
    with pytest.raises(BadWebhook, match="more than 300 s"):
        verifier().read(sign(body, SECRET, NOW + timedelta(seconds=seconds)), body, NOW)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_one_within_five_minutes_is_believed(seconds: int) -> None:
    body = event()
    assert verifier().read(sign(body, SECRET, NOW + timedelta(seconds=seconds)), body, NOW).reference == "pi_1"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("", "no signature that can be read"),
        ("t=1,v0=abc", "no signature that can be read"),
        ("v1=abc", "no signature that can be read"),
        ("t=1,t=2,v1=abc", "no signature that can be read"),
        ("t=1,v1=abc", "signature is wrong"),
        ("t=\N{SNAKE},v1=\N{SNAKE}", "signature is wrong"),
    ],
)
def test_a_signature_that_is_none_is_refused(header: str, says: str) -> None:
    with pytest.raises(BadWebhook, match=says):
        verifier().read({"stripe-signature": header}, event(), NOW)


def test_the_old_scheme_proves_nothing() -> None:
    body = event()
    header = sign(body, SECRET, NOW)["stripe-signature"].replace("v1=", "v0=")
    with pytest.raises(BadWebhook):
        verifier().read({"stripe-signature": header}, body, NOW)


def test_without_a_secret_nothing_is_believed() -> None:
    body = event()
    with pytest.raises(BadWebhook, match="TICKETKIT_STRIPE_WEBHOOK_SECRET"):
        Verifier(secrets=(), live=False).read(sign(body, "", NOW), body, NOW)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"api_version": "2020-08-27"}, f"API version '2020-08-27'.*api_version={API_VERSION}"),
        ({"api_version": None}, "API version none"),
        ({"livemode": True}, "of live mode"),
        ({"livemode": None}, "of live mode|the secret key of the other"),
        ({"account": "acct_2"}, "about the account 'acct_2'"),
        ({"object": "v2.core.event"}, "thin event"),
        ({"id": ""}, "no event"),
        ({"data": {}}, "no event"),
    ],
)
def test_an_event_that_is_not_meant_for_us_is_refused_with_what_to_do(values: dict[str, Any], says: str) -> None:
    body = event(**values)
    with pytest.raises(BadWebhook, match=says):
        verifier().read(sign(body, SECRET, NOW), body, NOW)


def test_an_event_of_another_connected_account_is_refused() -> None:
    ours, other, none = event(account="acct_1"), event(account="acct_2"), event()
    connected = verifier(account="acct_1")
    assert connected.read(sign(ours, SECRET, NOW), ours, NOW).reference == "pi_1"
    for body in (other, none):
        with pytest.raises(BadWebhook, match="acct_1"):
            connected.read(sign(body, SECRET, NOW), body, NOW)


def test_the_secret_is_in_no_text() -> None:
    assert SECRET not in repr(verifier())


def test_what_an_endpoint_is_to_send_are_events_of_stripe_that_are_about_payments() -> None:
    from stripe.params import WebhookEndpointCreateParams

    known = str(WebhookEndpointCreateParams.__annotations__["enabled_events"])
    for name in EVENTS:
        assert name.startswith(KINDS)
        assert f"'{name}'" in known, name
