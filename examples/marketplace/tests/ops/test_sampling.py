"""What a look at the marketplace says."""

from datetime import UTC, datetime, timedelta

from ticketkit.backends.storage import Totals
from ticketkit_marketplace.ops.sampling import Sample

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_a_storage_does_not_have_is_none_of_it_and_what_it_did_not_say_is_not_known() -> None:
    orders = Totals(by_status={("order", "created"): 3})
    assert Sample(at=NOW, totals={"inventory": orders}).count("order", "created") == 3
    assert Sample(at=NOW, totals={"inventory": orders}).count("order", "completed") == 0
    assert Sample(at=NOW, totals={"inventory": Totals()}).count("order", "created") == 0
    away = {"numbers of http://127.0.0.1:9/metrics": "It does not answer."}
    assert Sample(at=NOW, totals={"inventory": Totals()}, missing=away).count("order", "created") == 0
    blind = Sample(at=NOW, totals={"accounts": Totals()}, missing={"storage of inventory": "away"}, whole=False)
    assert blind.count("order", "created") is None
    assert Sample(at=NOW, totals={"inventory": orders}, whole=False).count("order", "created") == 3


def test_the_oldest_event_of_all_outboxes_counts_and_dead_letters_are_added_up() -> None:
    totals = {
        "inventory": Totals(unpublished=2, oldest=NOW - timedelta(seconds=3), dead=1),
        "payments": Totals(unpublished=1, oldest=NOW - timedelta(seconds=9), overdue_locks=4),
    }
    sample = Sample(at=NOW, totals=totals, letters=2)
    assert (sample.unpublished, sample.age, sample.dead, sample.overdue) == (3, 9.0, 3, 4)
    assert Sample(at=NOW).age == 0.0


def test_a_rate_is_known_once_there_was_a_look_before() -> None:
    assert Sample(at=NOW).rate(5) is None
    assert Sample(at=NOW, seconds=2.0).rate(5) == 2.5
    assert Sample(at=NOW, seconds=2.0).rate(None) is None
