"""What a client of Stripe may not send: each is refused, and written down."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from ticketkit_stripe.simulator import Control
from ticketkit_stripe.simulator.simulation import KEY, VERSION

INTENTS = "/v1/payment_intents"
GOOD = {"amount": "500", "currency": "usd"}


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"metadata[a][b]": "c"}, None, "metadata[a]"),
        ({"amount": "five"}, "parameter_invalid_integer", "amount"),
        ({"amount": "5.5"}, "parameter_invalid_integer", "amount"),
        ({"confirm": "maybe"}, None, "confirm"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"automatic_payment_methods[on]": "true"}, "parameter_unknown", "automatic_payment_methods[on]"),
        (
            {"payment_method_options[card][capture_methods]": "manual"},
            "parameter_unknown",
            "payment_method_options[card][capture_methods]",
        ),
        (
            {"automatic_payment_methods[allow_redirects]": "never"},
            "parameter_missing",
            "automatic_payment_methods[enabled]",
        ),
        ({"stripe_account": "acct_1"}, "parameter_unknown", "stripe_account"),
        ({"idempotency_key": "k"}, "parameter_unknown", "idempotency_key"),
        ({"transfer_data[destination]": "acct_1"}, None, "transfer_data"),
        ({"payment_method_types[]": "card"}, "payment_method_types_no_longer_supported", "payment_method_types"),
        ({"]": "x"}, None, "]"),
        ({"amount[a]": "5"}, None, "amount[a]"),
    ],
)
def test_a_wrong_parameter_is_named(
    raw: httpx.Client, control: Control, *, form: dict[str, str], code: str | None, param: str
) -> None:
    answer = raw.post(INTENTS, data={**GOOD, **form})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error.get("code"), error.get("param")) == (code, param)
    (violation,) = control.books().violations
    assert (violation.param, violation.path) == (param, INTENTS)
    assert control.books().intents == []


def test_a_missing_parameter_is_named(raw: httpx.Client) -> None:
    error = raw.post(INTENTS, data={"amount": "500"}).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_missing", "currency")


@pytest.mark.parametrize(
    ("verb", "form", "param"),
    [
        ("confirm", {"metadata[a]": "b"}, "metadata"),
        ("confirm", {"amount": "500"}, "amount"),
        ("capture", {"amount": "500"}, "amount"),
        ("cancel", {"cancellation_reason": "bored"}, "cancellation_reason"),
        ("cancel", {"reason": "abandoned"}, "reason"),
    ],
)
def test_each_call_has_parameters_of_its_own(raw: httpx.Client, *, verb: str, form: dict[str, str], param: str) -> None:
    made = raw.post(INTENTS, data=GOOD).json()
    answer = raw.post(f"{INTENTS}/{made['id']}/{verb}", data=form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert raw.get(f"{INTENTS}/{made['id']}").json() == made


def test_lists_and_metadata_are_written_with_brackets(raw: httpx.Client) -> None:
    form = {
        **GOOD,
        "metadata[0]": "a name",
        "metadata[order]": "o1",
        "expand[0]": "latest_charge",
        "expand[1]": "review",
    }
    made = raw.post(INTENTS, data=form).json()
    assert made["metadata"] == {"0": "a name", "order": "o1"}
    found = raw.get(f"{INTENTS}/{made['id']}?expand[]=latest_charge&expand[]=payment_method")
    assert found.status_code == 200


def test_a_call_carries_the_key(raw: httpx.Client, control: Control) -> None:
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    assert raw.get(INTENTS, headers={"Authorization": f"Basic {basic}"}).status_code == 200
    for wrong in (
        "Bearer sk_live_1",
        "Basic !",
        "",
        "Digest x",
        f"Basic {base64.b64encode(b'sk_test_other:').decode()}",
    ):
        answer = raw.get(INTENTS, headers={"Authorization": wrong})
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
    assert len(control.books().violations) == 5


@pytest.mark.parametrize("version", ["2020-08-27", ""])
def test_a_call_carries_the_pinned_version(raw: httpx.Client, control: Control, version: str) -> None:
    assert raw.get(INTENTS, headers={"Stripe-Version": version}).status_code == 400
    assert VERSION in control.books().violations[0].message


def test_parameters_come_as_a_form(raw: httpx.Client) -> None:
    assert raw.post(INTENTS, json={"amount": 500, "currency": "usd"}).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/customers"), ("DELETE", INTENTS), ("GET", "/")])
def test_what_the_simulator_does_not_have_is_404(raw: httpx.Client, control: Control, method: str, path: str) -> None:
    answer = raw.request(method, path)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
    assert len(control.books().violations) == 1


def test_every_answer_names_its_request_and_the_books_list_it(raw: httpx.Client, control: Control) -> None:
    answer = raw.post(INTENTS, data=GOOD, headers={"Idempotency-Key": "c1:prepare"})
    (call,) = control.books().calls
    assert answer.headers["request-id"] == call.request
    assert (call.operation, call.port, call.key, call.status, call.version) == (
        *("payment_intents.create", "prepare", "c1:prepare"),
        *(200, VERSION),
    )
    assert call.object == answer.json()["id"]
    assert control.books().counts == {"payment_intents.create": 1}


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("authenticate", {"intent": "pi_nothing", "success": True}),
        ("fault", {"fault": {"kind": "explode"}}),
        ("fault", {"fault": {"kind": "refuse", "on": "retrieve"}}),
        ("fault", {"fault": {"kind": "error", "on": "nothing"}}),
        ("chaos", {"chaos": {"copys": 3}}),
        ("dance", {}),
        ("roll_secrets", {"id": "we_nothing", "secrets": []}),
    ],
)
def test_the_control_refuses_what_makes_no_sense(
    raw: httpx.Client, control: Control, verb: str, body: dict[str, Any]
) -> None:
    answer = raw.post(f"/_simulator/{verb}", json=body)
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["message"]
