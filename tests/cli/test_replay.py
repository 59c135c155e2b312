"""`ticketkit events replay`, on NATS and on buses that keep nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import pytest
from click.testing import CliRunner, Result

from ticketkit import Listing, Marketplace, Money
from ticketkit.cli import main
from ticketkit.domain.errors import NotFound
from ticketkit.events.catalogue import OrderCreated
from ticketkit.events.envelope import Event

if TYPE_CHECKING:
    from pathlib import Path


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["events", "replay", *arguments])


async def until(heard: Counter[str], wanted: Counter[str]) -> None:
    with anyio.fail_after(10):
        while heard != wanted:  # noqa: ASYNC110 - the handler is called by the marketplace
            await anyio.sleep(0.02)


async def replayed(consumer: str) -> None:
    done = await anyio.to_thread.run_sync(lambda: replay("--consumer", consumer, "--since", "2020-01-01"))
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.fixture
def bus(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"{nats_url}?stream=replay_{uuid4().hex[:12]}"
    monkeypatch.setenv("TICKETKIT_BUS_URL", url)
    return url


async def placed(market: Marketplace) -> str:
    (seat,) = await market.tickets.list("sam", [Listing(title="Seat", price=Money(100, "USD"))])
    return (await market.orders.place("ada", [seat.id])).order.id


async def test_a_handler_of_an_app_hears_its_events_again(bus: str, tmp_path: Path) -> None:
    heard: Counter[str] = Counter()
    market = Marketplace(f"sqlite:///{tmp_path / 'shop.db'}", bus=bus, drain=2)

    @market.on(OrderCreated, consumer="receipts")
    async def receipt(event: Event[OrderCreated]) -> None:
        heard[event.data.id] += 1

    async with market:
        orders = [await placed(market) for _ in range(3)]
        await until(heard, Counter(orders))
        await replayed("receipts")
        await until(heard, Counter(orders * 2))


async def test_a_service_passes_over_what_it_has_and_does_what_its_restored_storage_lacks(
    bus: str, tmp_path: Path
) -> None:
    shop = f"sqlite:///{tmp_path / 'shop.db'}"
    async with Marketplace(shop, bus=bus, payment_storage=f"sqlite:///{tmp_path / 'payments.db'}", drain=5) as market:
        first, second = await placed(market), await placed(market)
        charge = await market.payments.pay("ada", first, token="tok_visa")
        await replayed("payments")
        await replayed("orders")
        third = await placed(market)
        await market.payments.pay("ada", third, token="tok_visa")  # comes after all that was replayed
        assert (await market.payments.get("ada", charge.id))[0] == charge
        assert (await market.orders.get("ada", first)).order.status == "completed"

    restored = f"sqlite:///{tmp_path / 'restored.db'}"  # from a backup of before the first order
    async with Marketplace(shop, bus=bus, payment_storage=restored, drain=2) as market:
        with pytest.raises(NotFound):
            await market.payments.pay("ada", second, token="tok_visa")
        await replayed("payments")
        assert (await market.payments.pay("ada", second, token="tok_visa")).status == "completed"


def test_a_consumer_that_never_was_there_is_named(bus: str) -> None:
    done = replay("--consumer", "nobody", "--sequence", "1")
    assert done.exit_code == 1
    assert "'nobody'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("bus", ["memory:", "sqlite:///bus.db", "redis://127.0.0.1:1"])
def test_a_bus_that_keeps_nothing_says_what_to_do_instead(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKETKIT_BUS_URL", bus)
    done = replay("--consumer", "orders", "--since", "2027-01-31T19:00:00Z")
    assert done.exit_code == 1
    assert "events republish" in done.stderr
    assert "capability `replay`" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of --since and --sequence"),
        (("--since", "2027-01-31", "--sequence", "1"), "one of --since and --sequence"),
        (("--since", "yesterday"), "2027-01-31T19:00:00Z"),
        (("--sequence", "0"), "0 is not in the range"),
    ],
)
def test_where_to_begin_is_given_once_and_well(arguments: tuple[str, ...], words: str) -> None:
    done = replay("--consumer", "orders", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
