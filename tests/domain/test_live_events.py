from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.domain.world import START, World

from ticketkit.domain.entities import LiveEventStatus
from ticketkit.domain.errors import Conflict, Forbidden, InvalidInput, NotFound

BERLIN = timezone(timedelta(hours=2))


def test_an_announced_live_event_is_scheduled() -> None:
    world = World()
    event = world.announce("gig", name=" Hamilton ", zone="America/New_York", extra={"acme:x": 1})
    assert (event.status, event.name, event.zone, event.version) == (
        LiveEventStatus.SCHEDULED,
        "Hamilton",
        "America/New_York",
        1,
    )
    assert (event.on_sale_at, event.created_at, event.owner_id) == (None, START, "owner")
    assert world.told() == [("live_event.created", "gig")]


def test_times_are_kept_in_utc() -> None:
    at = datetime(2026, 7, 1, 20, tzinfo=BERLIN)
    event = World().announce("gig", starts_at=at, on_sale_at=at - timedelta(days=1))
    assert event.starts_at == at
    assert event.on_sale_at is not None
    assert event.starts_at.tzinfo is event.on_sale_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("what", "code", "field"),
    [
        ({"starts_at": datetime(2026, 7, 1, 20)}, "time_without_offset", "starts_at"),  # noqa: DTZ001
        ({"on_sale_at": datetime(2026, 3, 2)}, "time_without_offset", "on_sale_at"),  # noqa: DTZ001
        ({"starts_at": datetime(1, 1, 1, tzinfo=BERLIN)}, "time_out_of_range", "starts_at"),
        ({"on_sale_at": START + timedelta(days=30)}, "on_sale_after_start", "on_sale_at"),
        ({"name": ""}, "text_empty", "name"),
        ({"name": "x" * 201}, "text_too_long", "name"),
        ({"venue": "a\x07"}, "text_not_printable", "venue"),
        ({"zone": "Mars/Base"}, "unknown_zone", "zone"),
        ({"extra": {"x": 1}}, "extra_namespace", "extra"),
    ],
)
def test_what_is_out_of_bounds_is_refused(what: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        World().announce("gig", **what)
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_its_owner_or_an_operator_calls_a_live_event_off() -> None:
    world = World()
    for id, owner in (("gig", "owner"), ("match", None)):
        world.announce(id)
        assert world.call_off(id, owner=owner).status is LiveEventStatus.CANCELLED
        assert world.told()[-1] == ("live_event.cancelled", id)


def test_nobody_else_does_and_only_once() -> None:
    world = World()
    world.announce("gig")
    with pytest.raises(NotFound) as missing:
        world.call_off("match")
    assert missing.value.code == "live_event_not_found"
    with pytest.raises(Forbidden) as forbidden:
        world.call_off("gig", owner="other")
    assert forbidden.value.code == "not_the_owner"
    world.call_off("gig")
    with pytest.raises(Conflict) as conflict:
        world.call_off("gig")
    assert (conflict.value.code, conflict.value.values) == ("already_cancelled", {"live_event_id": "gig"})
