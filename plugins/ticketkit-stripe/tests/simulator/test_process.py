"""The ways to run it: a process, a context manager, a thread; and its page for buyers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from ticketkit_stripe.simulator import Control, Simulator
from ticketkit_stripe.simulator.serving import in_thread
from ticketkit_stripe.simulator.simulation import KEY, VERSION, Settings

INTENTS = "/v1/payment_intents"
FORM = {"amount": "500", "currency": "usd"}
HEADERS = {"Authorization": f"Bearer {KEY}", "Stripe-Version": VERSION}


@contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ticketkit_stripe.simulator", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_is_and_ends_cleanly(number: signal.Signals) -> None:
    with _started("--key", "sk_test_mine", "--rate", "1000") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert (said["key"], said["version"]) == ("sk_test_mine", VERSION)
        headers = {**HEADERS, "Authorization": "Bearer sk_test_mine"}
        assert httpx.get(f"{said['url']}/v1/balance", headers=headers).status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_starts_again_on_its_port_with_empty_books() -> None:
    with Simulator(key="sk_test_mine", rate=100) as simulator:
        url = simulator.url
        headers = {**HEADERS, "Authorization": "Bearer sk_test_mine"}
        httpx.post(f"{url}{INTENTS}", data=FORM, headers=headers).raise_for_status()
        assert len(simulator.control.books().intents) == 1
        simulator.kill()
        simulator.start()
        assert (simulator.url, simulator.control.books().intents) == (url, [])


def test_it_runs_in_a_thread_too(receiver: Any) -> None:
    settings = Settings(webhooks=(receiver.url,), seed=1)
    ids = []
    for _ in range(2):
        with in_thread(settings) as control:
            answer = httpx.post(f"{control.url}{INTENTS}", data=FORM, headers=HEADERS)
            ids.append(answer.json()["id"])
            assert control.settled()
    assert ids[0] == ids[1]
    assert receiver.types == ["payment_intent.created"] * 2


@pytest.mark.parametrize(("pressed", "status"), [("true", "requires_capture"), ("false", "requires_payment_method")])
def test_a_buyer_passes_the_bank_s_page_and_comes_back(
    raw: httpx.Client, control: Control, pressed: str, status: str
) -> None:
    form = {
        **FORM,
        "capture_method": "manual",
        "confirm": "true",
        "payment_method": "pm_card_authenticationRequired",
        "return_url": "https://shop.test/orders/1?step=2",
    }
    made = raw.post(INTENTS, data=form).json()
    page = made["next_action"]["redirect_to_url"]["url"]
    assert "Pay 500 USD?" in httpx.get(page).text
    back = httpx.post(page, data={"success": pressed})
    said = "succeeded" if pressed == "true" else "failed"
    assert back.headers["location"] == (
        f"https://shop.test/orders/1?step=2&payment_intent={made['id']}&redirect_status={said}"
    )
    assert control.books().intent(made["id"]).status == status
    assert httpx.post(page, data={"success": pressed}).status_code == 400
    assert httpx.get(f"{control.url}/_simulator/bank/pi_nothing").status_code == 404
