"""`ticketkit operators`, beside a server that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.cli import main
from ticketkit.marketplace import Marketplace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage with the account olga@example.com."""
    url = f"sqlite:///{tmp_path / 'accounts.db'}"
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", f"sqlite:///{tmp_path / 'shop.db'}")
    monkeypatch.setenv("TICKETKIT_AUTH_STORAGE_URL", url)

    async def fill() -> None:
        async with Marketplace("memory:", accounts=url) as market:
            await market.auth.sign_up("Olga@example.com", "correct horse")

    anyio.run(fill)
    return url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["operators", *arguments])


def roles(url: str) -> tuple[str, ...]:
    """Those of Olga, who signs in."""

    async def sign_in() -> tuple[str, ...]:
        async with Marketplace("memory:", accounts=url) as market:
            return (await market.auth.sign_in("olga@example.com", "correct horse")).user.roles

    return anyio.run(sign_in)


def test_operators_are_made_listed_and_unmade(url: str) -> None:
    assert run("list").output == "There are no operators. `ticketkit operators add EMAIL` makes one.\n"
    added = run("add", "olga@example.com")
    assert (added.exit_code, added.output.startswith("Olga@example.com is an operator: after the next sign-in")) == (
        0,
        True,
    )
    assert run("add", "OLGA@example.com").exit_code == 0
    assert [one["email"] for one in json.loads(run("list", "--json").output)] == ["Olga@example.com"]
    assert run("list").output.endswith("  Olga@example.com\n")
    assert roles(url) == ("operator",)
    removed = run("remove", "olga@example.com")
    assert "signed out everywhere within 5 seconds" in removed.output
    assert (roles(url), json.loads(run("list", "--json").output)) == ((), [])


@pytest.mark.parametrize("what", ["add", "remove"])
def test_an_account_that_is_not_there_is_said_with_what_to_do(url: str, what: str) -> None:
    done = run(what, "nobody@example.com")
    assert (done.exit_code, done.stderr) == (
        1,
        "ticketkit: There is no account nobody@example.com. Sign it up first.\n",
    )
