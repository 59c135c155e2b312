from __future__ import annotations

from pathlib import Path

import pytest

from ticketkit.backends.errors import BadWebhook, Misconfigured
from ticketkit.backends.payments import Done
from ticketkit.backends.spec import BackendKind, Capability, Context
from ticketkit.domain.decision import Changes, Command, Keys
from ticketkit.domain.money import Money
from ticketkit.memory import MemoryBus, MemoryStorage, MemoryTimers, VirtualClock, read_books
from ticketkit.memory.plugin import open_payments
from ticketkit.plugins.loading import Plugins

pytestmark = pytest.mark.anyio


@pytest.fixture
def context(clock: VirtualClock) -> Context:
    return Context(clock=clock)


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.load(entry_points=())


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        (BackendKind.STORAGE, MemoryStorage),
        (BackendKind.BUS, MemoryBus),
        (BackendKind.TIMERS, MemoryTimers),
    ],
)
@pytest.mark.parametrize("url", ["memory", "memory:", "memory://", "memory://shop", "MEMORY://shop"])
async def test_memory_urls_open_the_reference_backends(
    plugins: Plugins, context: Context, kind: BackendKind, cls: type, url: str
) -> None:
    async with plugins.open(kind, url, context) as backend:
        assert isinstance(backend, cls)


async def test_without_a_name_everybody_gets_their_own(plugins: Plugins, context: Context) -> None:
    async with (
        plugins.open(BackendKind.BUS, "memory:", context) as one,
        plugins.open(BackendKind.BUS, "memory:", context) as two,
    ):
        assert one is not two


async def test_a_name_is_shared_until_its_last_user_has_gone(plugins: Plugins, context: Context) -> None:
    async def carried_out(storage: MemoryStorage) -> bool:
        return await storage.outcome("x") is not None

    async with plugins.open(BackendKind.STORAGE, "memory://shop", context) as one:
        await one.decide(Keys(), lambda _: Changes(), Command(id="x"))
        async with plugins.open(BackendKind.STORAGE, "memory://shop", context) as two:
            assert await carried_out(two)
        async with plugins.open(BackendKind.STORAGE, "memory://other", context) as other:
            assert not await carried_out(other)
        async with plugins.open(BackendKind.STORAGE, "memory://shop", context) as three:
            assert await carried_out(three)
    async with plugins.open(BackendKind.STORAGE, "memory://shop", context) as later:
        assert not await carried_out(later)


async def test_a_name_is_shared_by_all_who_load_the_plugin(context: Context) -> None:
    one, two = Plugins.load(entry_points=()), Plugins.load(entry_points=())
    async with (
        one.open(BackendKind.BUS, "memory://shop", context) as first,
        two.open(BackendKind.BUS, "memory://shop", context) as second,
        one.open(BackendKind.TIMERS, "memory://shop", context) as timers,
    ):
        assert first is second
        assert isinstance(timers, MemoryTimers)


@pytest.mark.parametrize("url", ["memory:shop", "memory://shop/path", "memory://shop?x=1", "memory://a b"])
async def test_other_memory_urls_are_refused(plugins: Plugins, context: Context, url: str) -> None:
    with pytest.raises(Misconfigured):
        async with plugins.open(BackendKind.BUS, url, context):
            pass


@pytest.mark.parametrize("url", ["fake", "fake:", "fake://"])
async def test_the_fake_provider_keeps_its_books_in_memory(plugins: Plugins, context: Context, url: str) -> None:
    async with plugins.open(BackendKind.PAYMENTS, url, context) as provider:
        assert provider.name == "fake"
        assert provider.capabilities == {Capability.SIGNED_TIME}
        assert provider.books().charges == ()


async def test_the_fake_provider_keeps_its_books_in_a_file(context: Context, tmp_path: Path) -> None:
    url = f"fake://{tmp_path}/data folder/books.jsonl"
    for _ in range(2):
        async with open_payments(url, context) as provider:
            assert Capability.DURABLE in provider.capabilities
            assert isinstance(
                await provider.prepare(charge_id="c", order_id="o", amount=Money(1, "USD"), key="c:prepare"), Done
            )
    assert len(read_books(tmp_path / "data folder" / "books.jsonl").charges) == 1


async def test_the_fake_providers_secret_is_a_setting(context: Context) -> None:
    from ticketkit.memory import _webhooks

    body = b'{"id": "n", "what": "payment.authorized", "reference": null}'
    signed = _webhooks.sign(body, secret="mine", now=context.clock.now())
    async with open_payments("fake:?secret=mine", context) as mine, open_payments("fake:", context) as other:
        assert mine.webhook(signed, body)[0].id == "n"
        with pytest.raises(BadWebhook):
            other.webhook(signed, body)


@pytest.mark.parametrize("url", ["fake://host/books.jsonl", "fake:?speed=1", "fake:///books#1", "fake:books.jsonl"])
async def test_other_fake_urls_are_refused(context: Context, url: str) -> None:
    with pytest.raises(Misconfigured):
        async with open_payments(url, context):
            pass
