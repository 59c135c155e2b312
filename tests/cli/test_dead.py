"""`ticketkit dead`, on an SQLite file with dead letters in the outbox and on the bus."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.cli import main
from ticketkit.domain import tickets
from ticketkit.domain.decision import Keys
from ticketkit.domain.money import Money
from ticketkit.ids import new_id
from ticketkit.plugins import Plugins
from ticketkit.services.commands import Commands

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", url)
    monkeypatch.setenv("TICKETKIT_BUS_URL", url)
    return url


@pytest.fixture
def letters(settings: str) -> None:
    """A ticket's event that the outbox gave up, and another's that a consumer buried."""
    anyio.run(_fill, settings)


async def _fill(url: str) -> None:
    plugins = Plugins.load()
    async with (
        plugins.open(BackendKind.STORAGE, url, Context()) as storage,
        plugins.open(BackendKind.BUS, url, Context()) as bus,
    ):
        listings = [tickets.Listing(title="Seat", price=Money.parse("10", "USD")) for _ in range(2)]
        command = Commands(new_id).ask("test", actor="seller", fresh=2)
        await storage.decide(
            Keys(), lambda state: tickets.list_tickets(state, command, seller_id="seller", listings=listings), command
        )
        lost, buried = await storage.claim_events(2, timedelta(seconds=30))
        await storage.mark_failed(lost, error="too large for the bus", retry_in=None)
        async with bus.subscribe("web", ["ticket.created"]) as subscription:
            await bus.publish([buried.event])
            await storage.mark_published([buried])
            [delivery] = await subscription.receive(1)
            await delivery.bury("it is poison")


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["dead", *arguments], input=answer)


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("list", "--json").output)
    return found


def test_no_dead_letters_are_said_so(settings: str) -> None:
    assert run("list").output == "There are no dead letters.\n"
    assert listed() == []


def test_all_are_listed_with_where_and_why(letters: None) -> None:
    assert {(one["consumer"], one["error"]) for one in listed()} == {
        ("outbox", "too large for the bus"),
        ("web", "it is poison"),
    }
    assert run("list").output.count("ticketkit.ticket.created.v1") == 2


def test_one_is_shown_whole(letters: None) -> None:
    [id] = [one["id"] for one in listed() if one["consumer"] == "outbox"]
    assert json.loads(run("show", id).output)["data"]["title"] == "Seat"


def test_replaying_takes_one_from_the_dead(letters: None) -> None:
    for one in listed():
        result = run("replay", one["id"])
        assert result.exit_code == 0, result.output
    assert listed() == []


def test_dropping_asks_first(letters: None) -> None:
    first, second = (one["id"] for one in listed())
    assert run("drop", first, answer="n\n").exit_code == 1
    assert len(listed()) == 2
    assert run("drop", first, answer="y\n").exit_code == 0
    assert run("drop", second, "--yes").exit_code == 0
    assert listed() == []


@pytest.mark.parametrize("what", [("show",), ("replay",), ("drop", "--yes")])
def test_one_that_is_not_there_is_said_with_what_to_do(settings: str, what: tuple[str, ...]) -> None:
    result = run(*what, "nothing")
    assert result.exit_code == 1
    assert "ticketkit dead list" in result.output
