"""What URL and environment say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ticketkit.backends.errors import Misconfigured
from ticketkit_stripe.plugin import ticketkit_backends
from ticketkit_stripe.settings import API_VERSION, ENDPOINT_RATE, HOLDING, LIVE_RATE, SETTINGS, TEST_RATE, Settings

OPTIONS = "PaymentIntentCreateParamsPaymentMethodOptions"
TEST, LIVE = "sk_test_made4up", "rk_live_made4up"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "SECRET_KEY_FILE", "WEBHOOK_SECRET", "WEBHOOK_SECRET_FILE", "PUBLISHABLE_KEY"):
        monkeypatch.delenv(f"TICKETKIT_STRIPE_{name}", raising=False)


def test_a_url_is_read_in_whole() -> None:
    settings = Settings.of(
        f"stripe:?key={TEST}&webhook_secret=whsec_a,whsec_b&publishable_key=pk_test_x&methods=card,ideal"
        "&return_url=https://t.example/paid&account=acct_1&rate=5&endpoint_rate=2&timeout=3&connect_timeout=1"
        "&base=http://127.0.0.1:1/"
    )
    assert settings == Settings(
        key=TEST,
        live=False,
        webhook_secrets=("whsec_a", "whsec_b"),
        publishable_key="pk_test_x",
        methods=("card", "ideal"),
        return_url="https://t.example/paid",
        account="acct_1",
        rate=5,
        endpoint_rate=2,
        timeout=3,
        connect_timeout=1,
        base="http://127.0.0.1:1",
    )


@pytest.mark.parametrize("url", ["stripe", "stripe:", "stripe:?methods=card"])
def test_secrets_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_STRIPE_SECRET_KEY", LIVE)
    monkeypatch.setenv("TICKETKIT_STRIPE_WEBHOOK_SECRET", "whsec_a, whsec_b")
    monkeypatch.setenv("TICKETKIT_STRIPE_PUBLISHABLE_KEY", "pk_live_x")
    settings = Settings.of(url)
    assert (settings.key, settings.live, settings.publishable_key) == (LIVE, True, "pk_live_x")
    assert settings.webhook_secrets == ("whsec_a", "whsec_b")


def test_secrets_come_from_files_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"SECRET_KEY": TEST, "WEBHOOK_SECRET": "whsec_a"}.items():
        (tmp_path / name).write_text(f"{text}\n")
        monkeypatch.setenv(f"TICKETKIT_STRIPE_{name}_FILE", str(tmp_path / name))
    settings = Settings.of("stripe:")
    assert (settings.key, settings.webhook_secrets) == (TEST, ("whsec_a",))


def test_a_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_STRIPE_SECRET_KEY_FILE", "/nowhere/key")
    with pytest.raises(Misconfigured, match="/nowhere/key can't be read: No such file"):
        Settings.of("stripe:")


def test_defaults_are_those_of_the_documentation() -> None:
    for key, rate in ((TEST, TEST_RATE), (LIVE, LIVE_RATE)):
        assert Settings.of(f"stripe:?key={key}").rate == rate
        assert f"{rate:g} with a {'live' if key == LIVE else 'test'} key" in SETTINGS["rate"]
    settings = Settings.of(f"stripe:?key={TEST}")
    assert f"default {ENDPOINT_RATE:g})" in SETTINGS["endpoint_rate"]
    assert f"default {settings.timeout:g}; at most 30)" in SETTINGS["timeout"]
    assert f"default {settings.connect_timeout:g}; at most 10)" in SETTINGS["connect_timeout"]
    assert f"default `{settings.methods[0]}`)" in SETTINGS["methods"]
    assert f"default `{settings.base}`)" in SETTINGS["base"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("stripe://host", "opens stripe:"),
        ("stripe:?colour=red", "colour: no such parameter"),
        ("stripe:", "needs a secret key.*export TICKETKIT_STRIPE_SECRET_KEY=sk_test_"),
        ("stripe:?key=secret", "this is no key"),
        ("stripe:?key=pk_test_x", "this is the publishable key"),
        (f"stripe:?key={TEST}&webhook_secret=secret", "begins with whsec_"),
        (f"stripe:?key={TEST}&publishable_key=x", "begins with pk_test_"),
        (f"stripe:?key={TEST}&publishable_key=pk_live_x", "publishable key is of live mode.*pk_test_"),
        (f"stripe:?key={TEST}&account=me", "id of a connected account"),
        (f"stripe:?key={LIVE}&base=http://api.stripe.com", "only sent to https://api.stripe.com"),
        (f"stripe:?key={LIVE}&base=https://api.stripe.com.example", "only sent to https://api.stripe.com"),
        (f"stripe:?key={TEST}&base=ftp://x", "base= is an address"),
        (f"stripe:?key={TEST}&methods=card,Card!", "names of payment methods"),
        (f"stripe:?key={TEST}&methods=card,card", "names of payment methods"),
        (f"stripe:?key={TEST}&methods=card,ideal", "ideal: the buyer may be sent to a bank.*return_url"),
        (f"stripe:?key={TEST}&return_url=javascript:alert(1)", "that the buyer's browser can go to"),
        (f"stripe:?key={TEST}&rate=0", "above 0"),
        (f"stripe:?key={TEST}&rate=fast", "above 0"),
        (f"stripe:?key={TEST}&timeout=31", "at most 30"),
        (f"stripe:?key={TEST}&endpoint_rate=inf", "above 0"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_with_it(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as refused:
        Settings.of(url)
    assert not re.search("made4up|secret$", str(refused.value))


def test_secrets_are_in_no_text_of_the_settings() -> None:
    settings = Settings.of(f"stripe:?key={TEST}&webhook_secret=whsec_hidden")
    assert TEST not in repr(settings)
    assert "whsec_hidden" not in repr(settings)


def test_the_plugin_describes_every_parameter() -> None:
    (payments,) = ticketkit_backends()
    assert payments.settings == SETTINGS
    assert payments.schemes == ("stripe",)


def test_version_and_methods_are_those_of_stripes_library() -> None:
    import stripe
    from stripe.params import _payment_intent_create_params as params

    assert stripe.api_version == API_VERSION
    # What holds money has an option of its own for that; a terminal is not for the web.
    types = {name.lower(): cls for name, cls in vars(params).items() if name.startswith(OPTIONS)}
    holding = {
        name
        for name in params.PaymentIntentCreateParamsPaymentMethodOptions.__annotations__
        if "capture_method" in types[f"{OPTIONS}{name.replace('_', '')}".lower()].__annotations__
    }
    assert holding - {"card_present"} == HOLDING


def test_stripe_is_imported_only_when_the_backend_opens() -> None:
    look = (
        "import sys, ticketkit_stripe.plugin as p; p.ticketkit_backends(); print({'stripe', 'httpx'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
