"""Reading what services count."""

import pytest

from ticketkit_marketplace.ops import counters
from ticketkit_marketplace.ops.counters import Route

ORDERS = Route("/api/orders", "POST")
TEXT = """\
# TYPE ticketkit_http_requests_total counter
ticketkit_http_requests_total{route="/api/orders",method="POST",status="201"} 90.0
ticketkit_http_requests_total{route="/api/orders",method="POST",status="409"} 10.0
ticketkit_http_requests_total{route="/metrics",method="GET",status="200"} 500.0
# TYPE ticketkit_http_request_seconds histogram
ticketkit_http_request_seconds_bucket{route="/api/orders",method="POST",le="0.01"} 50.0
ticketkit_http_request_seconds_bucket{route="/api/orders",method="POST",le="0.1"} 98.0
ticketkit_http_request_seconds_bucket{route="/api/orders",method="POST",le="1.0"} 100.0
ticketkit_http_request_seconds_bucket{route="/api/orders",method="POST",le="+Inf"} 100.0
# TYPE ticketkit_consumer_lag gauge
ticketkit_consumer_lag{consumer="orders"} 7.0
# TYPE ticketkit_payments_to_repair gauge
ticketkit_payments_to_repair{provider="fake"} 2.0
"""


def test_requests_conflicts_lag_and_repairs_are_read_and_what_nobody_waits_for_is_left_out() -> None:
    read = counters.read(TEXT)
    assert (read.asked, read.conflicts) == (100, 10)
    assert read.routes == [ORDERS]
    assert read.lag == {"orders": 7}
    assert read.to_repair == 2


def test_a_quantile_is_taken_as_prometheus_does_it() -> None:
    read = counters.read(TEXT)
    assert counters.quantile(0.25, read.bounds) == pytest.approx(0.005)
    assert counters.quantile(0.99, read.bounds) == pytest.approx(0.55)
    assert counters.quantile(0.99, {}) is None


def test_what_is_slower_than_the_last_bound_is_told_by_it() -> None:
    beyond = TEXT.replace('le="+Inf"} 100', 'le="+Inf"} 300')
    assert counters.quantile(0.99, counters.read(beyond).bounds) == 1.0


def test_between_two_readings_only_what_was_added_counts_and_a_new_start_counts_from_zero() -> None:
    before, after = counters.read(TEXT), counters.read(TEXT.replace("} 90.0", "} 95.0"))
    assert after.since(before).asked == 5
    assert after.since(before).conflicts == 0
    anew = counters.read(TEXT.replace("} 90.0", "} 3.0"))
    assert anew.since(before).asked == 3
    assert after.since(None).asked == 0


def test_processes_are_added_up_and_what_all_of_them_see_is_not() -> None:
    both = counters.together([counters.read(TEXT), counters.read(TEXT.replace("} 7.0", "} 9.0"))])
    assert (both.asked, both.conflicts) == (200, 20)
    assert both.lag == {"orders": 9}
    assert both.to_repair == 2
    assert counters.quantile(0.25, both.bounds) == pytest.approx(0.005)
