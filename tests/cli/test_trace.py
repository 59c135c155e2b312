"""`ticketkit trace`, on SQLite files on which a marketplace has worked."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit.backends.spec import BackendKind, Context
from ticketkit.cli import main
from ticketkit.domain.money import Money
from ticketkit.domain.tickets import Listing
from ticketkit.marketplace import Marketplace
from ticketkit.plugins import Plugins


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Databases, and the order in them: paid, of seat F12; `receipts` could not handle that it was placed."""
    folder = tmp_path_factory.mktemp("trace")
    shop, money = (f"sqlite:///{folder / name}" for name in ("shop.db", "money.db"))
    urls = {"shop": shop, "money": money, "bus": shop}
    return urls, anyio.run(_buy, urls)


@pytest.fixture
def order_id(bought: tuple[dict[str, str], str], monkeypatch: pytest.MonkeyPatch) -> str:
    urls, id = bought
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", urls["shop"])
    monkeypatch.setenv("TICKETKIT_PAYMENTS_STORAGE_URL", urls["money"])
    monkeypatch.setenv("TICKETKIT_BUS_URL", urls["bus"])
    return id


async def _buy(urls: dict[str, str]) -> str:
    async with Marketplace(urls["shop"], payment_storage=urls["money"], bus=urls["bus"]) as market:
        [ticket] = await market.tickets.list(
            "sam", [Listing(title="A seat", seat="F12", price=Money.parse("25", "USD"))]
        )
        order = (await market.orders.place("bea", [ticket.id])).order
        await market.payments.pay("bea", order.id, token="tok_visa")
        await market.runtime.drain(10)
    plugins = Plugins.load()
    async with (
        plugins.open(BackendKind.STORAGE, urls["shop"], Context()) as storage,
        plugins.open(BackendKind.BUS, urls["bus"], Context()) as bus,
        bus.subscribe("receipts", ["order.created"]) as member,
    ):
        await bus.publish([(await storage.events_about([order.id]))[0].event])
        [delivery] = await member.receive(1)
        await delivery.bury("[no] printer")
    return order.id


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["trace", *arguments])


def told(order_id: str) -> Any:
    result = run(order_id, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_story_is_read_from_all_databases(order_id: str) -> None:
    story = told(order_id)
    steps = [(entry["kind"], entry["what"]) for entry in story["entries"] if entry["kind"] != "webhook"]
    assert steps[:2] == [("event", "order.created"), ("dead_letter", "order.created")]
    whats = [what for kind, what in steps if kind == "event"]
    assert whats.index("charge.authorized") < whats.index("order.completed") < len(whats)
    assert (story["order"]["status"], story["order"]["total"]) == ("completed", {"minor": 2500, "currency": "USD"})
    assert [charge["status"] for charge in story["charges"]] == ["completed"]
    assert [ticket["seat"] for ticket in story["tickets"]] == ["F12"]
    letter = next(entry for entry in story["entries"] if entry["kind"] == "dead_letter")
    assert (letter["state"], letter["error"]) == ("receipts", "[no] printer")
    assert letter["cause"] == {"actor": "bea", "role": "buyer", "directly": True, "eventId": None, "event": None}
    completed = next(entry for entry in story["entries"] if entry["what"] == "order.completed")
    assert completed["cause"]["event"] == "charge.completed"
    assert completed["data"]["chargeId"] == story["charges"][0]["id"]
    assert story["missing"] == []


def test_people_read_when_what_by_whom_and_how_long_after(order_id: str) -> None:
    result = run(order_id)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"Order {order_id}: completed, 25.00 USD"
    created = next(line for line in lines if "order.created" in line and "published" in line)
    assert "+0.000 s" in created
    assert "created: 25.00 USD" in created
    assert "buyer bea" in created
    sold = next(line for line in lines if "ticket.sold" in line)
    assert "charge.completed, for buyer bea" in sold
    assert "F12" in sold
    assert "receipts, 1 failed: [no] printer" in result.stdout
    assert "Still to happen" in result.stdout
    assert "ticketkit dead show" in result.stdout


def test_what_can_not_be_reached_is_named(order_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_BUS_URL", "nats://127.0.0.1:1")
    story = told(order_id)
    [missing] = story["missing"]
    assert missing.startswith("Events that a consumer could not handle: ")
    assert "127.0.0.1:1" in missing
    assert "Not told" in run(order_id).stdout


def test_an_unknown_order_is_said_with_what_to_do(order_id: str) -> None:
    result = run("01a20bbd-0000-7000-8000-000000000000")
    assert result.exit_code == 1
    assert "there is no order 01a20bbd-0000-7000-8000-000000000000" in result.stderr
    assert "TICKETKIT_STORAGE_URL" in result.stderr


def test_a_storage_of_one_process_has_no_story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_STORAGE_URL", "memory:")
    result = run("x")
    assert result.exit_code == 2
    assert "TICKETKIT_STORAGE_URL" in result.stderr
