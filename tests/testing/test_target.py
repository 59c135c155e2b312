from __future__ import annotations

import pytest

from ticketkit.testing.conformance import Target


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me:secret@db.example:5432/shop?sslmode=require", ("db.example", 5432)),
        ("redis://[::1]:6379/0", ("::1", 6379)),
        ("memory://shop", None),
        ("fake:///tmp/books.jsonl", None),
        ("nats://one:4222,two:4222", None),
    ],
)
def test_a_target_knows_where_its_server_is(url: str, address: tuple[str, int] | None) -> None:
    assert Target(url=url).address == address


def test_a_url_by_way_of_a_proxy_keeps_all_but_the_address() -> None:
    target = Target(url="postgresql://me:p%40ss@db.example:5432/shop?sslmode=require")
    assert target.through(7) == "postgresql://me:p%40ss@127.0.0.1:7/shop?sslmode=require"
    assert Target(url="redis://[::1]:6379/0").through(7) == "redis://127.0.0.1:7/0"


@pytest.mark.anyio
async def test_a_reset_may_be_a_function_or_a_coroutine() -> None:
    done = []

    async def later() -> None:
        done.append("later")

    await Target(url="memory:", reset=lambda: done.append("now")).empty()
    await Target(url="memory:", reset=later).empty()
    await Target(url="memory:").empty()
    assert done == ["now", "later"]
