from __future__ import annotations

import json
import shlex
from datetime import timedelta

import jwt
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from ticketkit.cli import main
from ticketkit.domain.entities import Session, User
from ticketkit.memory import VirtualClock
from ticketkit.runtime.settings import Environment, Settings
from ticketkit.services.tokens import Keys, Minter, Revocations, Verifier


def made(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["keys", "new", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def minted(keys: Keys, clock: VirtualClock) -> str:
    now = clock.now()
    user = User(id="user", email="u@example.com", password_hash="", roles=(), created_at=now)
    session = Session(id="session", user_id="user", expires_at=now + timedelta(days=1), created_at=now)
    return Minter(keys, clock, lifetime=timedelta(hours=1)).mint(user, session)


def is_taken(token: str, keys: Keys, clock: VirtualClock) -> bool:
    return Verifier(keys, clock, Revocations(clock)).verify(token) is not None


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


def test_keys_of_two_years_are_changed_with_overlap_and_the_old_is_refused_once_it_is_gone() -> None:
    old, new = (json.loads(made("--json", "--key-id", name)) for name in ("old", "new"))
    public = {**json.loads(old["TICKETKIT_SESSION_PUBLIC_KEYS"]), **json.loads(new["TICKETKIT_SESSION_PUBLIC_KEYS"])}

    def keys(signs: dict[str, str], *known: str) -> Keys:
        return Settings(
            environment=Environment.PRODUCTION,
            session_key_id=signs["TICKETKIT_SESSION_KEY_ID"],
            session_private_key=SecretStr(signs["TICKETKIT_SESSION_PRIVATE_KEY"]),
            session_public_keys={name: public[name] for name in known},
        ).keys()

    clock = VirtualClock()
    before, known, signing, after = keys(old, "old"), keys(old, "old", "new"), keys(new, "old", "new"), keys(new, "new")
    token = minted(before, clock)
    fresh = minted(signing, clock)
    assert jwt.get_unverified_header(token)["kid"] == "old"
    assert jwt.get_unverified_header(fresh)["kid"] == "new"
    assert [is_taken(token, by, clock) for by in (before, known, signing, after)] == [True, True, True, False]
    assert [is_taken(fresh, by, clock) for by in (before, known, signing, after)] == [False, True, True, True]


def test_a_key_can_be_given_its_name() -> None:
    assert json.loads(made("--json", "--key-id", "autumn"))["TICKETKIT_SESSION_KEY_ID"] == "autumn"


def test_no_two_are_the_same() -> None:
    assert made() != made()
