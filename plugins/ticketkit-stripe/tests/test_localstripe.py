"""Our provider against localstripe, an imitation of Stripe by others: where both speak, they agree.

localstripe (GPL-3.0-or-later) is installed beside the tests, runs as a process of its own, and is imported by nothing
of ours. It knows an older API, so a small translator stands between: it renames one parameter, and gives a payment
method to a PaymentIntent before its confirmation instead of with it, and adds `amount_received`. It keeps no
idempotency keys, has no code `payment_intent_unexpected_state`, and refunds more than was paid: nothing is asserted
about these.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ticketkit.backends.payments import ActionRequired, Declined, Done, Notice, Outcome, ProviderStatus
from ticketkit.backends.spec import Context
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit_stripe.provider import StripePayments, open_payments
from ticketkit_stripe.webhooks import Verifier

pytestmark = [pytest.mark.anyio, pytest.mark.proof]

RELEASE = "localstripe==1.15.10"
VERSION = "2017-08-15"
"""Of the API, that its webhooks say."""
SECRET, KEY = "whsec_of_the_test", "sk_test_localstripe"
PRICE = Money(5000, "USD")
CARDS = {"good": "4242424242424242", "declined": "4000000000000341", "asks": "4000002760003184"}

# It binds all interfaces and keeps its state in one fixed file: here it is loopback, and a file of its own.
RUN = """
import builtins, runpy, socket, sys
libraries, state, port = sys.argv[1:]
sys.path.insert(0, libraries)
bind, open_ = socket.socket.bind, builtins.open
def on_loopback(self, address):
    return bind(self, ("::ffff:127.0.0.1", *address[1:]) if address[0] == "::" else address)
def apart(file, *args, **kwargs):
    return open_(state if file == "/tmp/localstripe.pickle" else file, *args, **kwargs)
socket.socket.bind, builtins.open = on_loopback, apart
sys.argv = ["localstripe", "--port", port, "--from-scratch"]
runpy.run_module("localstripe", run_name="__main__")
"""


@pytest.fixture(scope="session")
def libraries(pytestconfig: pytest.Config) -> Path:
    """Where localstripe is; installed once, into the cache of pytest."""
    cache = getattr(pytestconfig, "cache", None)
    if cache is None:
        pytest.fail("localstripe is kept in pytest's cache: run without `-p no:cacheprovider`", pytrace=False)
    folder = Path(cache.mkdir("localstripe")) / RELEASE
    if not folder.exists():
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
        done = subprocess.run([*pip, made, RELEASE], capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(made)
            pytest.fail(f"{done.stderr}\n{RELEASE} is needed here: {' '.join(pip)} '{folder}' {RELEASE}", pytrace=False)
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(made)
    return folder


@pytest.fixture(scope="session")
def address(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """localstripe, running."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("localstripe")
    with (folder / "log").open("w") as log:
        python = getattr(sys, "_base_executable", sys.executable)
        words = [python, "-I", "-S", "-c", RUN, libraries, folder / "state", str(port)]
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_for(process, port, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, f"localstripe ended:\n{log.read_text()}"
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        _pause(process)
    pytest.fail(f"localstripe does not listen:\n{log.read_text()}")


def _pause(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return


class Translator:
    """Stands between our provider and localstripe, and takes its webhooks at `/hooks`."""

    def __init__(self, address: str) -> None:
        self._client = httpx.AsyncClient(base_url=address, headers={"authorization": f"Bearer {KEY}"})
        self.url = ""
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self._came = anyio.Event()
        self.app = Starlette(
            routes=[
                Route("/hooks", self._hook, methods=["POST"]),
                Route("/{path:path}", self._forward, methods=["GET", "POST"]),
            ]
        )

    async def post(self, path: str, **data: Any) -> Any:
        """Ask localstripe itself."""
        answer = await self._client.post(path, data=data)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    async def method(self, card: str) -> str:
        """A payment method of one of its cards."""
        about = {"number": CARDS[card], "exp_month": "12", "exp_year": "2034", "cvc": "123"}
        data = {f"card[{name}]": value for name, value in about.items()}
        return str((await self.post("/v1/payment_methods", type="card", **data))["id"])

    async def _hook(self, request: Request) -> Response:
        self.webhooks.append((dict(request.headers), await request.body()))
        self._came.set()
        return Response()

    async def came(self) -> None:
        """Wait for another webhook."""
        await self._came.wait()
        self._came = anyio.Event()

    async def _forward(self, request: Request) -> Response:
        path, fields = request.url.path, dict(parse_qsl((await request.body()).decode()))
        fields = {
            name.replace("allowed_payment_method_types", "payment_method_types"): value
            for name, value in fields.items()
        }
        if path.endswith("/confirm"):
            await self.post(path.removesuffix("/confirm"), payment_method=fields.pop("payment_method"))
        answer = await self._client.request(request.method, path, params=request.query_params, data=fields or None)
        content = answer.json()
        if content.get("object") == "payment_intent" and (charge := content["latest_charge"]) and charge["captured"]:
            # It books what is let go as a refund of no payment.
            back = [one["amount"] for one in charge["refunds"]["data"] if one["payment_intent"] is None]
            content["amount_received"] = content["amount"] - sum(back)
        return JSONResponse(content, answer.status_code)

    async def aclose(self) -> None:
        await self._client.aclose()


@pytest.fixture
async def translator(address: str, served: Any) -> AsyncIterator[Translator]:
    translator = Translator(address)
    async with served(translator.app) as port:
        translator.url = f"http://127.0.0.1:{port}"
        yield translator
    await translator.aclose()


@pytest.fixture
async def provider(translator: Translator) -> AsyncIterator[StripePayments]:
    url = f"stripe:?key={KEY}&base={translator.url}&rate=1000&endpoint_rate=1000&webhook_secret={SECRET}"
    async with open_payments(url, Context()) as provider:
        yield provider


async def prepared(provider: StripePayments) -> str:
    outcome = await provider.prepare(charge_id="c-1", order_id="o-1", amount=PRICE, key=new_id())
    assert isinstance(outcome, Done)
    return outcome.reference


async def authorized(provider: StripePayments, translator: Translator, card: str = "good") -> tuple[str, Outcome]:
    reference = await prepared(provider)
    return reference, await provider.authorize(reference, token=await translator.method(card), key=new_id())


async def books(provider: StripePayments, reference: str) -> tuple[ProviderStatus, int, int]:
    found = await provider.retrieve(reference)
    assert found is not None
    assert (found.charge_id, found.amount) == ("c-1", PRICE)
    return found.status, found.captured, found.refunded


async def test_a_payment_is_held_taken_and_given_back_in_parts(
    provider: StripePayments, translator: Translator
) -> None:
    assert await books(provider, await prepared(provider)) == (ProviderStatus.PREPARED, 0, 0)
    reference, outcome = await authorized(provider, translator)
    assert outcome == Done(reference)
    assert await books(provider, reference) == (ProviderStatus.AUTHORIZED, 0, 0)
    assert await provider.capture(reference, amount=PRICE, key=new_id()) == Done(reference)
    assert await books(provider, reference) == (ProviderStatus.CAPTURED, 5000, 0)
    first = await provider.refund(reference, refund_id="r-1", amount=Money(2000, "USD"), key=new_id())
    assert isinstance(first, Done)
    assert await books(provider, reference) == (ProviderStatus.CAPTURED, 5000, 2000)
    # It keeps no keys: that the refund is not made twice is by its metadata.
    assert await provider.refund(reference, refund_id="r-1", amount=Money(2000, "USD"), key=new_id()) == first
    assert isinstance(await provider.refund(reference, refund_id="r-2", amount=Money(3000, "USD"), key=new_id()), Done)
    assert await books(provider, reference) == (ProviderStatus.CAPTURED, 5000, 5000)


async def test_of_a_part_that_is_captured_the_rest_is_no_refund(
    provider: StripePayments, translator: Translator
) -> None:
    reference, _ = await authorized(provider, translator)
    assert await provider.capture(reference, amount=Money(3000, "USD"), key=new_id()) == Done(reference)
    found = await provider.retrieve(reference)
    assert found is not None
    assert found.refunded == 0
    assert isinstance(await provider.refund(reference, refund_id="r", amount=Money(500, "USD"), key=new_id()), Done)
    found = await provider.retrieve(reference)
    assert found is not None
    assert found.refunded == 500


async def test_a_payment_is_voided_before_and_after_it_is_held(
    provider: StripePayments, translator: Translator
) -> None:
    reference, _ = await authorized(provider, translator)
    for one in (await prepared(provider), reference):
        assert await provider.void(one, key=new_id()) == Done(one)
        assert await provider.void(one, key=new_id()) == Done(one)
        assert await books(provider, one) == (ProviderStatus.VOID, 0, 0)


async def test_a_decline_and_three_d_secure_are_told(provider: StripePayments, translator: Translator) -> None:
    reference, outcome = await authorized(provider, translator, "declined")
    assert isinstance(outcome, Declined)
    assert outcome.code == "card_declined"
    assert (await books(provider, reference))[0] is ProviderStatus.DECLINED
    reference, outcome = await authorized(provider, translator, "asks")
    assert isinstance(outcome, ActionRequired)
    secret = outcome.action["client_secret"]
    await translator.post(f"/v1/payment_intents/{reference}/_authenticate", client_secret=secret, success="true")
    assert await books(provider, reference) == (ProviderStatus.AUTHORIZED, 0, 0)


async def test_a_payment_that_it_does_not_have_is_not_there(provider: StripePayments) -> None:
    assert await provider.retrieve("pi_unknown") is None
    assert isinstance(await provider.capture("pi_unknown", amount=PRICE, key=new_id()), Declined)


async def test_its_signed_webhooks_are_believed(provider: StripePayments, translator: Translator) -> None:
    await translator.post(f"/_config/webhooks/{new_id()}", url=f"{translator.url}/hooks", secret=SECRET)
    reference, _ = await authorized(provider, translator)
    await provider.capture(reference, amount=PRICE, key=new_id())
    verifier = Verifier(secrets=(SECRET,), live=False, version=VERSION)
    with anyio.fail_after(10):
        while not (found := _about(reference, "payment_intent.succeeded", translator, verifier)):
            await translator.came()
    assert [notice.charge_id for notice in found] == ["c-1"]


def _about(reference: str, what: str, translator: Translator, verifier: Verifier) -> list[Notice]:
    read = [verifier.read(headers, body, datetime.now(UTC)) for headers, body in translator.webhooks]
    return [notice for notice in read if (notice.reference, notice.what) == (reference, what)]
