"""What a bus carries: it arrives as it was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ticketkit.events.envelope import MAX_BODY
from ticketkit.testing.conformance.bus.post import GROUP, ORDER, body, event, events, ids, take
from ticketkit.testing.conformance.conformance import Conformance
from ticketkit.testing.conformance.promise import promise

if TYPE_CHECKING:
    from ticketkit.backends.bus import Bus, Delivery

TEXTS: Final = {
    "empty": "",
    "scripts": "Zażółć gęślą jaźń 東京 القاهرة नमस्ते",
    "emoji": "🎟️👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "e\u0301 \u00e9",  # neither becomes the other
    "invisible": "\u200b\u202e\ufeff\u2028\u00a0",
    "quotes": "\"'`\\/%00%0d%0a{}[]<>&$#:;,*.|",
    "spaces": "  before, within  and after  ",
    "lines": "one\r\ntwo\nthree\tfour",
}
"""Texts that backends have been seen to mangle."""


class Carrying(Conformance):
    """Events arrive exactly as they were sent, and as many at once as asked for."""

    @promise()
    async def test_all_attributes_arrive_as_sent(self, backend: Bus) -> None:
        """All CloudEvents attributes arrive exactly as they were sent."""
        sent = [
            event(
                source="/ticketkit/payments",
                time=datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
                aggregateversion=2**53 + 1,
                correlationid="cor-1",
                causationid="cause-2",
                actor="buyer-3",
                traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            event(
                time=datetime(2026, 3, 1, tzinfo=UTC), correlationid="", causationid=None, actor=None, traceparent=None
            ),
            event(time=datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), version=12, aggregateversion=0),
        ]
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.broadcast([ORDER]) as ear:
            await backend.publish(sent)
            for one in (member, ear):
                found = {got.event.id: got.event for got in await take(one, len(sent))}
                assert found == {one.id: one for one in sent}

    @promise()
    async def test_odd_texts_arrive_as_sent(self, backend: Bus) -> None:
        """Odd Unicode in ids, subjects and bodies arrives exactly as it was sent."""
        sent = [
            event(
                id=f"{name} {text}",
                subject=f"{name}{text}",
                correlationid=text,
                causationid=text or None,
                actor=text or None,
                data=body({text: [text, 1, -2.5, True, None, {"\u0000": "\u0001\u007f"}]}),
            )
            for name, text in TEXTS.items()
        ]
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(sent)
            found = {got.event.id: got.event for got in await take(member, len(sent))}
            for one in sent:
                assert found[one.id] == one

    @promise()
    async def test_the_largest_body_arrives(self, backend: Bus) -> None:
        """A body of 256 KiB, the largest that events may have, arrives; so do several in one batch."""
        sent = [event(data=body("x" * (MAX_BODY - 2))), event(data=body("é" * (MAX_BODY // 2 - 1))), event()]
        assert [len(one.data) for one in sent[:2]] == [MAX_BODY, MAX_BODY]
        async with backend.subscribe(GROUP, [ORDER]) as member:
            await backend.publish(sent)
            found = {got.event.id: got.event for got in await take(member, 3)}
            assert all(found[one.id] == one for one in sent)

    @promise()
    async def test_receive_returns_at_most_the_limit(self, backend: Bus) -> None:
        """`receive` returns at least one delivery and at most as many as asked for, of a group and of a broadcast."""
        async with backend.subscribe(GROUP, [ORDER]) as member, backend.broadcast([ORDER]) as ear:
            sent = events(12)
            await backend.publish(sent)
            for one in (member, ear):
                found: list[Delivery] = []
                for limit in (1, 2, 3, 6):
                    some = await one.receive(limit)
                    assert 1 <= len(some) <= limit
                    found += some
                found += await take(one, 12 - len(found)) if len(found) < 12 else []
                assert ids(found) == ids(sent)

    @promise()
    async def test_a_listener_need_not_acknowledge(self, backend: Bus, stress: int) -> None:
        """A listener of the broadcast may end what it hears or not: it hears everything once."""
        sent = events(100 * stress)
        async with backend.broadcast([ORDER]) as ear:
            heard = []
            for start in range(0, len(sent), 50):
                await backend.publish(sent[start : start + 50])
                heard += await take(ear, 50)
                await heard[-1].ack()
                await heard[-2].bury("not for dead letters")
            assert ids(heard) == ids(sent)
        assert await backend.dead_letters(1) == []
