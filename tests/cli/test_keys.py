from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner

from ticketkit.cli import main
from ticketkit.runtime.settings import Environment, Settings


def made(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["keys", "new", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["env", "json"])
def test_new_keys_are_settings_that_production_takes(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if form == "json":
        settings = json.loads(made("--json"))
    else:
        settings = dict(line.split("=", 1) for line in shlex.split(made()))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    keys = Settings(environment=Environment.PRODUCTION).keys()
    assert list(keys.public) == [keys.key_id]
    assert keys.private is not None
    assert keys.private.public_key() == keys.public[keys.key_id]


def test_a_key_can_be_given_its_name() -> None:
    assert json.loads(made("--json", "--key-id", "autumn"))["TICKETKIT_SESSION_KEY_ID"] == "autumn"


def test_no_two_are_the_same() -> None:
    assert made() != made()
